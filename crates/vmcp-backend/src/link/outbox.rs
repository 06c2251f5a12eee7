//! How what is sent on a link leaves it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Uri;
use tokio::sync::mpsc;

use crate::{error::Error, http::Http, subject::Subject};

/// How long a server of HTTP+SSE may take to accept a message, and nobody waits for it.
const ACCEPTANCE: Duration = Duration::from_secs(60);

/// How messages go out.
#[derive(Debug, Clone)]
pub(crate) enum Outbox {
    /// One line each, in order.
    Lines(mpsc::Sender<Bytes>),
    /// Each on a request of its own.
    Post { http: Arc<Http>, target: Uri, subject: Option<Subject> },
}

impl Outbox {
    pub(super) async fn send(&self, text: Bytes) -> Result<(), Error> {
        match self {
            // Who takes the lines is gone: this one was not sent.
            Self::Lines(lines) => {
                lines.send(one_line(text)).await.map_err(|_unsent| Error::SessionLost)
            }
            Self::Post { http, target, subject } => {
                let posting = http.post_to(target, text, subject.as_ref());
                let posted = tokio::time::timeout(ACCEPTANCE, posting).await;
                match posted.unwrap_or(Err(Error::Timeout(ACCEPTANCE)))?.as_u16() {
                    200..=299 => Ok(()),
                    404 | 410 => Err(Error::SessionLost),
                    status => Err(Error::refused(status)),
                }
            }
        }
    }
}

/// The message without line breaks, which in JSON only stand between tokens, and with one at its
/// end (specification 2025-11-25, basic/transports, "stdio").
fn one_line(text: Bytes) -> Bytes {
    let mut line = Vec::with_capacity(text.len() + 1);
    line.extend(text.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    line.push(b'\n');
    line.into()
}
