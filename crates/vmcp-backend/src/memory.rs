//! A network in memory: a backend that is reached without a socket, for tests whose clock stands still.
//!
//! Only what is below HTTP is another. Each connection is a pipe, whose far end is handed to whoever plays
//! the server.

use std::io;

use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc,
};

/// Bytes that are on their way in each direction of a connection before the writer waits.
const ROOM: usize = 64 << 10;

/// How the connections of an endpoint are made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Network {
    /// By TCP, to the host and port of its URL.
    #[default]
    Tcp,
    /// In this process. Only for URLs of the scheme `http`, and past any proxy.
    Memory(Memory),
}

/// A server in this process. Two are equal if they are the same server.
#[derive(Debug, Clone)]
pub struct Memory(mpsc::Sender<DuplexStream>);

impl Memory {
    /// The server that takes the far ends of its connections out of this channel. Where nobody does any
    /// more, connections are refused.
    pub fn new(server: mpsc::Sender<DuplexStream>) -> Self {
        Self(server)
    }

    pub(crate) async fn connect(&self) -> io::Result<DuplexStream> {
        let (near, far) = duplex(ROOM);
        let taken = self.0.send(far).await;
        taken.map_err(|_gone| io::ErrorKind::ConnectionRefused)?;
        Ok(near)
    }
}

impl PartialEq for Memory {
    fn eq(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl Eq for Memory {}
