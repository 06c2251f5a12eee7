//! A connection of HTTP/1.1 to a backend: sends one request at a time, and reads the head of its
//! answer. The body is read by `received.rs`; who uses a connection next is the pool's matter.
//!
//! It has no task of its own. Whoever waits for an answer drives it, and dropping it closes it, so a
//! request that is given up at any point leaves no connection behind that is half-way through.

use std::{
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};
use vmcp_http1::{HeadScan, ResponseHead};

use super::{socket::Socket, unreachable};
use crate::{error::Error, gauge::Permit};

/// Room that is made for a head, which mostly comes with all of the answer behind it.
const HEAD_ROOM: usize = 4 << 10;

/// Interim responses before the final one.
const MAX_INTERIM: usize = 16;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Socket,
    /// What has arrived and not been taken yet.
    pub(super) arrived: BytesMut,
    /// Counts it for as long as it is open.
    _counted: Permit,
}

/// The beginning of an answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) head: ResponseHead,
    /// Whether the connection can take another request once the body has been read.
    pub(super) can_go_on: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing of the request has left.
    Unsent,
    Failed(Error),
}

/// A request under way.
struct Exchange {
    head: BytesMut,
    /// What of the body is not behind the head.
    body: Bytes,
    sending: Sending,
    /// Whether the socket has taken anything.
    has_begun: bool,
    /// The head of an answer that came before the request had left.
    early: Option<ResponseHead>,
    scan: HeadScan,
    interim: usize,
}

enum Sending {
    UnderWay,
    Done,
    Failed(io::Error),
}

impl Connection {
    pub(super) fn new(socket: Socket, counted: Permit) -> Self {
        Self { socket, arrived: BytesMut::new(), _counted: counted }
    }

    /// Whether an idle one can be used, as far as can be told from here: the backend has neither closed
    /// it nor said anything that was not asked.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.socket.is_quiet()
    }

    /// Sends a request, in two pieces of which the second may be empty, and reads the head of the
    /// answer. After a failure the connection is of no use.
    pub(super) async fn exchange(
        &mut self,
        (head, body): (BytesMut, Bytes),
    ) -> Result<Answered, Failure> {
        let mut exchange = Exchange {
            head,
            body,
            sending: Sending::UnderWay,
            has_begun: false,
            early: None,
            scan: HeadScan::default(),
            interim: 0,
        };
        std::future::poll_fn(|context| exchange.poll(self, context)).await
    }

    /// Reads once, with room for at least `least` bytes; if there is less, for `room` bytes. 0 is the
    /// end.
    ///
    /// A read that does not fill its room shows the runtime that nothing more is there. So there should
    /// be room for more than what is expected, or the next look costs a system call.
    pub(super) fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        least: usize,
        room: usize,
    ) -> Poll<io::Result<usize>> {
        if self.arrived.capacity() - self.arrived.len() < least {
            self.arrived.reserve(room);
        }
        pin!(self.socket.read_buf(&mut self.arrived)).poll(context)
    }
}

impl Exchange {
    fn poll(
        &mut self,
        connection: &mut Connection,
        context: &mut Context<'_>,
    ) -> Poll<Result<Answered, Failure>> {
        if let Sending::UnderWay = self.sending {
            match self.poll_send(&mut connection.socket, context) {
                // A backend may answer before it has read everything, and read no more.
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.sent(connection),
                Poll::Ready(Err(_error)) if self.is_unsent(connection) => {
                    return Poll::Ready(Err(Failure::Unsent));
                }
                // It may have answered before it closed the connection.
                Poll::Ready(Err(error)) => self.sending = Sending::Failed(error),
            }
        }
        let head = match self.early.take() {
            Some(head) => head,
            None => match ready!(self.poll_head(connection, context)) {
                Ok(head) => head,
                Err(_error) if self.is_unsent(connection) => {
                    return Poll::Ready(Err(Failure::Unsent));
                }
                Err(error) => return Poll::Ready(Err(Failure::Failed(error))),
            },
        };
        if matches!(self.sending, Sending::UnderWay) && head.response.status().is_success() {
            // It takes the request, and needs the rest of it to go on.
            self.early = Some(head);
            return Poll::Pending;
        }
        let can_go_on = head.keeps_alive && matches!(self.sending, Sending::Done);
        Poll::Ready(Ok(Answered { head, can_go_on }))
    }

    fn is_unsent(&self, connection: &Connection) -> bool {
        !self.has_begun && connection.socket.fails_cleanly()
    }

    /// Writes what the socket takes. Ready when it has taken everything.
    fn poll_send(
        &mut self,
        socket: &mut Socket,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !(self.head.is_empty() && self.body.is_empty()) {
            let socket = Pin::new(&mut *socket);
            let taken = match (self.head.is_empty(), self.body.is_empty()) {
                (false, false) => {
                    let slices = [IoSlice::new(&self.head), IoSlice::new(&self.body)];
                    ready!(socket.poll_write_vectored(context, &slices))?
                }
                (false, true) => ready!(socket.poll_write(context, &self.head))?,
                (true, _) => ready!(socket.poll_write(context, &self.body))?,
            };
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.has_begun = true;
            let of_head = taken.min(self.head.len());
            if of_head == self.head.len() {
                // Unlike `advance`, this keeps the room.
                self.head.clear();
            } else {
                self.head.advance(of_head);
            }
            self.body.advance(taken - of_head);
        }
        // TLS has taken it; that does not mean that it has left.
        Pin::new(socket).poll_flush(context)
    }

    /// The request has left. Its room serves for the answer.
    fn sent(&mut self, connection: &mut Connection) {
        self.sending = Sending::Done;
        if connection.arrived.is_empty() {
            connection.arrived = std::mem::take(&mut self.head);
        }
    }

    fn poll_head(
        &mut self,
        connection: &mut Connection,
        context: &mut Context<'_>,
    ) -> Poll<Result<ResponseHead, Error>> {
        loop {
            let head = self.scan.response(&mut connection.arrived);
            let head = head.map_err(|why| {
                let is_tls = unreachable::is_tls(&connection.arrived);
                let hint =
                    if is_tls { "; it speaks TLS: does its URL begin with https://?" } else { "" };
                Error::Broken(format!("its answer cannot be understood: {why}{hint}"))
            })?;
            if let Some(head) = head {
                if self.is_final(head.response.status())? {
                    return Poll::Ready(Ok(head));
                }
                continue;
            }
            match ready!(connection.poll_fill(context, HEAD_ROOM / 4, HEAD_ROOM)) {
                Ok(0) => return Poll::Ready(Err(self.closed(connection))),
                Ok(_more) => {}
                Err(error) => return Poll::Ready(Err(Error::Broken(error.to_string()))),
            }
        }
    }

    fn is_final(&mut self, status: StatusCode) -> Result<bool, Error> {
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::Protocol("switches to another protocol unasked".to_owned()));
        }
        self.interim += 1;
        if status.is_informational() && self.interim > MAX_INTERIM {
            let why = format!("sends more than {MAX_INTERIM} interim responses");
            return Err(Error::Protocol(why));
        }
        Ok(!status.is_informational())
    }

    /// What it means that the connection has ended without an answer.
    fn closed(&self, connection: &Connection) -> Error {
        let when = if connection.arrived.is_empty() { "before" } else { "in the middle of" };
        let why = match &self.sending {
            Sending::Failed(error) => format!(": {error}"),
            Sending::UnderWay | Sending::Done => String::new(),
        };
        Error::Broken(format!("the connection was closed {when} the answer{why}"))
    }
}
