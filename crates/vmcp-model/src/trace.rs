//! Where a request stands among those that have led to it (W3C Trace Context, Level 1).

/// A request of a trace: the trace, this request and the one that has led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Which trace it belongs to.
    pub trace: [u8; 16],
    /// This request at vmcp.
    pub span: [u8; 8],
    /// The same at its backend.
    pub onward: [u8; 8],
    /// The one that has led to it.
    pub parent: Option<[u8; 8]>,
    /// Whether it is recorded.
    pub sampled: bool,
    /// What others have added for themselves, passed on as it is.
    pub state: Option<Box<str>>,
}

/// What a `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    pub trace: [u8; 16],
    pub span: [u8; 8],
    pub sampled: bool,
}

/// The longest `tracestate` that is passed on, in bytes (section 3.3.1.5: at least 512).
pub const MAX_STATE: usize = 512;

impl Parent {
    /// Reads the value of `traceparent` (section 3.2). `None` for what is none: then there is no parent. One of a
    /// later version is read as far as this version goes.
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.as_bytes();
        let (version, rest) = (value.get(..2)?, value.get(2..)?);
        let fields = rest.get(..53)?;
        let is_known = version == b"00";
        let ends = rest.len() == 53 || !is_known && rest[53] == b'-';
        if !ends || version == b"ff" {
            return None;
        }
        let [_] = octets(version)?;
        if (fields[0], fields[33], fields[50]) != (b'-', b'-', b'-') {
            return None;
        }
        let trace = octets(&fields[1..33])?;
        let span = octets(&fields[34..50])?;
        let [flags] = octets(&fields[51..53])?;
        (trace != [0; 16] && span != [0; 8]).then_some(Self {
            trace,
            span,
            sampled: flags & 1 == 1,
        })
    }
}

impl Trace {
    /// The `traceparent` for the backend.
    pub fn header(&self) -> [u8; 55] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write(&self.trace, &mut text[3..35]);
        write(&self.onward, &mut text[36..52]);
        text[54] = if self.sampled { b'1' } else { b'0' };
        text
    }

    /// The trace's id, as people and their tools write it.
    pub fn id(&self) -> String {
        let mut text = [0; 32];
        write(&self.trace, &mut text);
        text.iter().map(|byte| char::from(*byte)).collect()
    }
}

/// Reads hexadecimal digits in lower case.
fn octets<const COUNT: usize>(text: &[u8]) -> Option<[u8; COUNT]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut octets = [0; COUNT];
    for (octet, pair) in octets.iter_mut().zip(text.chunks_exact(2)) {
        *octet = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(octets)
}

fn write(octets: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, octet) in text.chunks_exact_mut(2).zip(octets) {
        pair[0] = DIGITS[usize::from(octet >> 4)];
        pair[1] = DIGITS[usize::from(octet & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_parent_is_read_and_passed_on() {
        for (flags, sampled) in [("00", false), ("01", true), ("03", true), ("fe", false)] {
            let parent = Parent::parse(&format!("00-{TRACE}-{SPAN}-{flags}")).unwrap();
            assert_eq!(parent.sampled, sampled);
            let trace = Trace {
                trace: parent.trace,
                span: [9; 8],
                onward: parent.span,
                parent: Some(parent.span),
                sampled,
                state: None,
            };
            let flags = if sampled { "01" } else { "00" };
            assert_eq!(trace.header(), format!("00-{TRACE}-{SPAN}-{flags}").as_bytes());
            assert_eq!(trace.id(), TRACE);
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let parent = Parent::parse(&format!("00-{TRACE}-{SPAN}-01"));
        for rest in ["", "-", "-what.comes-later"] {
            assert_eq!(Parent::parse(&format!("cc-{TRACE}-{SPAN}-01{rest}")), parent);
        }
    }

    #[test]
    fn what_is_none_is_no_parent() {
        for value in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-0"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-later"),
            format!("cc-{TRACE}-{SPAN}-01later"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0g-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00_{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}_{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}_01"),
            format!("00-{TRACE}-{SPAN}-0é"),
        ] {
            assert_eq!(Parent::parse(&value), None, "{value:?}");
        }
    }
}
