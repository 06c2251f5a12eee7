//! `subscriptions/listen`: a stream of changes that lasts as long as somebody reads it
//! (specification 2026-07-28, basic/patterns/subscriptions).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;
use vmcp_catalog::{Changed, Route};
use vmcp_core::{Background, Borrower, Granted, View, Vmcp};
use vmcp_model::{BackendId, Identity, Method, raw, raw::Members};
use vmcp_wire::{
    Fault, Id, Message,
    meta::{SERVER_INFO, SUBSCRIPTION_ID},
    reply,
};

use crate::{
    following::Following,
    modern::{Modern, Reply},
    polled_stream::{PolledStream, Sender},
    request::Request,
};

/// Changed resources that wait to be told.
const UPDATES: usize = 64;

/// How long a client waits to hear what it will be told, for backends that do not say.
const BEGIN: Duration = Duration::from_secs(3);

/// Resources that one client may listen to at once.
const RESOURCES: usize = 1000;

/// The longest URI of such a resource, in bytes.
const MAX_URI: usize = 8 << 10;

/// What a client wants to hear of.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wanted {
    tools_list_changed: bool,
    prompts_list_changed: bool,
    resources_list_changed: bool,
    resource_subscriptions: Vec<String>,
}

/// One client that listens.
struct Listener {
    vmcp: Arc<Vmcp>,
    view: Arc<View>,
    /// Who listens.
    identity: Identity,
    /// The same, as far as it decides what backends show it.
    borrower: Borrower,
    wanted: Wanted,
    /// The id of the request (JSON text), by which the client tells its streams apart.
    id: Bytes,
    server_info: Bytes,
    leaving: CancellationToken,
    background: Background,
}

impl Modern {
    /// Opens a stream of changes.
    pub(crate) fn listen(&self, request: &Request<'_>, view: Arc<View>) -> Result<Reply, Fault> {
        if !request.client.takes_streams {
            return Err(Fault::NotAcceptable("text/event-stream"));
        }
        let wanted = Wanted::read(request.message)?;
        if self.leaving().is_cancelled() {
            return Err(Fault::Unavailable("vmcp is shutting down".into()));
        }
        let listener = Listener {
            vmcp: Arc::clone(&self.vmcp),
            view,
            identity: request.client.identity.clone(),
            borrower: request.borrower(),
            wanted,
            id: Bytes::copy_from_slice(request.id.text()),
            server_info: self.vmcp.server_info().clone(),
            leaving: self.leaving().clone(),
            background: self.background.clone(),
        };
        let budget = self.vmcp.budget();
        Ok(Reply::Changes(PolledStream::new(budget, |sender| listener.listen(sender))))
    }
}

impl Wanted {
    fn read(message: &Message) -> Result<Self, Fault> {
        let text = message.text();
        let params = Members::parse(text).and_then(|members| members.span("params"));
        let params = params.map(|span| &text[span]);
        let wanted =
            params.and_then(|params| Members::parse(params)?.value(params, "notifications"));
        let wanted = wanted.filter(|wanted| wanted.starts_with(b"{"));
        let wanted = wanted.ok_or(Fault::InvalidParams(
            "the parameter \"notifications\" must be an object that names what to listen to".into(),
        ))?;
        let wanted: Self = serde_json::from_slice(wanted).map_err(|error| {
            Fault::InvalidParams(format!("the parameter \"notifications\": {error}").into())
        })?;
        if wanted.resource_subscriptions.len() > RESOURCES {
            let why = format!("one stream listens to at most {RESOURCES} resources");
            return Err(Fault::InvalidParams(why.into()));
        }
        if wanted.resource_subscriptions.iter().any(|uri| uri.len() > MAX_URI) {
            let why = format!("a URI to listen to must not be over {MAX_URI} bytes");
            return Err(Fault::InvalidParams(why.into()));
        }
        Ok(wanted)
    }

