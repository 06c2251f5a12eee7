//! What a backend is given or shown that nobody else may see, and how it is kept out of what is told of it.
//!
//! A backend may repeat its secrets in whatever it says. Nothing can keep out what it has changed beyond
//! recognition; known are each line of a secret, its usual encodings, and its beginning where a text is cut.

mod arguments;

use std::{borrow::Cow, cmp::Reverse, sync::Arc};

use http::HeaderValue;
use vmcp_credentials::Credential;
use vmcp_model::percent_encoded;

use crate::config::{Endpoint, Program, Transport};

/// The shortest value that is taken for a secret: if its name says that it is one, and otherwise. Shorter ones
/// are settings, and occur in whatever a program says.
const SHORTEST: (usize, usize) = (4, 8);

/// The shortest beginning or piece of a secret that is known again.
const PIECE: (usize, usize) = (6, 12);

/// Characters of what a backend says that an error message shows.
const EXCERPT: usize = 200;

/// What stands in the place of a secret.
pub(crate) const MASK: &str = "***";

/// Bytes that are looked at for every character that is shown.
const LOOK: usize = 20;

/// Parts of names, in lower case, whose values are secrets.
const NAMES: [&str; 9] =
    ["tok", "key", "secret", "passw", "pwd", "auth", "credential", "dsn", "connection"];

/// The secrets of one backend.
#[derive(Default)]
pub(crate) struct Secrets {
    /// Those of its configuration.
    fixed: Known,
    /// What obtains others.
    credential: Option<Arc<Credential>>,
}

/// Texts that are secrets, the longest first.
#[derive(Clone, Default)]
struct Known(Vec<String>);

impl Secrets {
    /// Those of a backend that is reached so, and shown this.
    pub(crate) fn of(transport: &Transport, credential: &Arc<Credential>) -> Self {
        let mut fixed = Known::default();
        match transport {
            Transport::Http(endpoint) | Transport::Sse(endpoint) => fixed.add_endpoint(endpoint),
            Transport::Stdio(program) => fixed.add_program(program),
        }
        fixed.settle();
        Self { fixed, credential: Some(Arc::clone(credential)) }
    }

    /// Those of the configuration, and those that were shown last.
    fn known(&self) -> Cow<'_, Known> {
        let last = self.credential.as_ref().map(|credential| credential.last_shown());
        let last = last.unwrap_or_default();
        if last.is_empty() {
            return Cow::Borrowed(&self.fixed);
        }
        let mut known = self.fixed.clone();
        for shown in last {
            shown.secrets().into_iter().for_each(|value| known.add_header(value));
        }
        known.settle();
        Cow::Owned(known)
    }

    /// As much of a text as may be told, without the secrets in it and without control characters, at most so
    /// many characters.
    pub(crate) fn told(&self, text: &[u8], most: usize) -> String {
        let looked = &text[..text.len().min(most.saturating_mul(LOOK))];
        let cut = looked.len() < text.len();
        let text = self.known().masked(&String::from_utf8_lossy(looked), cut);
        let text = match &self.credential {
            Some(credential) => credential.seen().masked(&text),
            None => text,
        };
        let mut shown: String = text.chars().take(most).collect();
        if cut || shown.len() < text.len() {
            shown.push('…');
        }
        shown
    }

    /// The beginning of a text, for an error message.
    pub(crate) fn excerpt(&self, text: &[u8]) -> String {
        self.told(text, EXCERPT)
    }

    /// Whether a text holds one of them, or is a piece of one.
    pub(crate) fn are_in(&self, text: &str) -> bool {
        let is_piece = |secret: &String| text.len() >= PIECE.1 && secret.contains(text);
        self.known().0.iter().any(|secret| text.contains(secret.as_str()) || is_piece(secret))
            || self
                .credential
                .as_ref()
                .is_some_and(|credential| credential.seen().masked(text) != text)
    }
}

impl Known {
    /// One that holds another is replaced whole.
    fn settle(&mut self) {
        self.0.sort_by_key(|secret| Reverse(secret.len()));
        self.0.dedup();
    }

