//! Makes sessions: from `initialize`, or from the record of one that exists.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use ring::rand::SecureRandom as _;
use tokio::time::Instant;
use vmcp_backend::{ClientView, Subject};
use vmcp_core::{BackendSessions as _, ClientKey, CountedSession, Granted, Settled};
use vmcp_model::{BackendId, Identity, ProtocolVersion, raw, raw::Members, trail};
use vmcp_store::{ClientProfile, Handed, Record, SessionKey};
use vmcp_wire::{ClientHello, Fault, Id, Message, meta::MISSING, reply};

use crate::{
    backends::Slots,
    kept::resumed,
    session::{Parts, Session},
    sessions::{Sessions, unavailable},
};

/// Bytes that a client may say about itself: they are kept as long as its session.
const MAX_HELLO: usize = 64 << 10;

impl Sessions {
    /// Answers `initialize`: makes a session and gives its id and the response.
    ///
    /// A placeholder takes the id first; the session is servable only if the placeholder still
    /// stands when it is filled.
    pub async fn initialize(
        &self,
        identity: &Identity,
        client: ClientKey,
        request: &Message,
    ) -> Result<(Arc<str>, Bytes), Fault> {
        let id = request.id().ok_or(Fault::InvalidRequest("initialize needs an id".into()))?;
        if self.takes_no_session() {
            return Err(Fault::Unavailable("vmcp is shutting down".into()));
        }
        if !self.has_room() {
            return Err(Fault::Unavailable("there are as many sessions as there may be".into()));
        }
        let counted = self.count_session(client.clone())?;
        let profile = profile(request)?;
        let version = profile.version;
        let profile = self.share_profile(profile);
        let wanted = self.client_view(&profile, identity);
        if !self.shared.vmcp.has_view(&wanted) {
            self.shared.vmcp.quotas().bring_up_view(&client, &wanted)?;
        }
        let view = self.shared.vmcp.view(&wanted)?;
        let session_id: Arc<str> = random_name().into();
        let key = SessionKey::of(&session_id);
        let now = self.shared.clock.now();
        let config = &self.shared.config;
        let placeholder =
            now.after(config.initialize_wait + config.ttl.min(Duration::from_secs(60)));
        if !self.shared.store.create(key, placeholder).await.map_err(unavailable)? {
            return Err(Fault::Internal("the session id is taken".into()));
        }
        let began = Instant::now();
        // What kinds of clients are offered of their own is read behind that, in the same time.
        let wait = config.initialize_wait;
        let settling = if view.is_a_kind() { wait * 3 / 4 } else { wait };
        let settled = view.settle(settling).await;
        if let Err(fault) = self.shared.vmcp.check_whole(&view) {
            self.abandon(key).await;
            return Err(fault);
        }
        let catalog = Arc::clone(&settled.catalog);
        let filled_at = self.shared.clock.now();
        let record = Record {
            created: now,
            deadline: filled_at.after(config.ttl),
            client: Arc::clone(&profile),
            owner: self.owner(identity.principal())?,
            catalog: catalog.digest(),
            log_level: None,
            subscriptions: Vec::new(),
            stream_epoch: 0,
            backends: Vec::new(),
            own_offers: Vec::new(),
            handed: Handed::default(),
        };
        let mark = self.shared.confidence.mark();
        let filled = async {
            self.shared.put_catalog(&catalog).await?;
            self.shared.store.fill(key, record).await
        };
        match filled.await {
            Ok(true) => {}
            Ok(false) => return Err(Fault::Unavailable("the session was ended meanwhile".into())),
            Err(error) => {
                self.abandon(key).await;
                return Err(unavailable(error));
            }
        }
        let session = self.enter(Session::new(Parts {
            shared: Arc::clone(&self.shared),
            id: Arc::clone(&session_id),
            principal: identity.principal().clone(),
            client: profile,
            view,
            catalog,
            own: None,
            slots: Slots::default(),
            subscriptions: Vec::new(),
            handed: Handed::default(),
            log_level: None,
            stream_epoch: 0,
            checked: mark,
            refreshed: filled_at,
            counted,
        }));
        // The catalog may have changed after it was taken and before the session was entered.
        self.shared.update(&session).await;
        if session.is_of_new_kind() {
            let wait = config.initialize_wait.saturating_sub(began.elapsed());
            session.introduce_kind(wait).await;
        }
        if config.eager {
            session.open_all(config.initialize_wait.saturating_sub(began.elapsed())).await;
        }
        let granted = self.shared.vmcp.rights().find(identity, Arc::clone(&settled.catalog)).await;
        Ok((session_id, self.greeting(id, version, &settled, &granted)))
    }

