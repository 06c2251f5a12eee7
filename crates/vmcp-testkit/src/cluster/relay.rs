//! Stands between a replica and its Redis, and falls silent when told to.
//!
//! Silence is that of a network that drops packets: nothing passes, nothing is closed, and what was on
//! its way comes when the network is well again.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
};

use crate::host::{Host, Life};

/// What says that a connection is one on which a subscriber listens.
const SUBSCRIBE: &[u8] = b"SUBSCRIBE";

/// Bytes that are kept of what has passed.
const KEPT: usize = 16 << 20;

/// What does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silent {
    /// Everything passes.
    Nothing,
    /// What subscribers are to hear.
    Subscriptions,
    Everything,
}

/// A relay to a loopback port.
#[derive(Debug)]
pub struct Relay {
    host: Host,
    silent: watch::Sender<Silent>,
    passed: Passed,
}

/// What has passed, either way.
type Passed = Arc<Mutex<Vec<u8>>>;

impl Relay {
    /// Starts a relay to a port.
    pub async fn to(port: u16) -> Result<Self> {
        let (silent, life) = (watch::Sender::new(Silent::Nothing), Life::default());
        let (watched, passed) = (silent.clone(), Passed::default());
        let kept = Arc::clone(&passed);
        let host = Host::sockets(0, life, move |socket| {
            let (silent, passed) = (watched.subscribe(), Arc::clone(&kept));
            async move {
                // Either side may break off: the other one is told by the end of its connection.
                let _ = carry(socket, port, silent, &passed).await;
            }
        })
        .await?;
        Ok(Self { host, silent, passed })
    }

    /// `127.0.0.1` and the port.
    pub fn address(&self) -> String {
        self.host.address().to_string()
    }

    /// The first megabytes of what has passed, either way.
    pub fn passed(&self) -> Vec<u8> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this does not pass.
    pub fn silence(&self, silent: Silent) {
        self.silent.send_replace(silent);
    }
}

async fn carry(
    near: TcpStream,
    port: u16,
    silent: watch::Receiver<Silent>,
    passed: &Passed,
) -> io::Result<()> {
    let far = TcpStream::connect(("127.0.0.1", port)).await?;
    far.set_nodelay(true)?;
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let subscribes = watch::Sender::new(false);
    let (listening, mut seen) = (subscribes.subscribe(), Vec::new());
    let there = pass(near_in, far_out, silent.clone(), passed, |silent, bytes| {
        // The word may come in pieces.
        seen.extend_from_slice(bytes);
        if seen.windows(SUBSCRIBE.len()).any(|word| word.eq_ignore_ascii_case(SUBSCRIBE)) {
            subscribes.send_replace(true);
        }
        seen.drain(..seen.len().saturating_sub(SUBSCRIBE.len()));
        silent == Silent::Everything
    });
    let back = pass(far_in, near_out, silent, passed, |silent, _bytes| match silent {
        Silent::Nothing => false,
        Silent::Subscriptions => *listening.borrow(),
        Silent::Everything => true,
    });
    tokio::select! {
        there = there => there,
        back = back => back,
    }
}

/// Passes on what comes, unless it is held up.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut silent: watch::Receiver<Silent>,
    passed: &Passed,
    mut held: impl FnMut(Silent, &[u8]) -> bool,
) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = from.read(&mut buffer).await?;
        let (bytes, mut fresh) = (&buffer[..read], true);
        while held(*silent.borrow_and_update(), if fresh { bytes } else { b"" }) {
            fresh = false;
            silent.changed().await.map_err(io::Error::other)?;
        }
        if read == 0 {
            return Ok(());
        }
        {
            let mut passed = passed.lock().unwrap_or_else(PoisonError::into_inner);
            let room = KEPT.saturating_sub(passed.len()).min(bytes.len());
            passed.extend_from_slice(&bytes[..room]);
        }
        to.write_all(bytes).await?;
    }
}
