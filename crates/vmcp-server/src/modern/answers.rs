//! What vmcp answers itself: what it is, and its lists.

use std::{sync::Arc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use http::Response;
use vmcp_catalog::Catalog;
use vmcp_core::{Shown, View};
use vmcp_model::{Kind, raw};
use vmcp_wire::{
    Fault, error,
    meta::{MISSING, SERVER_INFO},
    reply,
};

use super::Request;
use crate::{body::Body, edge::Edge, mcp::Caller, respond};

impl Edge {
    /// Answers `server/discover`.
    pub(super) async fn discover(
        &self,
        request: &Request<'_>,
        view: &Arc<View>,
        caller: &Caller,
    ) -> Result<Response<Body>, Fault> {
        let vmcp = self.sessions.vmcp();
        vmcp.settle(view, |_| false).await;
        vmcp.check_whole(view)?;
        let Shown { catalog, is_own } = self.shown(request, view, caller).await;
        let mut result = self.head(view, None, is_own);
        result.put_slice(b"\"supportedVersions\":");
        result.put_slice(&error::supported_versions());
        result.put_slice(b",\"capabilities\":");
        result.put_slice(&modern_capabilities(&catalog));
        if let Some(instructions) = catalog.instructions() {
            result.put_slice(b",\"instructions\":");
            result.put_slice(&raw::string(instructions));
        }
        result.put_u8(b'}');
        Ok(respond::json(reply::result(request.id, &result)))
    }

    /// Answers a list.
    pub(super) async fn modern_list(
        &self,
        request: &Request<'_>,
        view: &Arc<View>,
        kind: Kind,
        caller: &Caller,
    ) -> Result<Response<Body>, Fault> {
        let cursor =
            match &request.message.params().cursor {
                None => None,
                span => Some(request.message.string(span.as_ref()).ok_or(Fault::InvalidParams(
                    "the parameter \"cursor\" must be a string".into(),
                ))?),
            };
        let vmcp = self.sessions.vmcp();
        if !view.is_settled() {
            vmcp.settle(view, |_| false).await;
        }
        vmcp.check_whole(view)?;
        let Shown { catalog, is_own } = self.shown(request, view, caller).await;
        let page = vmcp.list(&catalog, kind, cursor.as_deref())?;
        let head = self.head(view, Some(kind), is_own);
        // The page begins with its brace, the head ends with a comma.
        Ok(respond::json_parts(reply::result_around(request.id, &head, page.slice(1..))))
    }

    /// What a client is shown, when lists of its own have been read that have changed.
    async fn shown(&self, request: &Request<'_>, view: &Arc<View>, caller: &Caller) -> Shown {
        let vmcp = self.sessions.vmcp();
        if let Some(unread) = vmcp.unread(view, || request.borrower(self, caller)) {
            unread.read().await;
        }
        vmcp.shown(view, || request.borrower(self, caller))
    }

    /// The members that every result has which vmcp makes: the beginning of an object. What is shown to
    /// one client alone is nobody else's, and may be over at any time.
    fn head(&self, view: &View, kind: Option<Kind>, is_own: bool) -> BytesMut {
        // What vmcp is follows from all of its lists.
        let kinds = kind.as_slice();
        let kinds = if kinds.is_empty() { &Kind::ALL[..] } else { kinds };
        let all = kinds.iter().map(|kind| view.freshness(*kind));
        let (ttl, is_public) = all.fold((Duration::MAX, true), |(ttl, is_public), one| {
            (ttl.min(one.ttl), is_public && one.is_public)
        });
        let (ttl, is_public) = if is_own { (Duration::ZERO, false) } else { (ttl, is_public) };
        let scope = if is_public { "public" } else { "private" };
        let mut head = BytesMut::with_capacity(256);
        head.put_slice(b"{\"resultType\":\"complete\",\"ttlMs\":");
        head.put_slice(ttl.as_millis().to_string().as_bytes());
        head.put_slice(b",\"cacheScope\":");
        head.put_slice(&raw::string(scope));
        head.put_slice(b",\"_meta\":{");
        head.put_slice(&raw::string(SERVER_INFO));
        head.put_u8(b':');
        head.put_slice(self.sessions.vmcp().server_info());
        let missing = view.unknown();
        if !missing.is_empty() {
            let names: Vec<_> = missing.iter().map(|id| raw::string(id.as_str())).collect();
            head.put_u8(b',');
            head.put_slice(&raw::string(MISSING));
            head.put_slice(b":[");
            head.put_slice(&names.join(&b','));
            head.put_u8(b']');
        }
        head.put_slice(b"},");
        head
    }
}

/// The catalog's capabilities without what the modern era has in another way.
fn modern_capabilities(catalog: &Catalog) -> Bytes {
    raw::without(catalog.capabilities(), |name| name == "tasks")
}