    /// Makes a session from its record: no backend is asked anything.
    pub(crate) async fn restore(
        &self,
        id: &str,
        identity: &Identity,
        client: ClientKey,
    ) -> Result<Arc<Session>, Fault> {
        let (key, now) = (SessionKey::of(id), self.shared.clock.now());
        // Before the record is read: what happens to it from now on is heard of.
        let (endings, mark) = (self.endings(), self.shared.confidence.mark());
        let record = self.shared.store.load(key, now).await.map_err(unavailable)?;
        let record = record.ok_or(Fault::SessionUnknown)?;
        if !self.owns(identity.principal(), record.owner)? {
            return Err(Fault::SessionUnknown);
        }
        if !self.has_room() {
            return Err(Fault::Unavailable("there are as many sessions as there may be".into()));
        }
        let counted = self.count_session(client)?;
        let profile = self.share_profile(ClientProfile::clone(&record.client));
        let view = self.shared.vmcp.view(&self.client_view(&profile, identity))?;
        let own = self.shared.own_of(&record).await;
        let offers = own.as_ref().map(|own| own.offers());
        let catalog = self.shared.catalog_of(&record, &view, offers.as_ref()).await?;
        let session_id: Arc<str> = id.into();
        let slots = record.backends.iter().filter_map(|(id, kept)| {
            let backend = self.shared.vmcp.backend(id.as_str())?;
            if !self.shared.is_ready(&backend, kept) {
                return None;
            }
            let open = resumed(&backend, kept, view.client())?;
            let whose = (&session_id, identity.principal());
            let open = self.shared.leading(open, whose, &backend, kept);
            Some((backend, open))
        });
        let slots: Vec<_> = slots.collect();
        let session = Session::new(Parts {
            shared: Arc::clone(&self.shared),
            id: Arc::clone(&session_id),
            principal: identity.principal().clone(),
            client: profile,
            view,
            catalog,
            own,
            slots: Slots::resumed(slots.iter().map(|(backend, open)| (&**backend, open.clone()))),
            subscriptions: record.subscriptions,
            handed: record.handed,
            log_level: record.log_level,
            stream_epoch: record.stream_epoch,
            checked: mark,
            refreshed: record.deadline.before(self.shared.config.ttl),
            counted,
        });
        let entered = self.enter(session);
        // A session that was ended between its record's reading and its entry must not be served.
        if self.endings() != endings
            && self.shared.store.load(key, now).await.map_err(unavailable)?.is_none()
        {
            self.drop_live(&entered);
            return Err(Fault::SessionUnknown);
        }
        for (backend, open) in entered.open_backends() {
            entered.attend(&backend, &open);
        }
        if entered.is_of_new_kind() {
            // What it is shown is not taken away because it is not known here yet.
            let introduced = Arc::clone(&entered);
            let wait = self.shared.config.initialize_wait;
            self.shared.background.spawn_until_stop(async move {
                introduced.introduce_kind(wait).await;
            });
        } else {
            // What has changed while nobody held the session.
            self.shared.update(&entered).await;
        }
        Ok(entered)
    }

    /// Counts one more session of a client.
    fn count_session(&self, client: ClientKey) -> Result<CountedSession, Fault> {
        self.shared.vmcp.quotas().enter(client, self.shared.config.limits.sessions_per_client)
    }

    /// What the backends may tell the client's sessions apart by.
    fn client_view(&self, profile: &ClientProfile, identity: &Identity) -> ClientView {
        let client = ClientView::new(profile.version, profile.capabilities.clone());
        let subject = self.shared.vmcp.subject(identity);
        client.shown(subject.map(|key| Subject::new(key, identity)))
    }

    /// Removes a placeholder that cannot be filled.
    async fn abandon(&self, key: SessionKey) {
        let ended = self.shared.store.end(key, self.shared.clock.now()).await;
        let removed = match ended {
            Ok(_) => self.shared.store.remove(key).await,
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            tracing::warn!(%error, "a session that was not made will be cleared away later");
        }
    }