    /// The text without them. `cut` says that more of it was left away.
    fn masked(&self, text: &str, cut: bool) -> String {
        let line = text.trim();
        if line.len() >= PIECE.1 && self.0.iter().any(|secret| secret.contains(line)) {
            return MASK.to_owned();
        }
        let mut masked = text.to_owned();
        for secret in self.0.iter().filter(|secret| text.contains(secret.as_str())) {
            masked = masked.replace(secret.as_str(), MASK);
        }
        if cut {
            let begun = self.0.iter().filter_map(|secret| begun(secret, &masked)).max();
            masked.truncate(masked.len() - begun.unwrap_or_default());
        }
        without_bearer(&without_credentials(&masked))
    }

    fn add_program(&mut self, program: &Program) {
        for (name, value) in &program.env {
            let is_secret = is_secret_name(name);
            // A file is where it is for everybody.
            if is_secret || !std::path::Path::new(value).exists() {
                self.add(value, is_secret);
            }
        }
        program.secrets.iter().for_each(|secret| self.add(secret, true));
        arguments::secrets(&program.args).iter().for_each(|secret| self.add(secret, true));
        // Proxies and registries may have a password in their URLs.
        for value in program.inherited.values() {
            arguments::of_url(value).iter().for_each(|secret| self.add(secret, true));
        }
    }

    fn add_endpoint(&mut self, endpoint: &Endpoint) {
        let proxy = endpoint.proxy.as_ref().and_then(|proxy| proxy.authorization.as_ref());
        let headers = endpoint.headers.values().chain(proxy).map(HeaderValue::as_bytes);
        headers.chain(endpoint.outgoing.secrets()).for_each(|value| self.add_header(value));
        let url = endpoint.url.to_string();
        arguments::of_url(&url).iter().for_each(|secret| self.add(secret, true));
    }

    fn add_header(&mut self, value: &[u8]) {
        let value = String::from_utf8_lossy(value);
        self.add(&value, false);
        // Behind a scheme such as `Bearer` stands what counts.
        if let Some((_, last)) = value.rsplit_once(' ') {
            self.add(last, true);
        }
    }

    /// Adds each line of a secret as it may be written.
    fn add(&mut self, secret: &str, is_named: bool) {
        let least = if is_named { SHORTEST.0 } else { SHORTEST.1 };
        for line in secret.lines().map(str::trim).filter(|line| line.len() >= least) {
            self.0.extend(
                [percent_encoded(line), escaped(line)].into_iter().filter(|other| other != line),
            );
            self.0.push(line.to_owned());
        }
    }
}

/// Secrets are shown to nobody.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.fixed.0.len())
    }
}

/// Whether a name says that its value is a secret.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|part| name.contains(part))
}

/// How many bytes at the end of a text are the beginning of a secret.
fn begun(secret: &str, text: &str) -> Option<usize> {
    let lengths = (PIECE.0..secret.len()).rev().filter(|length| secret.is_char_boundary(*length));
    lengths.into_iter().find(|length| text.ends_with(&secret[..*length]))
}

/// As string literals have it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The line, with what stands before the `@` of a URL's host left out, whatever it holds.
fn without_credentials(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + "://".len());
        shown += before;
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>');
        let url = &after[..after.find(ends).unwrap_or(after.len())];
        let host = url.rfind('@').filter(|host| {
            let before = &url[..*host];
            before.contains(':') || !before.contains('/')
        });
        rest = match host {
            Some(host) => {
                shown += MASK;
                &after[host..]
            }
            None => after,
        };
    }
    shown + rest
}

/// The line without tokens of the scheme `Bearer` (RFC 6750).
fn without_bearer(line: &str) -> String {
    const SCHEME: &str = "bearer ";
    let lower = line.to_ascii_lowercase();
    let (mut shown, mut from) = (String::with_capacity(line.len()), 0);
    while let Some(at) = lower[from..].find(SCHEME) {
        let token = from + at + SCHEME.len();
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
        let end = line[token..].find(|c: char| !is_part(c)).map_or(line.len(), |end| token + end);
        shown += &line[from..token];
        // Words that follow are no tokens.
        let is_token =
            end - token >= SHORTEST.1 && !line[token..end].bytes().all(|b| b.is_ascii_lowercase());
        shown += if is_token { MASK } else { &line[token..end] };
        from = end;
    }
    shown + &line[from..]
}

#[cfg(test)]
mod tests;
