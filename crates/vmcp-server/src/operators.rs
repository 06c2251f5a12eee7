//! What is there for operators, and the one gate before it.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderValue, Request, Response, header};
use vmcp_auth::{Asking, Operators};
use vmcp_wire::Fault;

use crate::{
    body::Body,
    edge::{Edge, Listens},
    log_levels::{self, LOG},
    metrics::{METRICS, Readers},
    near::{is_forwarded, is_from_here},
    request::RequestBody,
    respond, status,
};

/// What there is to know about this process.
pub(crate) const STATUS: &str = "/status";

/// Where the reference system tells how its backends are.
pub(crate) const BACKENDS: &str = "/api/backends/health";

/// Says what policies allow.
pub(crate) const EXPLAIN: &str = "/policy/explain";

/// Whether a path is one for operators.
pub(crate) fn is_for_operators(path: &str) -> bool {
    matches!(path, STATUS | BACKENDS | EXPLAIN | LOG)
}

impl Edge {
    /// Whether anybody is told names and states of backends at this path.
    pub(crate) fn shows_states(&self, path: &str, listens: Listens) -> bool {
        self.config.shows_states && listens == Listens::Clients && matches!(path, STATUS | BACKENDS)
    }

    /// Tells them.
    pub(crate) fn states<B>(&self, request: &Request<B>) -> Response<Body> {
        if !respond::reads(request.method()) {
            return respond::only_reads();
        }
        let mut response = match request.uri().path() {
            BACKENDS => status::backends(self),
            _ => status::states(self),
        };
        let sniffing = HeaderValue::from_static("nosniff");
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, sniffing);
        response
    }

    /// Answers a request for one of these paths.
    pub(crate) async fn serve_operator(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        peer: IpAddr,
    ) -> Response<Body> {
        let path = request.uri().path();
        let changes = path == LOG && log_levels::changes(request.method());
        if path != EXPLAIN && !changes && !respond::reads(request.method()) {
            return respond::only_reads();
        }
        if let Err(refused) = self.admit_operator(&request, peer).await {
            return refused;
        }
        if changes && !self.operators.ask_for_proof() {
            return respond::failed(None, &Fault::Forbidden(UNPROVED.into()));
        }
        match request.uri().path() {
            EXPLAIN => self.explain(request).await,
            BACKENDS => status::backends(self),
            LOG => self.log_levels(request).await,
            METRICS => self.metrics(Readers::Operators).await,
            _ => status::status(self).await,
        }
    }

    /// Lets operators in, or gives what others are answered. Whoever need not prove anything may read, on this
    /// machine.
    async fn admit_operator(
        &self,
        request: &Request<RequestBody>,
        peer: IpAddr,
    ) -> Result<(), Response<Body>> {
        if !self.operators.ask_for_proof() {
            return near_enough(request.headers(), peer)
                .map_err(|why| respond::failed(None, &Fault::Forbidden(why.into())));
        }
        let checked = {
            let url = || self.url_of(request.uri().path(), request, peer);
            let (headers, method) = (request.headers(), request.method());
            self.operators.check(&Asking { headers, method, url: &url }, &self.authenticator)
        };
        checked.await.map_err(|fault| match fault.oauth_error() {
            Some(error) => respond::unauthorized(error, &fault, Operators::challenge(&fault)),
            None => respond::not_taken(&fault),
        })
    }
}

/// Whether somebody who proves nothing may ask for this; if not, why.
fn near_enough(headers: &HeaderMap, peer: IpAddr) -> Result<(), &'static str> {
    if is_from_here(peer, headers) {
        return Ok(());
    }
    Err(if is_forwarded(headers) { FORWARDED } else { ELSEWHERE })
}

const UNPROVED: &str =
    "whoever changes something must prove who it is; set admin.auth.type to token or oidc";
const FORWARDED: &str = "this is for vmcp's own machine only, and a proxy has passed the request on; to ask through a proxy set admin.auth.type to token or oidc";
const ELSEWHERE: &str = "this is for vmcp's own machine only, and the connection does not come from a loopback address; to ask over others set admin.auth.type to token or oidc";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_proof_this_machine_may_read_and_nobody_else() {
        let headers = |forwarded: bool| -> HeaderMap {
            let line = ("x-forwarded-for".parse().unwrap(), "127.0.0.1".parse().unwrap());
            forwarded.then_some(line).into_iter().collect()
        };
        for (address, forwarded, expected) in [
            ("127.0.0.1", false, Ok(())),
            ("::1", false, Ok(())),
            ("::ffff:127.0.0.1", false, Ok(())),
            ("192.0.2.1", false, Err(ELSEWHERE)),
            ("127.0.0.1", true, Err(FORWARDED)),
            ("192.0.2.1", true, Err(FORWARDED)),
        ] {
            let found = near_enough(&headers(forwarded), address.parse().unwrap());
            assert_eq!(found, expected, "{address} {forwarded}");
        }
    }
}
