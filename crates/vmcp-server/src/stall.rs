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

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::Sleep;

/// How long a client may take nothing of what is sent to it.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the writes of one connection have waited.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// Set while a write waits, so that one that does not costs no timer.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Patience {
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
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
        ready!(waiting.as_mut().poll(context));
        let why = format!("the client has read nothing for {PATIENCE:?}");
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
    pub(crate) fn new(io: T) -> Self {
        Self { io, patience: Patience::default() }
    }
}

impl<T: Read + Unpin> Read for EndStalled<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<T: Write + Unpin> Write for EndStalled<T> {
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
    use std::convert::Infallible;

    use bytes::Bytes;
    use http::Response;
    use http_body_util::Full;
    use hyper::{server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
        time::Instant,
    };

    use super::*;

    /// Bytes of a response, which is more than the connection and hyper hold.
    const LARGE: usize = 1 << 20;

    /// Bytes that the connection holds.
    const HELD: usize = 4096;

    async fn serve(stream: DuplexStream) -> hyper::Result<()> {
        let service = service_fn(|_request| async {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(vec![b'x'; LARGE]))))
        });
        let stream = EndStalled::new(TokioIo::new(stream));
        http1::Builder::new().serve_connection(stream, service).await
    }

    async fn ask(client: &mut DuplexStream) {
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_reading_loses_its_connection() {
        let (mut client, server) = tokio::io::duplex(HELD);
        ask(&mut client).await;
        let begun = Instant::now();
        let error = serve(server).await.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(cause.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_keeps_its_connection() {
        let (mut client, server) = tokio::io::duplex(HELD);
        ask(&mut client).await;
        let reading = async {
            let mut read = 0;
            let mut piece = [0; HELD];
            loop {
                tokio::time::sleep(PATIENCE - Duration::from_secs(1)).await;
                match client.read(&mut piece).await.unwrap() {
                    0 => return read,
                    length => read += length,
                }
            }
        };
        let (served, read) = tokio::join!(serve(server), reading);
        served.unwrap();
        assert!(read > LARGE, "{read}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_nothing_to_send_may_rest() {
        let (mut client, server) = tokio::io::duplex(HELD);
        let resting = async {
            tokio::time::sleep(PATIENCE * 10).await;
            ask(&mut client).await;
            client.read_to_end(&mut Vec::new()).await.unwrap()
        };
        let (served, read) = tokio::join!(serve(server), resting);
        served.unwrap();
        assert!(read > LARGE, "{read}");
    }
}
