//! HTTP with SSE, as revision 2024-11-05 has it: one GET stream on which everything comes back, and an
//! endpoint, named by the stream's first event, to which every message is posted.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{StatusCode, Uri, uri::PathAndQuery};
use vmcp_wire::{headers::MediaType, sse};

use crate::{
    conduct::Conduct,
    error::Error,
    http::{Http, body::Body},
    link::{Link, Outbox},
    pace::Pace,
    reading,
    subject::Subject,
};

/// How long a stream may be open without naming its endpoint: servers do so at once.
const NAMED: Duration = Duration::from_secs(10);

/// The stream of one session.
pub(crate) struct Stream {
    body: Body,
    decoder: sse::Decoder,
    decoded: VecDeque<sse::Event>,
    pace: Pace,
    conduct: Arc<Conduct>,
}

/// Opens the stream and waits until it names the endpoint.
pub(crate) async fn connect(
    http: &Arc<Http>,
    subject: Option<&Subject>,
    event_bytes: usize,
    conduct: &Arc<Conduct>,
) -> Result<(Stream, Outbox), Error> {
    let response = http.listen_first(subject).await?;
    match response.status() {
        StatusCode::OK if MediaType::of(response.headers()) == MediaType::EventStream => {}
        StatusCode::OK => {
            return Err(Error::Protocol("answered with something else than a stream".to_owned()));
        }
        status => return Err(Error::refused(status.as_u16())),
    }
    let decoder = sse::Decoder::new(event_bytes);
    let (body, conduct) = (response.into_body(), Arc::clone(conduct));
    let (decoded, pace) = (VecDeque::new(), Pace::default());
    let mut stream = Stream { body, decoder, decoded, pace, conduct };
    let named = tokio::time::timeout(NAMED, stream.endpoint()).await;
    let endpoint = named.unwrap_or_else(|_elapsed| Err(unnamed("has not begun")))?;
    let target = std::str::from_utf8(&endpoint).ok().and_then(|at| resolve(http.url(), at));
    let target = target.ok_or_else(|| {
        // It may hold a secret.
        Error::Protocol("names an endpoint that is not of its own origin".to_owned())
    })?;
    Ok((stream, Outbox::Post { http: Arc::clone(http), target, subject: subject.cloned() }))
}

/// What is no stream of HTTP+SSE, as far as can be told.
fn unnamed(how: &str) -> Error {
    Error::Protocol(format!(
        "its stream {how} with an `endpoint` event, as HTTP+SSE must; if it speaks Streamable HTTP, do not configure it as sse"
    ))
}

impl Stream {
    /// What the event says that names the endpoint.
    async fn endpoint(&mut self) -> Result<Bytes, Error> {
        while let Some(event) = self.event().await? {
            if event.name == "endpoint" {
                return Ok(event.data);
            }
        }
        Err(unnamed("ended and had not begun"))
    }

    /// Brings in what the backend sends, until the stream or the link ends.
    pub(crate) async fn drive(mut self, link: &Link) {
        let closing = link.closing().clone();
        let why = tokio::select! {
            () = closing.cancelled() => "was closed".to_owned(),
            done = self.follow(link) => match done {
                Ok(()) => "ended its stream".to_owned(),
                Err(error) => error.to_string(),
            }
        };
        tracing::debug!(backend = %link.backend(), why, "a connection of HTTP+SSE has ended");
        link.close();
        link.end(why, None);
    }

    async fn follow(&mut self, link: &Link) -> Result<(), Error> {
        while let Some(event) = self.event().await? {
            if event.data.is_empty() {
                self.pace.count();
                self.pace.keep().await;
                continue;
            }
            let read = match event.name.as_str() {
                "" | "message" => {
                    reading::message(link.backend(), self.conduct.secrets(), event.data)
                }
                name => Err(format!(
                    "an event of the name {:?}",
                    self.conduct.secrets().excerpt(name.as_bytes())
                )),
            };
            let answered = match read {
                Ok(message) => link.receive(message).await,
                Err(what) => {
                    self.conduct.skipped(link.backend(), &what);
                    false
                }
            };
            // Answers are bounded by what was asked.
            if !answered {
                self.pace.count();
                self.pace.keep().await;
            }
        }
        Ok(())
    }

