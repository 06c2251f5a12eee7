//! The modern era at the client's edge: what its messages are answered with over HTTP (specification
//! 2026-07-28, basic/transports/streamable-http).

use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode};
use vmcp_core::Whole;
use vmcp_model::{
    Era,
    trail::{End, Trail},
};
use vmcp_modern::{Client, Reply};
use vmcp_wire::{
    Fault, Message,
    error::modern_status_of,
    headers::{self, Accepts},
};

use crate::{body::Body, edge::Edge, mcp::Caller, respond, silent::may_stream};

impl Edge {
    /// Answers a message of a modern client.
    pub(crate) async fn modern(
        self: &Arc<Self>,
        headers: &HeaderMap,
        message: Message,
        caller: &Caller,
        accepts: Accepts,
    ) -> Response<Body> {
        let is_certain = || caller.is_certain(self, headers);
        let on_admitted = || {
            if accepts.events {
                may_stream();
            }
        };
        let client = Client {
            identity: &caller.identity,
            address: caller.address,
            is_certain: &is_certain,
            headers,
            takes_streams: accepts.events,
            on_admitted: &on_admitted,
        };
        let replied = self.modern.handle(&client, &message).await;
        let is_stream = matches!(replied, Ok(Reply::Changes(_)));
        let trail = message.trail();
        let response = replied.and_then(|reply| self.modern_response(reply, caller, trail));
        if let Some(trail) = trail {
            match &response {
                Ok(_) if is_stream => trail.note_end(|| End::Answered),
                // How it ends is known to whoever has answered, or will be.
                Ok(_) => {}
                Err(fault) => trail.note_end(|| fault.end(Era::Modern)),
            }
        }
        response.unwrap_or_else(|fault| respond::modern_failed(message.id(), &fault))
    }

    fn modern_response(
        &self,
        reply: Reply,
        caller: &Caller,
        trail: Option<&Arc<Trail>>,
    ) -> Result<Response<Body>, Fault> {
        let keep_alive = self.config.keep_alive;
        Ok(match reply {
            Reply::Accepted => respond::empty(StatusCode::ACCEPTED),
            Reply::Whole(Whole { text, error: None }) => respond::json(text),
            Reply::Whole(Whole { text, error: Some(code) }) => {
                respond::typed(modern_status_of(code), headers::JSON, Body::whole(text))
            }
            Reply::Parts(parts) => respond::json_parts(parts),
            Reply::Call(stream) => respond::events(Body::polled(stream, keep_alive, None)),
            Reply::Changes(stream) => {
                let permit = self.enter_stream(false, trail.cloned())?;
                let body = Body::polled(stream, keep_alive, Some(permit));
                respond::events(body.until(caller.proved_until()))
            }
        })
    }
}
