//! Headers that every request to a backend carries: `headers`, `headersFromFile`, and those of the reference
//! system's variable ([`forwarded`](super::forwarded)).
//!
//! No message holds the value of one.

use http::{HeaderMap, HeaderName, HeaderValue};
use vmcp_credentials::{Config as Outgoing, RESERVED};

use super::{forwarded::Forwarded, outgoing, reader::Reader, secret, value::Value};

/// The headers of one backend, each with where it is given.
#[derive(Default)]
pub(super) struct FixedHeaders<'a>(Vec<Fixed<'a>>);

struct Fixed<'a> {
    name: HeaderName,
    /// `None` where that has been reported: the name is taken all the same.
    content: Option<HeaderValue>,
    source: Source<'a>,
}

/// Where a header is given.
enum Source<'a> {
    /// Under this key of the file.
    Key(&'static str, Value<'a>),
    Variable(Forwarded<'a>),
}

/// Reads the headers of a backend, beside those that a variable gives it.
pub(super) fn read<'a>(reader: &Reader<'a>, forwarded: Vec<Forwarded<'a>>) -> FixedHeaders<'a> {
    let mut headers = FixedHeaders::default();
    for (name, value) in reader.pairs("headers") {
        let content = || {
            value.warn_of_shell_variables();
            outgoing::header_value(&value, value.any_text()?.as_bytes(), "it")
        };
        headers.add_key("headers", name, &value, content);
    }
    for (name, value) in reader.pairs("headersFromFile") {
        let content = || {
            let bytes = secret::from_file(&value)?;
            outgoing::header_value(&value, &bytes, &value.quoted())
        };
        headers.add_key("headersFromFile", name, &value, content);
    }
    for header in forwarded {
        headers.add_forwarded(header);
    }
    headers
}

/// What keeps a name from being that of a fixed header.
pub(super) fn name(text: &str) -> Result<HeaderName, &'static str> {
    let name = HeaderName::from_bytes(text.as_bytes());
    let name = name.map_err(|_error| "its key is not the name of a header")?;
    if RESERVED.contains(&name) {
        return Err("belongs to the transport and cannot be set");
    }
    Ok(name)
}

impl<'a> FixedHeaders<'a> {
    /// Refuses those that something else decides as well.
    pub(super) fn check(&self, outgoing: &Outgoing, passthrough: &[HeaderName]) {
        for header in &self.0 {
            if outgoing.sets(&header.name) {
                header.problem("outgoingAuth sets this header as well; keep one of the two");
            }
            if passthrough.contains(&header.name) {
                header.problem(
                    "passthroughHeaders passes the client's own value of this header; keep one of the two",
                );
            }
        }
    }

    /// Those that can be sent.
    pub(super) fn map(&self) -> HeaderMap {
        let sent = |header: &Fixed<'_>| Some((header.name.clone(), header.content.clone()?));
        self.0.iter().filter_map(sent).collect()
    }

    fn add_key(
        &mut self,
        key: &'static str,
        text: &str,
        value: &Value<'a>,
        content: impl FnOnce() -> Option<HeaderValue>,
    ) {
        let name = match name(text) {
            Ok(name) => name,
            Err(why) => return value.problem(why),
        };
        match self.of(&name).map(|other| &other.source) {
            Some(Source::Key(other, _)) if *other == key => {
                value.problem("stands here in another spelling already");
            }
            Some(Source::Key(other, _)) => {
                value.problem(format!("stands under {other} already; keep one of the two"));
            }
            Some(Source::Variable(_)) | None => {
                let (content, source) = (content(), Source::Key(key, value.clone()));
                self.0.push(Fixed { name, content, source });
            }
        }
    }

    /// Adds a header of a variable, after all of the file.
    fn add_forwarded(&mut self, header: Forwarded<'a>) {
        let (name, content) = (header.name.clone(), Some(header.content.clone()));
        let Some(other) = self.of(&name) else {
            return self.0.push(Fixed { name, content, source: Source::Variable(header) });
        };
        match &other.source {
            Source::Key(_, value) if other.content.is_some() && other.content != content => {
                let key = &header.key;
                value
                    .problem(format!("{key} gives this header another value; keep one of the two"));
            }
            Source::Key(..) => {}
            Source::Variable(other) => {
                let key = &other.key;
                header.problem(&format!("{key} is the same header; keep one of the two"));
            }
        }
    }

    fn of(&self, name: &HeaderName) -> Option<&Fixed<'a>> {
        self.0.iter().find(|header| header.name == *name)
    }
}

impl Fixed<'_> {
    fn problem(&self, text: &str) {
        match &self.source {
            Source::Key(_, value) => value.problem(text),
            Source::Variable(header) => header.problem(text),
        }
    }
}
