//! Servers that do not get as far as HTTP.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::host::{Host, Life};

/// A server on a bare socket. It ends when this value is dropped.
pub struct SocketPeer {
    host: Host,
}

/// Begins every response with headers and never ends them. They come slowly enough that only a
/// limit on time or on size ends the wait.
pub async fn endless_headers(port: u16) -> io::Result<SocketPeer> {
    let host = Host::sockets(port, Life::default(), |mut socket| async move {
        let mut request = [0; 4096];
        if !matches!(socket.read(&mut request).await, Ok(length) if length > 0) {
            return;
        }
        let mut header = "HTTP/1.1 200 OK\r\n".to_owned();
        for number in 0_u64.. {
            header.push_str(&format!("x-filler-{number}: {}\r\n", "f".repeat(64)));
            if socket.write_all(header.as_bytes()).await.is_err() {
                return;
            }
            header.clear();
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    })
    .await?;
    Ok(SocketPeer { host })
}

impl SocketPeer {
    /// Where an MCP endpoint would be.
    pub fn url(&self) -> String {
        self.host.url()
    }
}
