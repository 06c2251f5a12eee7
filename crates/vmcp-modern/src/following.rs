//! What one backend says of the resources that one client listens to, for as long as it does: through
//! streams that end, and through other configurations.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use vmcp_backend::{Backend, Error, Events, Session};
use vmcp_core::{View, Vmcp};
use vmcp_model::{BackendId, Method};

/// How long to wait, at least and at most, before a backend is listened to again.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// The resources of one backend, as one client listens to them.
pub(crate) struct Following {
    pub(crate) vmcp: Arc<Vmcp>,
    pub(crate) view: Arc<View>,
    pub(crate) backend: BackendId,
    pub(crate) uris: Vec<String>,
    pub(crate) updates: mpsc::Sender<String>,
}

/// Why a stream is not read any more.
enum End {
    /// It has ended, or the backend has given its place to another.
    Stream,
    /// Nobody is told any more.
    Client,
}

impl Following {
    /// Opens a stream. `None` if the backend offers none.
    pub(crate) async fn begin(
        &self,
        backend: &Arc<Backend>,
        session: &Session,
    ) -> Result<Option<Events>, Error> {
        let uris: Vec<_> = self.uris.iter().map(String::as_str).collect();
        backend.listen_to(session, &uris).await
    }

    /// Passes on what is said on a stream and on those that follow it. What has changed while nobody
    /// listened is not known, so each time all are said to have changed.
    pub(crate) async fn go_on(self, mut backend: Arc<Backend>, mut events: Events) {
        let mut replaced = self.vmcp.replacements();
        let mut wait = AGAIN.0;
        loop {
            let began = Instant::now();
            if let End::Client = self.pass_on(&backend, events, &mut replaced).await {
                return;
            }
            if began.elapsed() > AGAIN.1 {
                wait = AGAIN.0;
            }
            (backend, events) = loop {
                let _sooner = tokio::time::timeout(wait, replaced.changed()).await;
                wait = (wait * 2).min(AGAIN.1);
                match self.begin_again().await {
                    Ok(Some(begun)) => break begun,
                    // Not now: it is out of the configuration, or offers no such stream any more.
                    Ok(None) => {}
                    Err(error) => {
                        tracing::debug!(backend = %self.backend, %error, "a backend is not listened to");
                    }
                }
            };
            for uri in &self.uris {
                if self.updates.send(uri.clone()).await.is_err() {
                    return;
                }
            }
        }
    }

    /// A stream of the backend that has this name now.
    async fn begin_again(&self) -> Result<Option<(Arc<Backend>, Events)>, Error> {
        let Some(backend) = self.vmcp.backend(self.backend.as_str()) else { return Ok(None) };
        backend.detect(self.view.client()).await?;
        let Some(session) = backend.stateless(self.view.client()) else { return Ok(None) };
        let events = self.begin(&backend, &session).await?;
        Ok(events.map(|events| (backend, events)))
    }

    async fn pass_on(
        &self,
        backend: &Arc<Backend>,
        mut events: Events,
        replaced: &mut watch::Receiver<u64>,
    ) -> End {
        loop {
            let now = self.vmcp.backend(self.backend.as_str());
            if !now.is_some_and(|now| Arc::ptr_eq(&now, backend)) {
                return End::Stream;
            }
            let next = tokio::select! {
                Ok(()) = replaced.changed() => continue,
                next = events.next() => next,
            };
            let Ok(Some(message)) = next else { return End::Stream };
            if message.method() != Some(Method::ResourcesUpdated) {
                continue;
            }
            let uri = message.string(message.params().uri.as_ref());
            if let Some(uri) = uri
                && self.updates.send(uri.into_owned()).await.is_err()
            {
                return End::Client;
            }
        }
    }
}
