//! Where requests come in, and whose are taken.

use std::{
    fmt,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use http::Uri;
use vmcp_auth::{Authenticator, OperatorAuth};
use vmcp_core::Background;
use vmcp_server::{AllowedHost, Awaited, Listens, TrustedNetwork};

use super::ENDPOINT;
use crate::{config, user};

/// The key whose address could not be listened on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdminListen(SocketAddr);

impl fmt::Display for AdminListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "admin.listen: cannot listen on {}", self.0)
    }
}

/// The same for metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MetricsListen(SocketAddr);

impl fmt::Display for MetricsListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "telemetry.prometheusPort: cannot listen on {}", self.0)
    }
}

/// What is listened on.
pub(super) struct Listeners {
    pub(super) all: Vec<(TcpListener, Listens)>,
    /// Where clients are served.
    pub(super) address: SocketAddr,
    /// Where operators have a listener of their own.
    pub(super) admin: Option<SocketAddr>,
}

/// Listens. `/status` stands beside MCP only where nobody else can reach it.
pub(super) fn listeners(
    listen: SocketAddr,
    admin: Option<SocketAddr>,
    telemetry: Option<&config::Telemetry>,
) -> anyhow::Result<Listeners> {
    let main = TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    let address = main.local_addr()?;
    let main_listens =
        if listen.ip().is_loopback() { Listens::ClientsAndAdmin } else { Listens::Clients };
    let admin = admin.map(|admin| TcpListener::bind(admin).context(AdminListen(admin)));
    let admin = admin.transpose()?;
    let admin_address = admin.as_ref().map(TcpListener::local_addr).transpose()?;
    let admin = admin.map(|admin| (admin, Listens::Admin));
    let port = telemetry.and_then(|telemetry| telemetry.prometheus?.port);
    let metrics = port.map(|port| {
        let address = SocketAddr::new(listen.ip(), port);
        TcpListener::bind(address).context(MetricsListen(address))
    });
    let metrics = metrics.transpose()?.map(|metrics| (metrics, Listens::Metrics));
    let all = [(main, main_listens)].into_iter().chain(admin).chain(metrics).collect();
    Ok(Listeners { all, address, admin: admin_address })
}

/// How the edge works. What is `near` are the URL by which clients reach it, and the proxies that are believed.
pub(super) fn config(
    allowed_hosts: &[String],
    allowed_origins: &[String],
    near: (Option<String>, Vec<TrustedNetwork>),
    limits: &config::Limits,
    keep_alive: Duration,
    awaited: Option<Awaited>,
) -> anyhow::Result<vmcp_server::Config> {
    let (public_url, trusted_proxies) = near;
    Ok(vmcp_server::Config {
        endpoint: ENDPOINT.to_owned(),
        allowed_hosts: hosts(allowed_hosts, public_url.as_deref())?,
        allowed_origins: parsed(allowed_origins).context("allowedOrigins")?,
        trusted_proxies,
        public_url,
        request_bytes: limits.request_bytes,
        held_request_bytes: limits.held_request_bytes,
        streams: limits.streams,
        connections: limits.connections,
        keep_alive,
        shows_states: config::is_in_pod(&config::environment),
        awaited,
    })
}

/// The hosts that requests may be meant for: those of the configuration, and that of the URL by which clients
/// reach the server.
fn hosts(allowed: &[String], public_url: Option<&str>) -> anyhow::Result<Vec<AllowedHost>> {
    let mut hosts = parsed(allowed).context("allowedHosts")?;
    // The operator's files name no hosts, and its Services, Ingresses and pods have many.
    if hosts.is_empty() && config::is_in_pod(&config::environment) {
        hosts.push(AllowedHost::any());
    }
    if let Some(url) = public_url {
        let url: Uri = url.parse().context("publicUrl")?;
        let host = url.host().context("publicUrl has no host")?;
        hosts.push(host.parse().context("publicUrl")?);
    }
    Ok(hosts)
}

/// Makes what knows who calls. Where no resource is named, it is the endpoint by the URL by which clients
/// reach the server.
pub(super) fn authenticator(
    incoming: &vmcp_auth::Config,
    public_url: Option<&str>,
    background: &Background,
) -> anyhow::Result<Authenticator> {
    Ok(match incoming {
        vmcp_auth::Config::Anonymous => Authenticator::anonymous(),
        vmcp_auth::Config::Local => Authenticator::local(&user::name()),
        vmcp_auth::Config::Oidc(oidc) => {
            let mut oidc = oidc.clone();
            let endpoint = public_url.map(|url| format!("{url}{ENDPOINT}"));
            oidc.resource = oidc.resource.or(endpoint);
            let background = background.clone();
            let spawn = Arc::new(move |work| drop(background.spawn_until_stop(work)));
            Authenticator::oidc(&oidc, spawn)?
        }
    })
}

/// Warns of what is odd about where requests come in, and whose are taken.
pub(super) fn warn(
    listen: SocketAddr,
    incoming: &vmcp_auth::Config,
    admin: &config::Admin,
    telemetry: Option<&config::Telemetry>,
) {
    warn_of_strangers(listen, incoming);
    let is_open =
        telemetry.and_then(|telemetry| telemetry.prometheus).is_some_and(|to| to.to_clients);
    if is_open && !listen.ip().is_loopback() && matches!(incoming, vmcp_auth::Config::Oidc(_)) {
        tracing::warn!(
            "whoever reaches the clients' listener can read /metrics without a token, which names all backends and \
             tools that are used; set telemetry.metricsOnTransportPort: false to keep that from them"
        );
    }
    warn_of_nothing_to_see(listen, admin);
}

/// Warns where strangers may call whatever there is.
fn warn_of_strangers(address: SocketAddr, incoming: &vmcp_auth::Config) {
    if address.ip().is_loopback() {
        return;
    }
    match incoming {
        vmcp_auth::Config::Oidc(_) => {}
        vmcp_auth::Config::Anonymous => tracing::warn!(
            %address,
            "listening beyond this machine without incoming authentication: everybody who reaches this address may call every backend"
        ),
        vmcp_auth::Config::Local => tracing::warn!(
            %address,
            "listening beyond this machine with incomingAuth.type: local, which asks nobody for proof: everybody who reaches this address may call every backend, as the user who runs vmcp"
        ),
    }
}

/// Warns where operators could prove who they are, and there is nothing for them.
fn warn_of_nothing_to_see(listen: SocketAddr, admin: &config::Admin) {
    if admin.auth != OperatorAuth::None && admin.listen.is_none() && !listen.ip().is_loopback() {
        tracing::warn!(
            "admin.auth has no effect: beyond this machine, /status is served on a listener of its own only; \
             set admin.listen"
        );
    }
}

fn parsed<T>(texts: &[String]) -> anyhow::Result<Vec<T>>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    texts.iter().map(|text| text.parse().with_context(|| format!("{text:?}"))).collect()
}
