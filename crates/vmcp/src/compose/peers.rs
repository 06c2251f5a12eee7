//! The channel to the other replicas.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    net::lookup_host,
    time::{sleep, timeout},
};
use vmcp_core::Background;
use vmcp_peer::{Peers, Settings};
use vmcp_session::{Holder, Sessions};
use vmcp_store::{Servers, Store};

use crate::config::{self, Limits, Peer};

/// The port, unless the configuration says another.
const PORT: u16 = 4484;

/// Bytes that are sent around a message, and its ids and tokens that are written longer than a client has.
const AROUND: usize = 64 << 10;

/// How long it may take to find an address by its name, and how soon it is looked again.
const PATIENCE: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_secs(5);

/// The key whose address could not be listened on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerListen(SocketAddr);

impl fmt::Display for PeerListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer.listen: cannot listen on {}", self.0)
    }
}

/// A channel that is listened on, and begins when there are sessions.
pub(super) struct Opened {
    listener: TcpListener,
    /// Where the others reach it, as far as that is known.
    address: Option<SocketAddr>,
    port: u16,
    servers: Servers,
    scope: Vec<Vec<u8>>,
    /// Bytes of what is asked of another replica, and of what it says in one piece.
    bounds: (usize, usize),
}

/// Listens to the other replicas that share the Redis of these settings, if that is wanted.
///
/// # Errors
/// If that cannot be.
pub(super) fn open(
    peer: Option<&Peer>,
    storage: Option<&vmcp_store::Settings>,
    limits: &Limits,
) -> anyhow::Result<Option<Opened>> {
    let (Some(peer), Some(storage)) = (peer, storage) else { return Ok(None) };
    let listen = peer.listen.unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, PORT).into());
    let listener = TcpListener::bind(listen).context(PeerListen(listen))?;
    let bound = listener.local_addr()?;
    let address = peer.advertise.or_else(|| (!bound.ip().is_unspecified()).then_some(bound));
    Ok(Some(Opened {
        listener,
        address,
        port: bound.port(),
        servers: storage.servers.clone(),
        scope: vec![storage.db.to_string().into_bytes(), storage.prefix.clone().into_bytes()],
        bounds: (limits.request_bytes + AROUND, limits.event_bytes + AROUND),
    }))
}

/// Begins to listen, if it was [opened](open).
pub(super) fn start(
    channel: Option<Opened>,
    sessions: &Arc<Sessions>,
    store: Arc<dyn Store>,
    background: &Background,
) -> anyhow::Result<()> {
    channel.map_or(Ok(()), |channel| channel.start(sessions, store, background))
}

impl Opened {
    /// Begins to listen, and lets sessions use what other replicas hold, once it is known by which address the others
    /// reach this one.
    fn start(
        self,
        sessions: &Arc<Sessions>,
        store: Arc<dyn Store>,
        background: &Background,
    ) -> anyhow::Result<()> {
        let Self { listener, address, port, servers, scope, bounds } = self;
        let holder = Holder::default();
        let (head_bytes, frame_bytes) = bounds;
        let settings =
            Settings { head_bytes, frame_bytes, ..Settings::new(sessions.replica(), 0, scope) };
        let peers = Peers::start(
            settings,
            listener,
            Arc::new(move || store.keys().ok()),
            Arc::new(holder.clone()),
            background.tasks(),
            background.stop(),
        )
        .context("peer.listen")?;
        let sessions = Arc::clone(sessions);
        let join = move |address: SocketAddr| {
            tracing::info!(%address, "other replicas reach this one");
            sessions.join(peers, &holder, address.to_string().into());
        };
        match address {
            Some(address) => join(address),
            None => {
                background.spawn_until_stop(async move {
                    join(SocketAddr::new(own_address(&servers).await, port));
                });
            }
        }
        Ok(())
    }
}

/// The address by which this machine reaches Redis, or else the API server of its cluster. Nothing is sent. Waits for
/// as long as there is none.
async fn own_address(servers: &Servers) -> IpAddr {
    let api_server = config::environment("KUBERNETES_SERVICE_HOST").map(|host| (host, 443));
    let is_in_pod = api_server.is_some();
    let hosts: Vec<_> = servers.addresses().into_iter().chain(api_server).collect();
    let mut has_warned = false;
    loop {
        let mut near = None;
        for (host, port) in &hosts {
            let found = timeout(PATIENCE, lookup_host((host.as_str(), *port))).await;
            let own = found.into_iter().flatten().flatten().find_map(towards);
            match own {
                Some(own) if !own.is_loopback() => return own,
                own => near = near.or(own),
            }
        }
        // Where all is on one machine, so are the replicas; in a pod it is a proxy of its own.
        if let Some(near) = near.filter(|_| !is_in_pod) {
            return near;
        }
        if !std::mem::replace(&mut has_warned, true) {
            tracing::warn!(
                "it is not known yet by which address other replicas reach this one, and what it holds of programs and \
                 of HTTP+SSE is refused on them; write it in peer.advertise, or peer.enabled: false"
            );
        }
        sleep(AGAIN).await;
    }
}

fn towards(address: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(address).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|own| !own.is_unspecified())
}
