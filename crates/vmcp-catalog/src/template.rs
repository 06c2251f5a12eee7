//! Whether a URI can come from a URI template (RFC 6570, level 4).
//!
//! A match only decides which backend is asked, and the backend has the last word. So where
//! servers and clients are known to be laxer than the RFC, so is this:
//! - a value may hold characters that an expansion would have percent-encoded;
//! - `{path*}` may span several segments, as servers use it for "the rest of the path";
//! - the parameters of `{?a,b}` come in any order;
//! - a variable's name may hold a hyphen.

use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};

mod expression;

/// A template that is ready to match.
#[derive(Debug)]
pub(crate) struct Template {
    /// The literal text before the first expression. Compared first, so that a template that has
    /// nothing to do with a URI costs next to nothing.
    prefix: Box<str>,
    /// The regular expression for the rest.
    pattern: Box<str>,
    /// The same, compiled when it is first needed: restoring a session must not wait for it.
    /// `None` if it would be too large.
    compiled: OnceLock<Option<Regex>>,
}

/// The longest URI that matches, in bytes.
const MAX_URI: usize = 8 * 1024;
/// The longest template that matches anything, in bytes.
const MAX_TEMPLATE: usize = 2 * 1024;
/// The largest compiled template, in bytes.
const MAX_COMPILED: usize = 128 * 1024;

impl Template {
    /// Reads a template. `None` if it is malformed or too long, and so matches nothing.
    pub(crate) fn parse(template: &str) -> Option<Self> {
        if template.len() > MAX_TEMPLATE {
            return None;
        }
        let (prefix, mut rest) = split_at_brace(template);
        // What an expansion would percent-encode is left to the pattern.
        let plain = prefix.bytes().take_while(|byte| is_plain(*byte)).count();
        let (prefix, unusual) = prefix.split_at(plain);
        let mut pattern = String::new();
        literal(unusual, &mut pattern);
        while !rest.is_empty() {
            let inside = rest.strip_prefix('{')?;
            let (inside, behind) = inside.split_once('}')?;
            expression::translate(inside, &mut pattern)?;
            let (between, next) = split_at_brace(behind);
            literal(between, &mut pattern);
            rest = next;
        }
        Some(Self { prefix: prefix.into(), pattern: pattern.into(), compiled: OnceLock::new() })
    }

    /// Whether the template can expand to this URI. Takes time linear in the URI's length.
    pub(crate) fn matches(&self, uri: &str) -> bool {
        let Some(rest) = uri.strip_prefix(&*self.prefix) else { return false };
        uri.len() <= MAX_URI
            && self
                .compiled
                .get_or_init(|| compile(&self.pattern))
                .as_ref()
                .is_some_and(|regex| regex.is_match(rest.as_bytes()))
    }
}

fn split_at_brace(text: &str) -> (&str, &str) {
    text.split_at(text.find(['{', '}']).unwrap_or(text.len()))
}

fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(MAX_COMPILED)
        .build()
        .ok()
}

/// Adds the pattern of literal text: itself, or for characters that an expansion percent-encodes
/// (RFC 6570, 3.1) also that form.
fn literal(text: &str, pattern: &mut String) {
    for char in text.chars() {
        let mut buffer = [0; 4];
        let bytes = char.encode_utf8(&mut buffer).as_bytes();
        let raw: String = bytes.iter().map(|byte| format!(r"\x{byte:02x}")).collect();
        if bytes.iter().all(|byte| is_plain(*byte)) {
            pattern.push_str(&raw);
            continue;
        }
        let encoded: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
        pattern.push_str(&format!("(?:{raw}|(?i:{encoded}))"));
    }
}

/// Whether an expansion leaves a literal byte as it is: unreserved, reserved, or the beginning of
/// a percent-encoded one.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

#[cfg(test)]
mod tests;