    /// The next event; `None` at the end.
    async fn event(&mut self) -> Result<Option<sse::Event>, Error> {
        loop {
            if let Some(event) = self.decoded.pop_front() {
                return Ok(Some(event));
            }
            self.pace.keep().await;
            let Some(chunk) = self.body.chunk().await.transpose()? else { return Ok(None) };
            let mut events = Vec::new();
            self.decoder
                .feed(&chunk, &mut events)
                .map_err(|error| Error::Protocol(error.to_string()))?;
            self.decoded.extend(events);
            self.pace.read(chunk.len(), self.decoder.take_lines());
            self.pace.rest(self.conduct.waste(self.decoder.take_waste()));
        }
    }
}

/// The endpoint that a stream at `base` names (RFC 3986, section 5), which must be of the same
/// origin: what is posted there carries a credential.
fn resolve(base: &Uri, reference: &str) -> Option<Uri> {
    let reference = reference.trim();
    let before = reference.split(['/', '?', '#']).next().unwrap_or_default();
    if before.ends_with(':') || reference.starts_with("//") {
        let whole = if reference.starts_with("//") {
            format!("{}:{reference}", base.scheme_str()?)
        } else {
            reference.to_owned()
        };
        let target: Uri = whole.parse().ok()?;
        return (origin(&target)? == origin(base)?).then_some(target);
    }
    let path = base.path();
    let path_and_query = match reference.chars().next()? {
        '/' => reference.to_owned(),
        '?' => format!("{path}{reference}"),
        _ => {
            let directory = path.rfind('/').map_or("/", |at| &path[..=at]);
            without_dots(&format!("{directory}{reference}"))
        }
    };
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path_and_query).ok()?);
    Uri::from_parts(parts).ok()
}

/// The path without its dot segments (RFC 3986, section 5.2.4); the query stays.
fn without_dots(reference: &str) -> String {
    let (path, query) = reference.split_at(reference.find('?').unwrap_or(reference.len()));
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    format!("/{}{query}", segments.join("/"))
}

/// Scheme, host and port (RFC 6454, section 4).
fn origin(uri: &Uri) -> Option<(String, String, u16)> {
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let authority = uri.authority()?;
    if authority.as_str().contains('@') {
        return None;
    }
    let port = uri.port_u16().or(match scheme.as_str() {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    })?;
    Some((scheme, authority.host().to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reference: &str, expected: Option<&str>) {
        let base: Uri = "http://one.example:8080/mcp/sse?key=1".parse().unwrap();
        let resolved = resolve(&base, reference).map(|target| target.to_string());
        assert_eq!(resolved.as_deref(), expected);
    }

    #[test]
    fn endpoints_of_the_same_origin_are_resolved() {
        check("/messages?id=1", Some("http://one.example:8080/messages?id=1"));
        check("messages?id=1", Some("http://one.example:8080/mcp/messages?id=1"));
        check("../m?to=http://x", Some("http://one.example:8080/m?to=http://x"));
        check("/m?to=http://x", Some("http://one.example:8080/m?to=http://x"));
        check("?id=1", Some("http://one.example:8080/mcp/sse?id=1"));
        check("http://ONE.example:8080/m", Some("http://ONE.example:8080/m"));
        check("//one.example:8080/m", Some("http://one.example:8080/m"));
    }

    #[test]
    fn endpoints_of_another_origin_are_refused() {
        check("http://two.example:8080/m", None);
        check("https://one.example:8080/m", None);
        check("http://one.example/m", None);
        check("http://one.example:8080@two.example/m", None);
        check("//two.example:8080/m", None);
        check("", None);
        check("/with space", None);
    }
}
