//! What one `{...}` of a template can expand to (RFC 6570, 3.2).
//!
//! An undefined variable expands to nothing, so every expression may be absent as a whole. Which
//! value belongs to which variable does not matter here, so any order of them is accepted. So
//! without names the variables of an expression come down to one: the laxest of them.

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

/// The values of an expression, one after the other.
#[derive(Debug)]
pub(super) struct Expression<'a> {
    /// What stands before the first value. Where there is such, all of them may be absent.
    pub(super) lead: Option<u8>,
    /// What stands between two values, if there may be two.
    pub(super) separator: Option<u8>,
    /// How often all of this may come in a row.
    pub(super) times: usize,
    pub(super) value: Value,
    /// The bytes that no value holds, because they begin what comes next.
    pub(super) ends_at: &'static [u8],
    list: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// At most so many characters.
    Bare(Length),
    /// The name of a variable, and perhaps its value behind `=`.
    Named,
}

/// How many characters a value has at most. A length that is counted is less than one that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Length {
    Counted(u16),
    Any,
}

#[derive(Debug)]
struct Variable<'a> {
    name: &'a str,
    length: Length,
    /// `*`: each element of a list or member of a map on its own.
    is_exploded: bool,
}

impl<'a> Expression<'a> {
    /// Reads what stands between two braces. `None` if it is malformed.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (operator, list) = Operator::split(text);
        let (mut count, mut length, mut is_exploded) = (0, Length::Counted(0), false);
        for variable in list.split(',') {
            let variable = Variable::parse(variable)?;
            count += 1;
            length = length.max(variable.length);
            is_exploded |= variable.is_exploded;
        }
        let (lead, separator) = operator.signs();
        // A map's own keys take the place of the variable's name.
        let is_named = operator.has_names() && !is_exploded;
        // A prefix is never taken of a list, so what comes from one variable holds no comma.
        let is_sole = matches!(operator, Operator::Simple | Operator::Reserved) && count == 1;
        // A segment of a path comes from a variable, unless one of them stands for many.
        let is_counted = operator == Operator::Path && !is_exploded;
        Some(Self {
            lead,
            separator: separator.filter(|_| !is_sole && !is_counted),
            times: if is_counted { count } else { 1 },
            value: if is_named { Value::Named } else { Value::Bare(length) },
            ends_at: operator.ends_at(is_exploded),
            list,
        })
    }

    /// The names of the variables, and how long their values are.
    pub(super) fn names(&self) -> impl Iterator<Item = (&'a str, Length)> {
        let variables = self.list.split(',').filter_map(Variable::parse);
        variables.map(|variable| (variable.name, variable.length))
    }
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

    /// What stands before the first value and between two of them.
    const fn signs(self) -> (Option<u8>, Option<u8>) {
        match self {
            Self::Simple | Self::Reserved => (None, Some(b',')),
            Self::Fragment => (Some(b'#'), Some(b',')),
            Self::Label => (Some(b'.'), Some(b'.')),
            Self::Path => (Some(b'/'), Some(b'/')),
            Self::Parameter => (Some(b';'), Some(b';')),
            Self::Query => (Some(b'?'), Some(b'&')),
            Self::Continuation => (Some(b'&'), Some(b'&')),
        }
    }

    /// Whether values stand behind the names of their variables.
    const fn has_names(self) -> bool {
        matches!(self, Self::Parameter | Self::Query | Self::Continuation)
    }

    const fn ends_at(self, is_exploded: bool) -> &'static [u8] {
        match self {
            Self::Simple if is_exploded => b"?#",
            Self::Simple | Self::Label | Self::Path => b"/?#",
            Self::Reserved | Self::Fragment => b"",
            Self::Parameter => b"/?#;",
            Self::Query | Self::Continuation => b"&#",
        }
    }
}

impl<'a> Variable<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (name, length, is_exploded) = if let Some(name) = text.strip_suffix('*') {
            (name, Length::Any, true)
        } else if let Some((name, digits)) = text.split_once(':') {
            (name, Length::Counted(prefix_length(digits)?), false)
        } else {
            (text, Length::Any, false)
        };
        is_name(name).then_some(Self { name, length, is_exploded })
    }
}

/// 1 to 9999, without a leading zero.
fn prefix_length(digits: &str) -> Option<u16> {
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
