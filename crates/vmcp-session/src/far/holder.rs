//! Does what other replicas ask of links that this one holds.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use vmcp_backend::{Backend, Session as Open};
use vmcp_core::{BackendSessions as _, Ticket};
use vmcp_model::{BackendId, ProtocolVersion};
use vmcp_peer::{Asker, Frames, Refusal, Request, Serve, Served};
use vmcp_store::{Place, SessionKey};
use vmcp_wire::{Fault, Message};

use super::asked::{END, ENDING, Ending, Errand, GONE, LINK, NONSENSE, NOT_HELD, NOT_NOW};
use crate::{
    replicas::close_unused,
    session::Session,
    sessions::{Sessions, unavailable},
};

/// Answers the other replicas for the sessions of this one, once there are such.
#[derive(Debug, Default, Clone)]
pub struct Holder(Arc<std::sync::OnceLock<Weak<Sessions>>>);

impl Holder {
    /// Answers for these from now on.
    pub(crate) fn answer_for(&self, sessions: &Arc<Sessions>) {
        self.0.get_or_init(|| Arc::downgrade(sessions));
    }
}

impl Serve for Holder {
    fn serve(&self, _asker: &Asker, request: Request) -> Served {
        let sessions = self.0.get().and_then(Weak::upgrade);
        Box::pin(async move {
            let not_now =
                || Refusal::new(NOT_NOW, "the replica that holds it is starting, or ends");
            let sessions = sessions.ok_or_else(not_now)?;
            match request.path.as_str() {
                LINK => sessions.run_errand(request.head).await,
                END => sessions.end_link(&request.head).await,
                other => {
                    Err(Refusal::new(NONSENSE, format!("{other} is not known to this version")))
                }
            }
        })
    }
}

impl Sessions {
    /// Does something on a link that a session has here, if it is the caller's.
    async fn run_errand(&self, head: Bytes) -> Result<Frames, Refusal> {
        let errand =
            Errand::read(head).ok_or_else(|| Refusal::new(NONSENSE, "this is no errand"))?;
        let backend = self.held(&errand).await?;
        let ticket = self.counted(&errand.request)?;
        let mut carried = backend.carry(&errand.link, errand.version, errand.request).await;
        let (sender, frames) = Frames::channel();
        self.shared.background.spawn_until_stop(async move {
            let cut = async {
                match &ticket {
                    Some(ticket) => _ = ticket.call().fired().await,
                    None => std::future::pending().await,
                }
            };
            tokio::pin!(cut);
            loop {
                let frame = tokio::select! {
                    biased;
                    () = sender.closed() => return,
                    () = &mut cut => {
                        return sender.refuse(Refusal::new(ENDING, "its time is over"));
                    }
                    frame = carried.next() => frame,
                };
                let Some(frame) = frame else { return sender.finish() };
                if sender.send(frame).await.is_err() {
                    return;
                }
            }
        });
        Ok(frames)
    }

    /// The backend whose link this is, if the session that has it is the caller's.
    async fn held(&self, errand: &Errand) -> Result<Arc<Backend>, Refusal> {
        let Errand { session, principal, backend, link, .. } = errand;
        let unknown = || Refusal::new(GONE, "there is no such session");
        let key = SessionKey::of(session);
        let holds = || Refusal::new(NOT_HELD, "the link is not held any more");
        let backend = self.shared.vmcp.backend(backend.as_str()).ok_or_else(holds)?;
        if let Some(live) = self.live(session) {
            if live.principal != *principal {
                return Err(unknown());
            }
            if !self.is_certain(&live) {
                Box::pin(self.confirm(&live)).await.map_err(|fault| refusal(&fault))?;
            }
            live.touch();
            let open = live.open(&backend);
            if open.is_some_and(|open| open.holder().is_none() && open.id() == Some(link)) {
                return Ok(backend);
            }
        }
        // It may have been let go here, as nobody called for it; the record says whose it is.
        let record = self.shared.store.load(key, self.shared.clock.now()).await;
        let record = record.map_err(|error| refusal(&unavailable(error)))?.ok_or_else(unknown)?;
        if !self.owns(principal, record.owner).map_err(|fault| refusal(&fault))? {
            return Err(unknown());
        }
        let is_it = record.backend(backend.id()).is_some_and(|kept| {
            kept.session_id.as_deref() == Some(link)
                && kept.place == Place::Replica(self.shared.replica.clone())
        });
        if is_it { Ok(backend) } else { Err(holds()) }
    }

    /// Counts a request of a client among the calls under way, which a shutdown waits for.
    fn counted(&self, request: &Bytes) -> Result<Option<Ticket>, Refusal> {
        if !vmcp_backend::is_call(request) {
            return Ok(None);
        }
        let Ok(message) = Message::parse(request.slice(1..)) else { return Ok(None) };
        // It is refused only where this replica is about to end.
        let ticket = self.shared.vmcp.begin_call(&message);
        ticket.map(Some).map_err(|fault| Refusal::new(ENDING, fault.to_string()))
    }

    /// Ends a link of a session that has ended.
    async fn end_link(&self, head: &[u8]) -> Result<Frames, Refusal> {
        let ending = Ending::read(head);
        let Ending { key, backend, link } =
            ending.ok_or_else(|| Refusal::new(NONSENSE, "this is no end"))?;
        let has_ended = self.has_ended(key, &backend, &link).await;
        if has_ended.map_err(|fault| refusal(&fault))?
            && !self.is_open_here(&backend, &link)
            && let Some(backend) = self.shared.vmcp.backend(backend.as_str())
            && let Some(open) =
                Open::resumed(Some(&link), ProtocolVersion::LATEST_LEGACY, backend.facts())
        {
            let drain = self.shared.config.drain;
            self.shared.background.spawn(async move { close_unused(&backend, &open, drain).await });
        }
        Ok(Frames::one(Bytes::new()))
    }

    /// Whether a live session has this link.
    fn is_open_here(&self, backend: &BackendId, link: &str) -> bool {
        let Some(backend) = self.shared.vmcp.backend(backend.as_str()) else { return false };
        let has_it = |session: &Arc<Session>| {
            session
                .open(&backend)
                .is_some_and(|open| open.holder().is_none() && open.id() == Some(link))
        };
        self.all().iter().any(has_it)
    }

    /// Whether the record of this session does not name the link any more.
    async fn has_ended(
        &self,
        key: SessionKey,
        backend: &BackendId,
        link: &str,
    ) -> Result<bool, Fault> {
        let kept = self.shared.store.backend(key, backend.clone()).await.map_err(unavailable)?;
        Ok(kept.flatten().is_none_or(|kept| kept.session_id.as_deref() != Some(link)))
    }
}

fn refusal(fault: &Fault) -> Refusal {
    let code = if matches!(fault, Fault::SessionUnknown) { GONE } else { NOT_NOW };
    Refusal::new(code, fault.to_string())
}
