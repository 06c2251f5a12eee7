//! A client that keeps its connections: vmcp's own, which speaks to vmcp as to any server.
//!
//! The strict client of the testkit opens a connection for each request, which under load would use
//! up the ports of this machine.

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::task::TaskTracker;
use vmcp_backend::{Backend, ClientView, Error, Session};
use vmcp_model::{BackendId, Method, ProtocolVersion};
use vmcp_wire::Message;

/// A client of the server at this URL.
pub(crate) fn client_of(url: &str) -> Arc<Backend> {
    let config = vmcp_backend::Config::plain(BackendId::new("vmcp").unwrap(), url.parse().unwrap());
    Backend::new(&config, TaskTracker::new()).unwrap()
}

/// A session of a client that can do nothing special.
pub(crate) async fn session(client: &Arc<Backend>) -> Session {
    let view = ClientView::new(ProtocolVersion::LATEST_LEGACY, Bytes::from_static(b"{}"));
    client.open(&view).await.unwrap()
}

/// Calls a tool. `arguments` is literal JSON.
pub(crate) async fn call(
    client: &Arc<Backend>,
    session: &Session,
    tool: &str,
    arguments: &str,
) -> Result<Message, Error> {
    let params = format!(r#"{{"name":"{tool}","arguments":{arguments}}}"#);
    client.ask(session, Method::ToolsCall, Some(params.as_bytes())).await
}
