//! Listens to what a backend says of its own accord: on the GET stream of a session, on its link, or by
//! `subscriptions/listen` (specification 2026-07-28, basic/patterns/subscriptions).

use std::sync::Arc;

use bytes::Bytes;
use vmcp_model::{
    Method,
    raw::{self, Members},
};
use vmcp_wire::{Message, Shape};

use crate::{
    backend::{Answer, Backend, REFUSAL_BYTES, Wire, within},
    discovery::{METHOD_NOT_FOUND, Refusal},
    error::Error,
    events::Events,
    health::Sign,
    http::Http,
    link::ListsChanged,
    own::{Declined, OwnRequest},
    session::Session,
};

/// The lists, each by its capability and by the member of the filter that asks for its changes.
const LISTS: [(&str, &str); 3] = [
    ("tools", "toolsListChanged"),
    ("prompts", "promptsListChanged"),
    ("resources", "resourcesListChanged"),
];

impl Backend {
    /// Listens to what the backend says of its own accord; to a modern one, to the changes of lists
    /// that it announces. `None` if it offers no stream for that.
    ///
    /// # Errors
    /// If the stream cannot be opened.
    pub async fn listen(self: &Arc<Self>, session: &Session) -> Result<Option<Events>, Error> {
        match &self.wire {
            Wire::Http(http) if session.is_stateless() => {
                let announced =
                    LISTS.into_iter().filter(|(list, _)| session.facts().announces(list));
                let wanted: Vec<_> =
                    announced.map(|(_, member)| format!("\"{member}\":true")).collect();
                if wanted.is_empty() {
                    return Ok(None);
                }
                self.subscribe(http, session, &wanted.join(",")).await
            }
            Wire::Http(_) => {
                let stream = self.open_stream(session, None).await?;
                Ok(stream.map(|stream| Events::of_stream(Box::new(stream))))
            }
            Wire::Links(links) => links.listen(session, false).await.map(Some),
        }
    }

    /// The same on a session of a legacy backend that ends when nobody calls on it any more, whoever
    /// listens.
    ///
    /// # Errors
    /// If the stream cannot be opened.
    pub async fn overhear(self: &Arc<Self>, session: &Session) -> Result<Option<Events>, Error> {
        match &self.wire {
            Wire::Http(_) => self.listen(session).await,
            Wire::Links(links) => links.listen(session, true).await.map(Some),
        }
    }

    /// Has changes of the lists told that come on the link of a session while nobody listens and no
    /// call is under way, or in the place of whoever overhears it. Without a link there are none.
    pub fn tell_of_lists(&self, session: &Session, told: ListsChanged) {
        match &self.wire {
            Wire::Links(links) => links.tell_of_lists(session, told),
            Wire::Http(_) => {}
        }
    }

    /// Waits until those who listen on the session's link have dealt with all that has come in so far.
    pub async fn until_heard(&self, session: &Session) {
        if let Wire::Links(links) = &self.wire {
            links.until_heard(session).await;
        }
    }

    /// Listens to the updates of resources of a modern backend. `None` if it offers none, or is none.
    ///
    /// # Errors
    /// If the stream cannot be opened.
    pub async fn listen_to(
        self: &Arc<Self>,
        session: &Session,
        uris: &[&str],
    ) -> Result<Option<Events>, Error> {
        match &self.wire {
            Wire::Http(http) if session.is_stateless() && !uris.is_empty() => {
                let uris: Vec<_> = uris.iter().map(|uri| raw::string(uri)).collect();
                let uris = String::from_utf8_lossy(&uris.join(&b',')).into_owned();
                let wanted = format!("\"resourceSubscriptions\":[{uris}]");
                self.subscribe(http, session, &wanted).await
            }
            Wire::Http(_) | Wire::Links(_) => Ok(None),
        }
    }

    /// Asks to be told of what is wanted: the members of a filter. `None` if the backend does not do
    /// that.
    async fn subscribe(
        self: &Arc<Self>,
        http: &Http,
        session: &Session,
        wanted: &str,
    ) -> Result<Option<Events>, Error> {
        let params = format!("{{\"notifications\":{{{wanted}}}}}");
        let request =
            self.own_request_on(session, Method::SubscriptionsListen, Some(params.as_bytes()));
        let admitted = self.health.admit()?;
        let begun = self.subscribed(http, session, request);
        let begun = within(self.timeouts.idle, begun).await;
        admitted.note(Sign::Own, begun.as_ref().err());
        begun
    }

    async fn subscribed(
        self: &Arc<Self>,
        http: &Http,
        session: &Session,
        request: OwnRequest,
    ) -> Result<Option<Events>, Error> {
        let OwnRequest { id, text, lines } = request;
        let response = http.subscribe(session, text, lines.as_ref()).await?;
        let refusal = match self.judge(session, response, Some(&id)).await? {
            Answer::Events(mut events) => loop {
                let Some(message) = events.next().await? else {
                    let why = "ended a subscription before it was acknowledged";
                    return Err(Error::Broken(why.to_owned()));
                };
                match message.shape() {
                    Shape::Notification
                        if message.method() == Some(Method::SubscriptionsAcknowledged) =>
                    {
                        events.forget_subscription();
                        return Ok(honours_any(&message).then_some(events));
                    }
                    Shape::Response if message.id().is_some_and(|found| found.is(&id)) => {
                        break message.into_text();
                    }
                    Shape::Request => self.decline(session, &message, Declined::NoClient).await?,
                    // What has changed before is found by asking.
                    Shape::Response | Shape::Notification => {}
                }
            },
            Answer::Whole(body) => body.collect(REFUSAL_BYTES).await?,
            Answer::Ready(text) => text,
            Answer::Accepted => Bytes::new(),
        };
        match Refusal::read(&refusal, &id).code {
            Some(METHOD_NOT_FOUND) => Ok(None),
            _ => Err(Error::Protocol(format!(
                "answered subscriptions/listen without a stream: {}",
                self.secrets().excerpt(&refusal)
            ))),
        }
    }
}

/// Whether the backend has said that it will tell anything.
fn honours_any(acknowledgement: &Message) -> bool {
    let member = |text: &[u8], name: &str| {
        let value = Members::parse(text)?.value(text, name)?.to_vec();
        Some(value)
    };
    let filter = member(acknowledgement.text(), "params")
        .and_then(|params| member(&params, "notifications"))
        .unwrap_or_default();
    let Some(members) = Members::parse(&filter) else { return false };
    members.iter().any(|honoured| {
        let value = &filter[honoured.value.clone()];
        value == b"true" || raw::elements(value).is_some_and(|uris| !uris.is_empty())
    })
}
