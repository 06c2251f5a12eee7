//! Whether a URI can come from a URI template (RFC 6570, level 4).
//!
//! A match only decides which backend is asked, and the backend has the last word. So where
//! servers and clients are known to be laxer than the RFC, so is this:
//! - a value may hold characters that an expansion would have percent-encoded;
//! - `{path*}` may span several segments, as servers use it for "the rest of the path";
//! - the parameters of `{?a,b}` come in any order;
//! - a variable's name may hold a hyphen.
//!
//! Templates come from backends, a hundred thousand at once if one likes. So nothing is made of
//! them beforehand and nothing is kept: a template is read while it is compared, piece by piece,
//! and only as far as the URI follows it.

use self::{expression::Expression, sweep::Sweep};

mod expression;
mod sweep;

/// The longest URI that matches, in bytes.
const MAX_URI: usize = 8 * 1024;
/// The longest template that matches anything, in bytes.
const MAX_TEMPLATE: usize = 2 * 1024;

/// What comparing one URI with all templates of one backend may cost. What it does not reach
/// matches nothing.
///
/// A template that begins or ends otherwise than the URI costs one step, so a hundred thousand of
/// those are all looked at.
#[derive(Debug, Clone)]
pub(crate) struct Steps(usize);

/// A URI that is compared with templates.
#[derive(Debug)]
pub(crate) struct Matcher<'a> {
    uri: &'a str,
    sweep: Sweep<'a>,
}

/// A part of a template.
#[derive(Debug)]
enum Piece<'a> {
    /// What stands in an expansion as it is.
    Plain(&'a str),
    /// What an expansion may percent-encode.
    Unusual(char),
    Expression(Expression<'a>),
}

impl Steps {
    /// A millisecond or two of a slow machine.
    pub(crate) const MOST: usize = 256 * 1024;

    pub(crate) const fn new() -> Self {
        Self(Self::MOST)
    }

    /// Takes some. `None` if there are no more.
    fn take(&mut self, steps: usize) -> Option<()> {
        self.0 = self.0.saturating_sub(steps);
        (self.0 > 0).then_some(())
    }
}

/// Whether a template could expand to a URI. Takes a bounded time, and says no where that is not enough.
pub fn could_expand(template: &str, uri: &str) -> bool {
    Matcher::new(uri).fits(template, &mut Steps::new())
}

impl<'a> Matcher<'a> {
    pub(crate) fn new(uri: &'a str) -> Self {
        Self { uri, sweep: Sweep::new(uri.as_bytes()) }
    }

    /// Whether the template can expand to the URI. One that is malformed or too long cannot.
    pub(crate) fn fits(&mut self, template: &str, steps: &mut Steps) -> bool {
        self.compare(template, steps).is_some()
    }

    fn compare(&mut self, template: &str, steps: &mut Steps) -> Option<()> {
        steps.take(1)?;
        // Most have nothing to do with the URI, and that shows at their beginning or their end.
        let start = template.find(['{', '}']).unwrap_or(template.len());
        let start = plain_len(&template[..start]);
        let (prefix, rest) = template.split_at(start);
        let end = template.rfind(['{', '}']).map_or(0, |brace| brace + 1);
        let suffix = &template[end..];
        let is_apart = !self.uri.starts_with(prefix)
            || (plain_len(suffix) == suffix.len() && !self.uri.ends_with(suffix));
        if is_apart || template.len() > MAX_TEMPLATE || self.uri.len() > MAX_URI {
            return None;
        }
        // Where in the URI an expansion of what has been read so far can end; never empty.
        let mut ends = vec![prefix.len()];
        for piece in pieces(rest) {
            ends = self.follow(&piece?, ends, steps)?;
        }
        ends.contains(&self.uri.len()).then_some(())
    }

    /// Where a piece can end that begins at one of these places. `None` if nowhere.
    fn follow(
        &mut self,
        piece: &Piece<'_>,
        mut starts: Vec<usize>,
        steps: &mut Steps,
    ) -> Option<Vec<usize>> {
        let uri = self.uri.as_bytes();
        let ends = match piece {
            Piece::Plain(text) => {
                steps.take(starts.len() * (1 + text.len() / 16))?;
                starts.retain_mut(|place| {
                    let fits = uri[*place..].starts_with(text.as_bytes());
                    *place += text.len();
                    fits
                });
                starts
            }
            Piece::Unusual(char) => {
                steps.take(4 * starts.len())?;
                let mut ends: Vec<_> = starts
                    .iter()
                    .flat_map(|place| {
                        unusual_lengths(*char, &uri[*place..]).map(move |len| place + len)
                    })
                    .collect();
                ends.sort_unstable();
                ends.dedup();
                ends
            }
            Piece::Expression(expression) => self.sweep.ends(expression, starts, steps)?,
        };
        (!ends.is_empty()).then_some(ends)
    }
}

/// The pieces of a template, the last of which is `None` if it is malformed.
fn pieces(template: &str) -> impl Iterator<Item = Option<Piece<'_>>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        if matches!(first, '{' | '}') {
            let inside = rest.strip_prefix('{').and_then(|inside| inside.split_once('}'));
            let expression = inside.and_then(|(inside, behind)| {
                rest = behind;
                Expression::parse(inside)
            });
            if expression.is_none() {
                rest = "";
            }
            return Some(expression.map(Piece::Expression));
        }
        let (plain, behind) = rest.split_at(plain_len(rest));
        if plain.is_empty() {
            rest = &rest[first.len_utf8()..];
            return Some(Some(Piece::Unusual(first)));
        }
        rest = behind;
        Some(Some(Piece::Plain(plain)))
    })
}

/// How much of a text an expansion leaves as it is: what is unreserved, reserved, or the beginning
/// of a percent-encoded byte (RFC 6570, 3.1).
fn plain_len(text: &str) -> usize {
    let is_plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(byte);
    text.bytes().take_while(is_plain).count()
}

/// How long a character is at the beginning of a text, if it is there: itself, or percent-encoded.
fn unusual_lengths(char: char, text: &[u8]) -> impl Iterator<Item = usize> {
    let mut buffer = [0; 4];
    let bytes = char.encode_utf8(&mut buffer).as_bytes();
    let is_encoded = text.len() >= 3 * bytes.len()
        && text.chunks(3).zip(bytes).all(|(three, byte)| encoded(three) == Some(*byte));
    let raw = text.starts_with(bytes).then_some(bytes.len());
    raw.into_iter().chain(is_encoded.then_some(3 * bytes.len()))
}

/// The byte that a text begins with in its percent-encoded form.
fn encoded(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(*high)? << 4 | digit(*low)?)
}

#[cfg(test)]
mod tests;