    /// The response to `initialize`.
    fn greeting(
        &self,
        id: Id<'_>,
        version: ProtocolVersion,
        settled: &Settled,
        granted: &Granted,
    ) -> Bytes {
        let server = &self.shared.config.server;
        let mut result =
            format!("{{\"protocolVersion\":\"{version}\",\"capabilities\":").into_bytes();
        result.extend_from_slice(&capabilities(settled));
        result.extend_from_slice(br#","serverInfo":"#);
        result.extend_from_slice(&server.to_json());
        if let Some(instructions) = granted.instructions() {
            result.extend_from_slice(br#","instructions":"#);
            result.extend_from_slice(&raw::string(instructions));
        }
        // Whose it is that is missing is not known.
        if !settled.missing.is_empty() && granted.grant.is_none() {
            let missing: Vec<&str> = settled.missing.iter().map(BackendId::as_str).collect();
            let list = serde_json::to_vec(&missing).unwrap_or_else(|_error| b"[]".to_vec());
            result.extend_from_slice(br#","_meta":{"#);
            result.extend_from_slice(&raw::string(MISSING));
            result.push(b':');
            result.extend_from_slice(&list);
            result.push(b'}');
        }
        result.push(b'}');
        reply::result(id, &result)
    }
}

impl Session {
    /// Opens every backend session, a bounded number at once. Those that take longer than `wait`
    /// are opened in the background.
    async fn open_all(self: &Arc<Self>, wait: Duration) {
        let places = Arc::new(tokio::sync::Semaphore::new(
            self.shared.config.max_backend_init_concurrency.max(1),
        ));
        let mut opening = tokio::task::JoinSet::new();
        for id in self.catalog.load().backends() {
            let (session, places, id) = (Arc::clone(self), Arc::clone(&places), id.clone());
            let open = async move {
                let _place = places.acquire().await;
                // Another may have taken its place by now.
                let Some(backend) = session.shared.vmcp.backend(id.as_str()) else { return };
                // A failure has been logged, and is tried again on first use.
                let _opened = session.obtain(&backend).await;
            };
            opening.spawn_on(open, self.shared.background.runtime());
        }
        let all = async { while opening.join_next().await.is_some() {} };
        if tokio::time::timeout(wait, all).await.is_err() {
            opening.detach_all();
        }
    }
}

/// The merged capabilities. Of a backend that has not said yet what it has, anything may still
/// come, and what is not promised now cannot be promised later.
/// What a client says of itself when it begins a session.
fn profile(request: &Message) -> Result<ClientProfile, Fault> {
    let hello = ClientHello::parse(request).map_err(|why| Fault::InvalidParams(why.into()))?;
    if hello.capabilities.len() + hello.client_info.len() > MAX_HELLO {
        let why = format!("capabilities and clientInfo must not be over {MAX_HELLO} bytes");
        return Err(Fault::InvalidParams(why.into()));
    }
    let version = ProtocolVersion::legacy_from_name(&hello.protocol_version)
        .unwrap_or(ProtocolVersion::LATEST_LEGACY);
    // What is kept must not keep the whole request alive.
    let capabilities = Bytes::copy_from_slice(&hello.capabilities);
    let info = Bytes::copy_from_slice(&hello.client_info);
    if let Some(trail) = request.trail() {
        trail.note_version(version);
        trail.note_client(|| trail::Client::parse(&info));
    }
    Ok(ClientProfile { version, capabilities, info })
}

fn capabilities(settled: &Settled) -> Bytes {
    let merged = settled.catalog.capabilities();
    if settled.missing.is_empty() {
        return merged.clone();
    }
    let possible: [(&str, &'static [u8]); 5] = [
        ("prompts", br#"{"listChanged":true}"#),
        ("resources", br#"{"subscribe":true,"listChanged":true}"#),
        ("tools", br#"{"listChanged":true}"#),
        ("logging", b"{}"),
        ("completions", b"{}"),
    ];
    let mut text = merged.clone();
    for (kind, value) in possible {
        if let Some(members) = Members::parse(&text)
            && (kind == "resources" || members.span(kind).is_none())
        {
            text = raw::splice(&text, vec![members.set(kind, value)]);
        }
    }
    text
}

/// 192 random bits, as visible ASCII.
pub(crate) fn random_name() -> String {
    let mut bytes = [0; 24];
    ring::rand::SystemRandom::new().fill(&mut bytes).expect("the system has randomness");
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
