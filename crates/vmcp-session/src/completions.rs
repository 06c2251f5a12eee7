//! What a client is told when that is done which a backend has asked it to do at a URL
//! (specification 2025-11-25, client/elicitation, "completion notifications").
//!
//! The call that asked may have ended long before, so the backend says it on its own stream, to which
//! nobody may be listening. It is listened to for a while, and what it says reaches the client on
//! whatever stream that has, or waits for one.

use std::{ops::Range, sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use vmcp_backend::{Backend, Lineage, Session as BackendSession};
use vmcp_core::{BackendSessions as _, Question};
use vmcp_model::{
    BackendId, Digest, Method,
    raw::{self, Members},
};

use crate::session::Session;

/// How long a backend is listened to for it.
const PATIENCE: Duration = Duration::from_secs(600);

/// What one session waits for at once; the oldest is given up first.
const MOST: usize = 16;

/// Something that the client was asked to do at a URL.
#[derive(Debug)]
pub(crate) struct Awaited {
    backend: BackendId,
    lineage: Lineage,
    /// Of the backend's id for it.
    id: Digest,
    since: Instant,
    /// Ends what waits until it is given up.
    _timer: DropGuard,
}

impl Awaited {
    /// Whether a backend is to say that this is done.
    pub(crate) fn is_of(&self, backend: &Backend) -> bool {
        self.lineage == backend.lineage() && self.backend == *backend.id()
    }
}

impl Session {
    /// Listens to a backend for a while if it asks the client to do something at a URL.
    pub(crate) fn await_asked(
        &self,
        backend: &Arc<Backend>,
        open: &BackendSession,
        question: &Question,
    ) {
        if question.method == Method::ElicitationCreate
            && let Some(params) = member(&question.text, "params")
        {
            self.await_completion(backend, open, &question.text[params]);
        }
    }

    /// The same for an error which says what must be done before a call can be made.
    pub(crate) fn await_required(&self, backend: &Arc<Backend>, text: &[u8]) {
        let all = ["error", "data", "elicitations"]
            .into_iter()
            .try_fold(text, |text, name| member(text, name).map(|span| &text[span]));
        let (Some(all), Some(open)) = (all, self.open(backend)) else { return };
        for one in raw::elements(all).into_iter().flatten().take(MOST) {
            self.await_completion(backend, &open, &all[one]);
        }
    }

    fn await_completion(&self, backend: &Arc<Backend>, open: &BackendSession, asked: &[u8]) {
        let string = |name| member(asked, name).and_then(|span| raw::as_string(&asked[span]));
        let Some(id) = string("elicitationId").filter(|_| string("mode").as_deref() == Some("url"))
        else {
            return;
        };
        let timer = CancellationToken::new();
        let awaited = Awaited {
            backend: backend.id().clone(),
            lineage: backend.lineage(),
            id: Digest::of(id.as_bytes()),
            since: Instant::now(),
            _timer: timer.clone().drop_guard(),
        };
        self.with_activity(|activity| {
            if activity.awaited.len() == MOST {
                activity.awaited.pop_front();
            }
            activity.awaited.push_back(awaited);
        });
        drop(self.listen_if_wanted(backend, open));
        let me = self.me.clone();
        self.shared.background.spawn_until_stop(async move {
            let is_over = timer.run_until_cancelled(tokio::time::sleep(PATIENCE)).await.is_some();
            if is_over && let Some(session) = me.upgrade() {
                session.end_awaiting(|awaited| awaited.since.elapsed() >= PATIENCE);
            }
        });
    }

    /// Notes that a backend has said that something is done, by its id for it. `false` if only another is
    /// known to have asked for that.
    pub(crate) fn note_completed(&self, backend: &Backend, id: &str) -> bool {
        let id = Digest::of(id.as_bytes());
        let asked = |own: bool| {
            let is_it = |awaited: &Awaited| awaited.id == id && awaited.is_of(backend) == own;
            self.peek(|activity| Some(activity.awaited.iter().any(is_it))).unwrap_or(false)
        };
        let (by_this, by_another) = (asked(true), asked(false));
        self.end_awaiting(|awaited| awaited.id == id && awaited.is_of(backend));
        by_this || !by_another
    }

    fn end_awaiting(&self, which: impl Fn(&Awaited) -> bool) {
        let ended = self.with_activity(|activity| {
            let before = activity.awaited.len();
            activity.awaited.retain(|awaited| !which(awaited));
            activity.awaited.len() < before
        });
        if ended {
            self.stop_listening();
        }
    }

    /// Tells the client, which may have opened no GET stream, or have lost it: on the stream of a call
    /// that is under way then, or once there is a GET stream.
    pub(crate) fn tell_completed(&self, text: &[u8]) {
        let log = self.with_activity(|activity| {
            let get = activity.standalone.as_ref().filter(|log| log.is_attached());
            let mut calls = activity.streams.values();
            let call = || calls.find(|log| log.takes_more());
            get.or_else(call).cloned()
        });
        let log = log.unwrap_or_else(|| self.standalone());
        if !log.append(text) {
            tracing::debug!("there was no room for a message to the client");
        }
    }
}

fn member(object: &[u8], name: &str) -> Option<Range<usize>> {
    Members::parse(object)?.span(name)
}
