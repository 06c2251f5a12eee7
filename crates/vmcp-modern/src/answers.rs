//! What vmcp answers itself: what it is, and its lists.

use std::{sync::Arc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use vmcp_core::{Granted, Shown, View, Whole};
use vmcp_model::{Kind, raw};
use vmcp_wire::{
    Fault, error,
    meta::{MISSING, SERVER_INFO},
    reply,
};

use crate::{
    modern::{Modern, Reply},
    request::Request,
};

impl Modern {
    /// Answers `server/discover`.
    pub(crate) async fn discover(
        &self,
        request: &Request<'_>,
        view: &Arc<View>,
    ) -> Result<Reply, Fault> {
        let vmcp = &self.vmcp;
        vmcp.settle(view, |_| false).await;
        vmcp.check_whole(view)?;
        let seen = self.shown(request, view).await;
        let mut result = self.head(view, None, &seen);
        result.put_slice(b"\"supportedVersions\":");
        result.put_slice(&error::supported_versions());
        result.put_slice(b",\"capabilities\":");
        result.put_slice(&modern_capabilities(&seen));
        if let Some(instructions) = seen.granted.instructions() {
            result.put_slice(b",\"instructions\":");
            result.put_slice(&raw::string(instructions));
        }
        result.put_u8(b'}');
        Ok(Reply::Whole(Whole { text: reply::result(request.id, &result), error: None }))
    }

    /// Answers a list.
    pub(crate) async fn list(
        &self,
        request: &Request<'_>,
        view: &Arc<View>,
        kind: Kind,
    ) -> Result<Reply, Fault> {
        let cursor =
            match &request.message.params().cursor {
                None => None,
                span => Some(request.message.string(span.as_ref()).ok_or(Fault::InvalidParams(
                    "the parameter \"cursor\" must be a string".into(),
                ))?),
            };
        let vmcp = &self.vmcp;
        if !view.is_settled() {
            vmcp.settle(view, |_| false).await;
        }
        vmcp.check_whole(view)?;
        let seen = self.shown(request, view).await;
        let page = vmcp.list(seen.granted.catalog(), kind, cursor.as_deref())?;
        let head = self.head(view, Some(kind), &seen);
        // The page begins with its brace, the head ends with a comma.
        Ok(Reply::Parts(reply::result_around(request.id, &head, page.slice(1..))))
    }

    /// What a client is shown, when lists of its own have been read that have changed.
    async fn shown(&self, request: &Request<'_>, view: &Arc<View>) -> Seen {
        let vmcp = &self.vmcp;
        if let Some(unread) = vmcp.unread(view, || request.borrower()) {
            unread.read().await;
        }
        let Shown { catalog, is_own } = vmcp.shown(view, || request.borrower());
        let granted = self.granted(request, catalog).await;
        Seen { granted, is_own }
    }

    /// The members that every result has which vmcp makes: the beginning of an object. What is shown to
    /// one client alone is nobody else's, and may be over at any time.
    fn head(&self, view: &View, kind: Option<Kind>, seen: &Seen) -> BytesMut {
        // What vmcp is follows from all of its lists.
        let kinds = kind.as_slice();
        let kinds = if kinds.is_empty() { &Kind::ALL[..] } else { kinds };
        let all = kinds.iter().map(|kind| view.freshness(*kind));
        let (ttl, is_public) = all.fold((Duration::MAX, true), |(ttl, is_public), one| {
            (ttl.min(one.ttl), is_public && one.is_public)
        });
        let ttl = if seen.is_own { Duration::ZERO } else { ttl };
        let is_public = is_public && !seen.is_own && !seen.is_limited();
        let scope = if is_public { "public" } else { "private" };
        let mut head = BytesMut::with_capacity(256);
        head.put_slice(b"{\"resultType\":\"complete\",\"ttlMs\":");
        head.put_slice(ttl.as_millis().to_string().as_bytes());
        head.put_slice(b",\"cacheScope\":");
        head.put_slice(&raw::string(scope));
        head.put_slice(b",\"_meta\":{");
        head.put_slice(&raw::string(SERVER_INFO));
        head.put_u8(b':');
        head.put_slice(self.vmcp.server_info());
        let missing = view.unknown();
        // Whose it is that is missing is not known.
        if !missing.is_empty() && !seen.is_limited() {
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

/// What a client sees.
struct Seen {
    granted: Granted,
    /// Some of it is shown to this client alone.
    is_own: bool,
}

impl Seen {
    /// Whether policies say what it is.
    fn is_limited(&self) -> bool {
        self.granted.grant.is_some()
    }
}

/// The catalog's capabilities without what the modern era has in another way, and without kinds of which
/// the client may use nothing.
fn modern_capabilities(seen: &Seen) -> Bytes {
    let has_any = |kinds: &[Kind]| kinds.iter().any(|kind| seen.granted.catalog().len(*kind) > 0);
    raw::without(seen.granted.catalog().capabilities(), |name| match name {
        "tasks" => true,
        "tools" => seen.is_limited() && !has_any(&[Kind::Tool]),
        "prompts" => seen.is_limited() && !has_any(&[Kind::Prompt]),
        "resources" => seen.is_limited() && !has_any(&[Kind::Resource, Kind::ResourceTemplate]),
        _ => false,
    })
}
