//! A socket that knows when something was last heard on it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Notify,
    time::Instant,
};

use crate::settings::SILENCE;

/// When the other end was heard.
#[derive(Debug)]
pub(crate) struct Heard {
    begun: Instant,
    /// Microseconds since then until it was heard last.
    last: AtomicU64,
    /// Somebody waits to hear something.
    is_awaited: AtomicBool,
    news: Notify,
}

impl Heard {
    fn new() -> Self {
        let (last, is_awaited) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { begun: Instant::now(), last, is_awaited, news: Notify::new() }
    }

    pub(crate) fn last(&self) -> Instant {
        self.begun + Duration::from_micros(self.last.load(Ordering::Acquire))
    }

    /// Waits until something is heard after a moment.
    pub(crate) async fn after(&self, moment: Instant) {
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            self.is_awaited.store(true, Ordering::SeqCst);
            if self.last() > moment {
                return;
            }
            news.await;
        }
    }

    fn note(&self) {
        let now = self.begun.elapsed().as_micros();
        self.last.store(u64::try_from(now).unwrap_or(u64::MAX), Ordering::SeqCst);
        if self.is_awaited.load(Ordering::SeqCst) && self.is_awaited.swap(false, Ordering::SeqCst) {
            self.news.notify_waiters();
        }
    }
}

/// A socket of TCP. Bytes count as heard before TLS has seen them: a large record takes its time.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    heard: Arc<Heard>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        // What was sent and is not acknowledged ends the connection, also when nobody here waits for it.
        #[cfg(target_os = "linux")]
        {
            let patience = u32::try_from((SILENCE * 2).as_millis()).unwrap_or(u32::MAX);
            sockopt::set_tcp_user_timeout(&stream, patience)?;
        }
        Ok(Self { stream, heard: Arc::new(Heard::new()) })
    }

    pub(crate) fn heard(&self) -> Arc<Heard> {
        Arc::clone(&self.heard)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.heard.note();
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
