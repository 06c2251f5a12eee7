//! What an idle session costs vmcp in memory: opens many and looks how much the process grows.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::time;

use crate::{
    client::{Connection, Session, message},
    process,
};

/// Backends that each session is in front of.
pub(crate) const BACKENDS: usize = 10;
const SESSIONS: usize = 2000;
/// Opened and ended before anything is counted, so that pools and buffers have their size.
const WARM_UP: usize = 200;
/// What is freed is not given back at once.
const SETTLE: Duration = Duration::from_secs(1);

/// Memory per session in one state.
#[derive(Debug, PartialEq)]
pub(crate) struct Idle {
    pub(crate) state: &'static str,
    pub(crate) kib: f64,
    /// The most that the design allows, in KiB.
    pub(crate) bar: f64,
}

/// Measures the three states that the design names, one after the other.
pub(crate) async fn measure(address: SocketAddr, process: u32) -> Result<Vec<Idle>> {
    let mut connection = Connection::open(address).await?;
    let mut warm_up = Vec::new();
    for _ in 0..WARM_UP {
        warm_up.push(Session::open(&mut connection).await?);
    }
    call_each(&warm_up, &mut connection).await?;
    for session in warm_up {
        session.end(&mut connection).await?;
    }

    let empty = settled(process).await?;
    let mut sessions = Vec::with_capacity(SESSIONS);
    for _ in 0..SESSIONS {
        sessions.push(Session::open(&mut connection).await?);
    }
    let opened = settled(process).await?;
    call_each(&sessions, &mut connection).await?;
    let called = settled(process).await?;
    let mut streams = Vec::with_capacity(SESSIONS);
    for session in &sessions {
        let mut connection = Connection::open(address).await?;
        let stream = session.listen(&mut connection).await.with_context(|| {
            format!("with {} streams open; is the limit of open files too low?", streams.len())
        })?;
        streams.push((connection, stream));
    }
    let listening = settled(process).await?;
    drop(streams);
    for session in sessions {
        session.end(&mut connection).await?;
    }

    #[expect(clippy::cast_precision_loss, reason = "KiB of memory fit")]
    let each = |now: u64| now.saturating_sub(empty) as f64 / SESSIONS as f64;
    Ok(vec![
        Idle { state: "before any call", kib: each(opened), bar: 2.0 },
        Idle { state: "after a call to each backend", kib: each(called), bar: 4.0 },
        Idle { state: "with a GET stream open", kib: each(listening), bar: 12.0 },
    ])
}

async fn call_each(sessions: &[Session], connection: &mut Connection) -> Result<()> {
    for session in sessions {
        for backend in 0..BACKENDS {
            let call = message::call(&format!("b{backend}_tool_0"), r#""text":"x""#);
            let answer = session.post(connection, Bytes::from(call)).await?;
            anyhow::ensure!(
                message::whole(&answer)?.get("result").is_some(),
                "a call fails: {}",
                crate::client::brief(&answer)
            );
        }
    }
    Ok(())
}

async fn settled(process: u32) -> Result<u64> {
    time::sleep(SETTLE).await;
    process::resident_kib(process)
}
