//! The channel between replicas: `peer`.

use std::net::SocketAddr;

use super::{admin::address, reader::Reader};

/// Set in every container of a Kubernetes pod.
pub(super) const IN_POD: &str = "KUBERNETES_SERVICE_HOST";

/// Where this replica listens to the others, and what they are told about that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) advertise: Option<SocketAddr>,
}

/// Reads the channel between replicas, which there is only where they share a Redis. In a pod there is one unless the
/// file says otherwise: `api_server` is what [`IN_POD`] holds.
pub(super) fn read(
    reader: &Reader<'_>,
    has_redis: bool,
    api_server: Option<String>,
) -> Option<Peer> {
    let enabled = reader.flag("enabled");
    let peer = Peer { listen: address(reader, "listen"), advertise: address(reader, "advertise") };
    if let Some(advertised) = peer.advertise
        && (advertised.ip().is_unspecified() || advertised.port() == 0)
        && let Some(value) = reader.value("advertise")
    {
        value.problem(format!(
            "{} is no address that others can reach; write the one that this replica has for them",
            value.quoted()
        ));
    }
    let in_pod = api_server.is_some_and(|host| !host.is_empty());
    let is_wanted = enabled.unwrap_or(peer.listen.is_some() || peer.advertise.is_some());
    if is_wanted && !has_redis {
        for name in ["enabled", "listen", "advertise"] {
            if let Some(value) = reader.value(name) {
                value.problem("only takes effect with sessionStorage.provider: redis");
                break;
            }
        }
    }
    if enabled == Some(false) {
        for name in ["listen", "advertise"] {
            if let Some(value) = reader.value(name) {
                value.problem("only takes effect with enabled: true");
            }
        }
    }
    let is_on = enabled.unwrap_or(is_wanted || in_pod);
    (is_on && has_redis).then_some(peer)
}
