//! The regular expression for what one `{...}` of a template can expand to (RFC 6570, 3.2).
//!
//! An undefined variable expands to nothing, so every expression may be absent as a whole. Which
//! value belongs to which variable does not matter here, so any order of them is accepted.

use std::fmt::Write;

/// How an expression's values are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Simple,
    Reserved,
    Fragment,
    Label,
    Path,
    Parameter,
    Query,
    Continuation,
}

#[derive(Debug)]
struct Variable<'a> {
    name: &'a str,
    modifier: Modifier,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Modifier {
    None,
    /// `*`: each element of a list or member of a map on its own.
    Explode,
    /// `:n`: the first n characters.
    Prefix(usize),
}

/// The longest prefix that is counted; a longer one matches values of any length, which keeps the
/// compiled pattern small.
const MAX_COUNTED: usize = 16;

/// One percent-encoded character: the first byte of its UTF-8 form and those that continue it.
const ENCODED: &str = "(?i:%[0-7][0-9a-f]|%[c-f][0-9a-f](?:%[89ab][0-9a-f])*)";

/// Adds the pattern of the expression between two braces. `None` if it is malformed.
pub(super) fn translate(expression: &str, pattern: &mut String) -> Option<()> {
    let (operator, list) = Operator::split(expression);
    let variables: Vec<_> = list.split(',').map(Variable::parse).collect::<Option<_>>()?;
    let values: Vec<_> = variables.iter().map(|variable| operator.value(variable)).collect();
    let value = format!("(?:{})", values.join("|"));
    let open_ended = variables.iter().any(|variable| variable.modifier == Modifier::Explode);
    let written = match operator {
        // A prefix is never taken of a list, so what comes from one variable holds no comma.
        Operator::Simple | Operator::Reserved if values.len() == 1 => write!(pattern, "{value}"),
        Operator::Simple | Operator::Reserved => write!(pattern, "{value}(?:,{value})*"),
        Operator::Fragment => write!(pattern, "(?:#{value}(?:,{value})*)?"),
        Operator::Label => write!(pattern, r"(?:\.{value})*"),
        Operator::Path if open_ended => write!(pattern, "(?:/{value})*"),
        Operator::Path => write!(pattern, "(?:/{value}){{0,{}}}", values.len()),
        Operator::Parameter => write!(pattern, "(?:;{value})*"),
        Operator::Query => write!(pattern, r"(?:\?{value}(?:&{value})*)?"),
        Operator::Continuation => write!(pattern, "(?:&{value})*"),
    };
    written.ok()
}

impl Operator {
    fn split(expression: &str) -> (Self, &str) {
        let operator = match expression.bytes().next() {
            Some(b'+') => Self::Reserved,
            Some(b'#') => Self::Fragment,
            Some(b'.') => Self::Label,
            Some(b'/') => Self::Path,
            Some(b';') => Self::Parameter,
            Some(b'?') => Self::Query,
            Some(b'&') => Self::Continuation,
            _ => return (Self::Simple, expression),
        };
        (operator, &expression[1..])
    }

    /// The pattern of one variable's value, with its name where this operator writes names.
    fn value(self, variable: &Variable<'_>) -> String {
        let Variable { name, modifier } = variable;
        let ends_at = self.ends_at();
        match (self, modifier) {
            // A map's own keys take the place of the variable's name.
            (Self::Parameter | Self::Query | Self::Continuation, Modifier::Explode) => {
                characters(ends_at, Modifier::None)
            }
            (Self::Parameter | Self::Query | Self::Continuation, _) => {
                let value = characters(ends_at, *modifier);
                format!("{}(?:={value})?", regex::escape(name))
            }
            (Self::Simple, Modifier::Explode) => characters("?#", Modifier::None),
            _ => characters(ends_at, *modifier),
        }
    }

    /// The characters that no value holds, because they begin what comes next.
    const fn ends_at(self) -> &'static str {
        match self {
            Self::Simple | Self::Label | Self::Path => "/?#",
            Self::Reserved | Self::Fragment => "",
            Self::Parameter => "/?#;",
            Self::Query | Self::Continuation => "&#",
        }
    }
}

impl<'a> Variable<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (name, modifier) = if let Some(name) = text.strip_suffix('*') {
            (name, Modifier::Explode)
        } else if let Some((name, length)) = text.split_once(':') {
            (name, Modifier::Prefix(prefix_length(length)?))
        } else {
            (text, Modifier::None)
        };
        is_name(name).then_some(Self { name, modifier })
    }
}

/// 1 to 9999, without a leading zero.
fn prefix_length(digits: &str) -> Option<usize> {
    let well_formed = digits.len() <= 4
        && !digits.starts_with('0')
        && digits.bytes().all(|digit| digit.is_ascii_digit());
    well_formed.then(|| digits.parse().ok()).flatten()
}

fn is_name(name: &str) -> bool {
    let mut pieces = name.split('%');
    let is_part = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
    };
    let is_encoded = |piece: &str| {
        piece.len() >= 2 && piece.bytes().take(2).all(|digit| digit.is_ascii_hexdigit())
    };
    !name.is_empty()
        && !name.starts_with('.')
        && !name.ends_with('.')
        && pieces.next().is_some_and(is_part)
        && pieces.all(|piece| is_encoded(piece) && is_part(piece))
}

/// Any characters but these, as many as the modifier allows.
fn characters(but: &str, modifier: Modifier) -> String {
    match modifier {
        Modifier::Prefix(length) if length <= MAX_COUNTED => {
            let plain = format!(r"[^%{but}\x80-\xff]|[\xc0-\xff][\x80-\xbf]*");
            format!("(?:{ENCODED}|{plain}){{0,{length}}}")
        }
        Modifier::Prefix(_) | Modifier::None | Modifier::Explode if but.is_empty() => {
            ".*".to_owned()
        }
        Modifier::Prefix(_) | Modifier::None | Modifier::Explode => format!("[^{but}]*"),
    }
}
