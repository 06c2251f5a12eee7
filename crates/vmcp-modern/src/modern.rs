//! What is done with a message of a modern client.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;
use tokio_util::sync::CancellationToken;
use vmcp_backend::{ClientView, Subject};
use vmcp_catalog::Catalog;
use vmcp_core::{Background, Borrower, ClientKey, Granted, View, Vmcp, Whole};
use vmcp_model::{
    Era, Identity, Kind, Method, ProtocolVersion,
    trail::{self, End, Trail},
};
use vmcp_wire::{Fault, Message, Shape};

use crate::{polled_stream::PolledStream, request::Request};

/// Serves clients of the modern era.
pub struct Modern {
    pub(crate) vmcp: Arc<Vmcp>,
    pub(crate) background: Background,
    /// Ends the streams of changes, whose clients open them elsewhere.
    leaving: CancellationToken,
}

/// Who sends a message, and how.
pub struct Client<'a> {
    pub identity: &'a Identity,
    /// Where it comes from.
    pub address: IpAddr,
    /// Says whether the next message of the same principal certainly comes from the same caller.
    pub is_certain: &'a (dyn Fn() -> bool + Sync),
    /// The headers of the message.
    pub headers: &'a HeaderMap,
    /// Whether an answer may be a stream.
    pub takes_streams: bool,
    /// Told when nothing is left to be refused that an HTTP status must tell.
    pub on_admitted: &'a (dyn Fn() + Sync),
}

/// What the client gets.
pub enum Reply {
    /// The message was taken; there is nothing more to come.
    Accepted,
    /// The whole response.
    Whole(Whole),
    /// The whole response, in parts.
    Parts([Bytes; 3]),
    /// The stream of a call, the response at its end.
    Call(PolledStream),
    /// A stream of changes, which lasts for as long as it is read.
    Changes(PolledStream),
}

impl Modern {
    pub fn new(vmcp: Arc<Vmcp>, background: Background) -> Self {
        Self { vmcp, background, leaving: CancellationToken::new() }
    }

    /// Ends the streams of changes, and begins no more.
    pub fn leave(&self) {
        self.leaving.cancel();
    }

    pub(crate) fn leaving(&self) -> &CancellationToken {
        &self.leaving
    }

    /// Takes one message. An error of a request is to be told with the request's id.
    pub async fn handle(&self, client: &Client<'_>, message: &Message) -> Result<Reply, Fault> {
        // In place, as another future around it would have the reply moved once more.
        let reply = match message.shape() {
            Shape::Request => match Request::read(client, message) {
                Ok(request) => {
                    let reply = self.request(&request).await;
                    reply.inspect_err(|fault| {
                        if matches!(fault, Fault::Denied(_)) {
                            self.vmcp.rights().note_denied(client.identity, request.method);
                        }
                    })
                }
                Err(fault) => Err(fault),
            },
            // This revision defines none, and what an extension may mean by one is not known here.
            Shape::Notification => Ok(Reply::Accepted),
            Shape::Response => Err(Fault::InvalidRequest(
                "a client of the revision 2026-07-28 sends no responses".into(),
            )),
        };
        if let Some(trail) = message.trail() {
            let info = message.params().meta.client_info.as_ref();
            trail.note_client(|| trail::Client::parse(&message.slice(info?)));
            note(&reply, trail);
        }
        reply
    }

    async fn request(&self, request: &Request<'_>) -> Result<Reply, Fault> {
        let view = self.view(request)?;
        match request.method {
            Method::ServerDiscover => self.discover(request, &view).await,
            Method::ToolsList => self.list(request, &view, Kind::Tool).await,
            Method::ResourcesList => self.list(request, &view, Kind::Resource).await,
            Method::ResourcesTemplatesList => {
                self.list(request, &view, Kind::ResourceTemplate).await
            }
            Method::PromptsList => self.list(request, &view, Kind::Prompt).await,
            Method::SubscriptionsListen => self.listen(request, view),
            // Everything else leads somewhere, or is refused, as `Vmcp::resolve` says.
            _ => self.call(request, &view).await,
        }
    }

    /// What the sender of a request may use of a catalog.
    pub(crate) async fn granted(&self, request: &Request<'_>, whole: Arc<Catalog>) -> Granted {
        let (rights, caller) = (self.vmcp.rights(), request.client.identity);
        match rights.at_hand(caller, whole) {
            Ok(granted) => granted,
            Err(whole) => Box::pin(rights.find(caller, whole)).await,
        }
    }

    /// What clients see that declare what this one does. One client may bring up so many views only: each
    /// makes vmcp ask every backend for its lists.
    fn view(&self, request: &Request<'_>) -> Result<Arc<View>, Fault> {
        let Client { identity, address, .. } = request.client;
        let subject = self.vmcp.subject(identity);
        if let Some(known) = self.vmcp.modern_view(&request.capabilities, subject.as_ref()) {
            if let Some(subject) = known.client().subject() {
                subject.note(identity);
            }
            return Ok(known);
        }
        // What is kept must not keep the whole request alive.
        let capabilities = Bytes::copy_from_slice(&request.capabilities);
        let subject = subject.map(|key| Subject::new(key, identity));
        let wanted = ClientView::new(ProtocolVersion::MODERN, capabilities).shown(subject);
        let client = ClientKey::of(identity.principal(), *address);
        self.vmcp.quotas().bring_up_view(&client, &wanted)?;
        self.vmcp.view(&wanted)
    }
}

/// Notes how a message has ended, as far as its reply says so: that of a call under way says nothing yet, and
/// there may be no room for a stream.
fn note(reply: &Result<Reply, Fault>, trail: &Trail) {
    match reply {
        Ok(Reply::Call(_) | Reply::Changes(_)) => return,
        Ok(Reply::Whole(whole)) if trail.bytes() == 0 => trail.note_response(&whole.text),
        // What has come on a stream was noted as it came.
        Ok(Reply::Accepted | Reply::Whole(_)) => {}
        Ok(Reply::Parts(parts)) => parts.iter().for_each(|part| trail.note_response(part)),
        Err(_) => {}
    }
    trail
        .note_end(|| reply.as_ref().map_or_else(|fault| fault.end(Era::Modern), |_| End::Answered));
}

impl Client<'_> {
    /// Whose backend sessions it uses.
    pub(crate) fn borrower(&self, client_info: Bytes) -> Borrower {
        let principal = (self.is_certain)().then(|| self.identity.principal().clone());
        Borrower { principal, client_info }
    }
}
