//! A relay between two replicas, which can be cut, reset and silenced.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// What is done with what goes through.
#[derive(Debug, Clone, Copy, Default)]
struct Mode {
    /// Nothing goes through, nothing is closed: as if every packet were dropped.
    is_silent: bool,
    /// How often all connections were reset.
    resets: u64,
}

/// Stands at an address of its own before another one. It ends with its handle.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    mode: watch::Sender<Mode>,
    _tasks: JoinSet<()>,
}

impl Relay {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, modes) = watch::channel(Mode::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut passing = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                passing.spawn(pass(stream, target, modes.clone()));
            }
        });
        Self { address, mode, _tasks: tasks }
    }

    pub(crate) fn silence(&self, is_silent: bool) {
        self.mode.send_modify(|mode| mode.is_silent = is_silent);
    }

    /// Resets what stands; what comes later passes.
    pub(crate) fn reset(&self) {
        self.mode.send_modify(|mode| mode.resets += 1);
    }
}

async fn pass(near: TcpStream, target: SocketAddr, mut modes: watch::Receiver<Mode>) {
    let resets = modes.borrow().resets;
    if modes.wait_for(|mode| !mode.is_silent).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(target).await else { return };
    for stream in [&near, &far] {
        stream.set_nodelay(true).unwrap();
        // Closing it says so by RST.
        stream.set_zero_linger().unwrap();
    }
    let (mut near_in, mut near_out) = near.into_split();
    let (mut far_in, mut far_out) = far.into_split();
    let (forth, back) = (modes.clone(), modes.clone());
    tokio::select! {
        () = copy(&mut near_in, &mut far_out, forth) => {}
        () = copy(&mut far_in, &mut near_out, back) => {}
        _reset = modes.wait_for(|mode| mode.resets != resets) => {}
    }
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut modes: watch::Receiver<Mode>,
) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut bytes).await.unwrap_or(0);
        if modes.wait_for(|mode| !mode.is_silent).await.is_err() || read == 0 {
            return;
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
