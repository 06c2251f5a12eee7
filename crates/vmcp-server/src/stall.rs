//! Ends a connection whose client has stopped reading.
//!
//! While a socket is full, the body that is being sent is not polled, so that neither the deadline
//! of its call nor the end of its backend would ever be noticed.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// How long the writes of one connection have waited.
#[derive(Debug)]
pub(crate) struct Patience {
    /// How long a client may take nothing of what is sent to it.
    limit: Duration,
    /// Set while a write waits, so that one that does not costs no timer.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, waiting: None }
    }

    /// Judges what a write came to: it fails when nothing can be written for too long.
    pub(crate) fn judge<R>(
        &mut self,
        written: Poll<io::Result<R>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(waiting.as_mut().poll(context));
        let why = format!("the client has read nothing for {limit:?}");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)))
    }
}

/// A connection that fails when nothing can be written for too long.
#[derive(Debug)]
pub(crate) struct EndStalled<T> {
    io: T,
    patience: Patience,
}

impl<T> EndStalled<T> {
    pub(crate) fn new(io: T, limit: Duration) -> Self {
        Self { io, patience: Patience::new(limit) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for EndStalled<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for EndStalled<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.patience.judge(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        self.patience.judge(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(context);
        self.patience.judge(shut, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, pieces);
        self.patience.judge(written, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
        time::Instant,
    };

    use super::*;

    /// What a client is given.
    const LIMIT: Duration = Duration::from_secs(30);

    /// Bytes of a response, which is more than the connection holds.
    const LARGE: usize = 1 << 20;

    /// Bytes that the connection holds.
    const HELD: usize = 4096;

    async fn send(stream: DuplexStream) -> io::Result<()> {
        let mut stream = EndStalled::new(stream, LIMIT);
        stream.write_all(&vec![b'x'; LARGE]).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_reading_loses_its_connection() {
        let (_client, server) = tokio::io::duplex(HELD);
        let begun = Instant::now();
        assert_eq!(send(server).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), LIMIT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_keeps_its_connection() {
        let (mut client, server) = tokio::io::duplex(HELD);
        let reading = async {
            let mut read = 0;
            let mut piece = [0; HELD];
            loop {
                tokio::time::sleep(LIMIT - Duration::from_secs(1)).await;
                match client.read(&mut piece).await.unwrap() {
                    0 => return read,
                    length => read += length,
                }
            }
        };
        let (sent, read) = tokio::join!(send(server), reading);
        sent.unwrap();
        assert_eq!(read, LARGE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_nothing_to_send_may_rest() {
        let (mut client, server) = tokio::io::duplex(HELD);
        let mut server = EndStalled::new(server, LIMIT);
        let resting = async {
            tokio::time::sleep(LIMIT * 10).await;
            client.write_all(b"x").await.unwrap();
        };
        let (read, ()) = tokio::join!(server.read_u8(), resting);
        assert_eq!(read.unwrap(), b'x');
    }
}