    /// The part of it that can be had, as the protocol writes it.
    fn to_json(&self) -> Vec<u8> {
        let mut members = Vec::new();
        for (is_wanted, name) in [
            (self.tools_list_changed, "toolsListChanged"),
            (self.prompts_list_changed, "promptsListChanged"),
            (self.resources_list_changed, "resourcesListChanged"),
        ] {
            if is_wanted {
                members.push([&raw::string(name)[..], b":true"].concat());
            }
        }
        if !self.resource_subscriptions.is_empty() {
            let uris: Vec<_> =
                self.resource_subscriptions.iter().map(|uri| raw::string(uri)).collect();
            members.push([b"\"resourceSubscriptions\":[", &uris.join(&b',')[..], b"]"].concat());
        }
        [b"{", &members.join(&b',')[..], b"}"].concat()
    }
}

impl Listener {
    /// Listens until nobody reads any more, or vmcp ends.
    async fn listen(mut self, sender: Sender) {
        self.vmcp.settle(&self.view, |_| false).await;
        // Before the catalog is read: what changes from now on is heard of.
        let (mut changes, mut own) = (self.vmcp.catalog_changes(), self.vmcp.own_changes());
        changes.mark_unchanged();
        own.mark_unchanged();
        let mut rights = self.vmcp.rights().changes();
        let granted = self.granted().await;
        let (updates, mut updated) = mpsc::channel(UPDATES);
        let stop = self.background.stop().child_token();
        let _stop = stop.clone().drop_guard();
        self.honour(&granted, &updates, &stop).await;
        let mut granted = granted;
        let params = [br#""notifications":"#, &self.wanted.to_json()[..]].concat();
        if !self.tell(&sender, Method::SubscriptionsAcknowledged, &params).await {
            return;
        }
        loop {
            let told = tokio::select! {
                biased;
                () = self.leaving.cancelled() => break,
                Ok(()) = changes.changed() => self.follow(&mut granted, &sender).await,
                Ok(()) = own.changed() => self.follow(&mut granted, &sender).await,
                Ok(()) = rights.changed() => self.follow(&mut granted, &sender).await,
                Some(uri) = updated.recv() => {
                    if !granted.may_read(&uri) {
                        continue;
                    }
                    let params = [b"\"uri\":", &raw::string(&uri)[..]].concat();
                    self.tell(&sender, Method::ResourcesUpdated, &params).await
                }
            };
            if !told {
                return;
            }
        }
        let mut result = BytesMut::from(&b"{\"resultType\":\"complete\",\"_meta\":{"[..]);
        result.put_slice(&raw::string(SERVER_INFO));
        result.put_u8(b':');
        result.put_slice(&self.server_info);
        result.put_u8(b',');
        result.put_slice(&raw::string(SUBSCRIPTION_ID));
        result.put_u8(b':');
        result.put_slice(&self.id);
        result.put_slice(b"}}");
        if let Some(id) = Id::parse(&self.id) {
            sender.send(&reply::result(id, &result)).await;
        }
    }

    /// Takes out what cannot be had, and begins to listen to backends for the rest.
    async fn honour(
        &mut self,
        granted: &Granted,
        updates: &mpsc::Sender<String>,
        stop: &CancellationToken,
    ) {
        let catalog = granted.catalog();
        let members = Members::parse(catalog.capabilities());
        let has = |name| members.as_ref().is_some_and(|members| members.span(name).is_some());
        self.wanted.tools_list_changed &= has("tools");
        self.wanted.prompts_list_changed &= has("prompts");
        self.wanted.resources_list_changed &= has("resources");
        let mut of_backends: BTreeMap<BackendId, Vec<String>> = BTreeMap::new();
        for uri in std::mem::take(&mut self.wanted.resource_subscriptions) {
            if !granted.may_read(&uri) {
                self.vmcp.rights().note_denied(&self.identity, Method::SubscriptionsListen);
                continue;
            }
            let route = catalog.resource(&uri).and_then(Route::backend).cloned();
            let sole = || self.vmcp.sole(catalog).map(|only| only.id().clone());
            if let Some(backend) = route.or_else(sole) {
                of_backends.entry(backend).or_default().push(uri);
            }
        }
        let mut begun = JoinSet::new();
        for (id, uris) in of_backends {
            let Some(backend) = self.vmcp.backend(id.as_str()) else { continue };
            let Some(session) = backend.stateless(self.view.client()) else {
                tracing::debug!(backend = %id, "a legacy backend's resources are not listened to for modern clients yet");
                continue;
            };
            let following = Following {
                vmcp: Arc::clone(&self.vmcp),
                view: Arc::clone(&self.view),
                backend: id,
                uris,
                updates: updates.clone(),
            };
            let stop = stop.clone();
            let background = self.background.clone();
            begun.spawn_on(
                async move {
                    let begun = tokio::time::timeout(BEGIN, following.begin(&backend, &session));
                    let events = begun.await.ok()?.ok()??;
                    let honoured = following.uris.clone();
                    background.spawn(async move {
                        stop.run_until_cancelled(following.go_on(backend, events)).await;
                    });
                    Some(honoured)
                },
                self.background.runtime(),
            );
        }
        while let Some(honoured) = begun.join_next().await {
            if let Ok(Some(uris)) = honoured {
                self.wanted.resource_subscriptions.extend(uris);
            }
        }
        self.wanted.resource_subscriptions.sort();
    }

    async fn granted(&self) -> Granted {
        let shown = self.vmcp.shown(&self.view, || self.borrower.clone());
        self.vmcp.rights().find(&self.identity, shown.catalog).await
    }

    /// Tells what has changed of what the client is shown.
    async fn follow(&self, shown: &mut Granted, sender: &Sender) -> bool {
        let now = self.granted().await;
        let changed = now.catalog().changed(shown.catalog());
        *shown = now;
        self.tell_changes(sender, changed).await
    }

    async fn tell_changes(&self, sender: &Sender, changed: Changed) -> bool {
        let told = Changed {
            tools: changed.tools && self.wanted.tools_list_changed,
            resources: changed.resources && self.wanted.resources_list_changed,
            prompts: changed.prompts && self.wanted.prompts_list_changed,
        };
        for method in told.announcements() {
            if !self.tell(sender, method, b"").await {
                return false;
            }
        }
        true
    }

    /// Sends a notification. `params` are members without braces.
    async fn tell(&self, sender: &Sender, method: Method, params: &[u8]) -> bool {
        let mut text = BytesMut::from(&b"{\"_meta\":{"[..]);
        text.put_slice(&raw::string(SUBSCRIPTION_ID));
        text.put_u8(b':');
        text.put_slice(&self.id);
        text.put_u8(b'}');
        if !params.is_empty() {
            text.put_u8(b',');
            text.put_slice(params);
        }
        text.put_u8(b'}');
        sender.send(&reply::notification(method, Some(&text))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uris: &[String], is_taken: bool) {
        let wanted = Wanted { resource_subscriptions: uris.to_vec(), ..Wanted::default() };
        let text = [
            br#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"notifications":"#,
            &wanted.to_json()[..],
            b"}}",
        ]
        .concat();
        let read = Wanted::read(&Message::parse(text.into()).unwrap());
        assert_eq!(read.is_ok(), is_taken);
        assert!(read.is_err() || read.unwrap().resource_subscriptions == uris);
    }

    #[test]
    fn what_is_listened_to_is_bounded() {
        check(&vec!["x:y".to_owned(); RESOURCES], true);
        check(&vec!["x:y".to_owned(); RESOURCES + 1], false);
        check(&["x:y".to_owned(), "x".repeat(MAX_URI)], true);
        check(&["x:y".to_owned(), "x".repeat(MAX_URI + 1)], false);
    }
}
