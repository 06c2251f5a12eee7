//! Many sessions at once, opened and called over a few connections that are closed again.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use tokio::task::JoinSet;

use crate::client::{Connection, Session, brief, message};

const CONNECTIONS: usize = 8;

/// Opens so many sessions.
pub(crate) async fn open(address: SocketAddr, sessions: usize) -> Result<Vec<Session>> {
    let mut tasks = JoinSet::new();
    for number in 0..CONNECTIONS.min(sessions) {
        let share = (number..sessions).step_by(CONNECTIONS).count();
        tasks.spawn(open_share(address, share));
    }
    let mut opened = Vec::with_capacity(sessions);
    while let Some(share) = tasks.join_next().await {
        opened.extend(share.context("a connection has panicked")??);
    }
    Ok(opened)
}

async fn open_share(address: SocketAddr, share: usize) -> Result<Vec<Session>> {
    let mut connection = Connection::open(address).await?;
    let mut sessions = Vec::with_capacity(share);
    for _ in 0..share {
        sessions.push(Session::open(&mut connection).await?);
    }
    Ok(sessions)
}

/// Calls each of so many backends once in each session.
pub(crate) async fn call_each(
    address: SocketAddr,
    sessions: &Arc<[Session]>,
    backends: usize,
) -> Result<()> {
    let mut tasks = JoinSet::new();
    for number in 0..CONNECTIONS {
        let sessions = Arc::clone(sessions);
        tasks.spawn(async move {
            let mut connection = Connection::open(address).await?;
            for session in sessions.iter().skip(number).step_by(CONNECTIONS) {
                call(session, &mut connection, backends).await?;
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.context("a connection has panicked")??;
    }
    Ok(())
}

async fn call(session: &Session, connection: &mut Connection, backends: usize) -> Result<()> {
    for backend in 0..backends {
        let call = message::call(&format!("b{backend}_tool_0"), r#""text":"x""#);
        let answer = session.post(connection, Bytes::from(call)).await?;
        let succeeded = message::whole(&answer)?.get("result").is_some();
        ensure!(succeeded, "a call fails: {}", brief(&answer));
    }
    Ok(())
}
