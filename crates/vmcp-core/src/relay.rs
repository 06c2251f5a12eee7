//! A result that is passed on as it arrives.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, Sleep};
use vmcp_backend::{Backend, Body, Error};
use vmcp_model::trail::End;
use vmcp_wire::{Fault, IdKey, ResponseScan, Said, unmarked};

use crate::{budget::Budget, calls::Ticket};

/// A result up to this size is read whole before it is passed on, so that whatever is wrong with it
/// becomes a proper error.
const WHOLE: usize = 64 << 10;

/// What a piece counts at least: small ones cost no less.
const PIECE: usize = 16;

/// What a result may bring at full speed. What comes behind it is paced: results of that size are
/// rare, and carrying one as fast as the machine can would take the time of everybody else's calls.
const BURST: usize = 4 << 20;

/// A paced result rests for [`REST`] after each of these: 50 MiB a second.
const STRIDE: usize = 256 << 10;

/// See [`STRIDE`].
const REST: Duration = Duration::from_millis(5);

/// A large result under way. Every piece has been checked to belong to the answer to the request. Its call
/// is under way until it has ended, or is dropped.
pub struct Relay {
    source: Box<Source>,
    ticket: Ticket,
    since: Instant,
    /// See [`Relay::poll_over`]. Made when it is asked for first.
    over: Option<Pin<Box<dyn Future<Output = Fault> + Send>>>,
}

/// Where it comes from.
pub(crate) struct Source {
    backend: Arc<Backend>,
    body: Body,
    scan: ResponseScan,
    /// What was read already.
    head: Option<Bytes>,
    idle: Duration,
    deadline: Pin<Box<Sleep>>,
    last: Instant,
    /// Bytes that have passed, and up to where the next rest is taken.
    passed: usize,
    rest_at: usize,
    rest: Pin<Box<Sleep>>,
    resting: bool,
}

/// A result, whole or under way.
pub(crate) enum Read {
    Whole(Bytes),
    Under(Box<Source>),
}

impl Relay {
    pub(crate) fn new(source: Box<Source>, ticket: Ticket) -> Self {
        Self { source, ticket, since: Instant::now(), over: None }
    }

    /// Polls for the next piece. After an error the answer must be broken off, so that its reader
    /// does not take it for complete.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        let polled = self.source.poll(context);
        // Looked at with each piece, and heard of while there is none.
        if let Poll::Ready(fault) = self.ticket.call().poll_fired(context)
            // What has come to its end need not end, unless its client wants it no more.
            && (!matches!(polled, Poll::Ready(None)) || fault == Fault::Cancelled)
        {
            self.note_over(&fault);
            return Poll::Ready(Some(Err(fault)));
        }
        match &polled {
            Poll::Ready(Some(Err(error))) => {
                let backend = self.source.backend.id();
                // The client cannot be told any more.
                tracing::warn!(%backend, %error, "a large answer was broken off in the middle");
            }
            Poll::Ready(None) => self.ticket.note_answer(false, || self.source.end()),
            Poll::Ready(Some(Ok(piece))) => {
                if let Some(trail) = self.ticket.trail() {
                    trail.note_response(piece);
                }
            }
            Poll::Pending => {}
        }
        polled.map_err(|error| {
            let fault = error.fault(self.source.backend.id());
            self.ticket.note_failure(&fault);
            fault
        })
    }

    /// Ready when the call must end though not all of the result has been passed on: its time is up, or
    /// it has been cancelled or cut off. Whoever takes no more for a while asks.
    pub fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<Fault> {
        let Self { ticket, since, over, .. } = self;
        let asked = over.get_or_insert_with(|| Box::pin(ticket.over(*since)));
        let fault = ready!(asked.as_mut().poll(context));
        self.over = None;
        self.note_over(&fault);
        Poll::Ready(fault)
    }

    /// Notes that the call has ended before its answer has.
    fn note_over(&self, fault: &Fault) {
        if *fault != Fault::Cancelled {
            self.ticket.note_failure(fault);
        }
    }

    /// Reads to the end, which must come within `limit` bytes.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, Fault> {
        let mut whole = BytesMut::new();
        loop {
            match std::future::poll_fn(|context| self.poll_next(context)).await.transpose()? {
                Some(chunk) => whole.extend_from_slice(&chunk),
                None => return Ok(whole.freeze()),
            }
            if whole.len() > limit {
                let what = "answered a call of a batch with a text";
                let error = Error::TooLarge { what, limit, key: "eventBytes" };
                let fault = error.fault(self.source.backend.id());
                self.ticket.note_failure(&fault);
                return Err(fault);
            }
        }
    }
}

impl Source {
    /// Reads the beginning of a result, or all of a small one.
    pub(crate) async fn begin(
        backend: &Arc<Backend>,
        mut body: Body,
        id: &IdKey,
    ) -> Result<Read, Error> {
        let timeouts = backend.timeouts();
        let begun = Instant::now();
        let last = begun + timeouts.absolute;
        let mut until = (begun + timeouts.idle).min(last);
        let mut head: Option<Bytes> = None;
        // A piece costs something, however small it is.
        let mut read = 0;
        loop {
            let chunk = tokio::time::timeout_at(until, body.chunk());
            let chunk =
                chunk.await.map_err(|_elapsed| Error::Timeout(timeouts.idle))?.transpose()?;
            let Some(chunk) = chunk else { break };
            read += chunk.len().max(PIECE);
            if head.is_none() && body.is_end() {
                // As nearly all: small, and in one piece.
                return backend.response(chunk, id).map(Read::Whole);
            }
            head = Some(match head {
                None => chunk,
                Some(read) => {
                    let mut joined = BytesMut::from(read);
                    joined.extend_from_slice(&chunk);
                    joined.freeze()
                }
            });
            if body.is_end() {
                break;
            }
            if read >= WHOLE {
                let head = head.map(|head| head.slice_ref(unmarked(&head)));
                let mut scan = ResponseScan::new(id.clone());
                check(scan.feed(head.as_deref().unwrap_or_default()))?;
                let deadline = Box::pin(tokio::time::sleep(timeouts.idle));
                let (backend, idle) = (Arc::clone(backend), timeouts.idle);
                let source = Self {
                    backend,
                    body,
                    scan,
                    head,
                    idle,
                    deadline,
                    last,
                    passed: 0,
                    rest_at: BURST,
                    rest: Box::pin(tokio::time::sleep(REST)),
                    resting: false,
                };
                return Ok(Read::Under(Box::new(source)));
            }
            until = (Instant::now() + timeouts.idle).min(last);
        }
        backend.response(head.unwrap_or_default(), id).map(Read::Whole)
    }

    /// Reads to the end, which must come within `limit` bytes, as far as there is room for it.
    pub(crate) async fn collect(
        mut self,
        limit: usize,
        held: &Arc<Budget>,
    ) -> Result<Bytes, Fault> {
        let (mut whole, mut room) = (BytesMut::new(), held.reserve());
        loop {
            let chunk = std::future::poll_fn(|context| self.poll(context)).await.transpose();
            let chunk = chunk.map_err(|error| error.fault(self.backend.id()))?;
            let Some(chunk) = chunk else { return Ok(room.hold(whole)) };
            if whole.len() + chunk.len() > limit {
                let what = "answered what is not passed on as it comes with a text";
                let error = Error::TooLarge { what, limit, key: "eventBytes" };
                return Err(error.fault(self.backend.id()));
            }
            if !room.grow(chunk.len()) {
                return Err(Fault::NotHeld);
            }
            whole.extend_from_slice(&chunk);
        }
    }

    /// How the call has ended, when all has passed.
    fn end(&self) -> End {
        match self.scan.says() {
            Said::Result => End::Answered,
            Said::ToolError => End::ToolError,
            // What it says has passed.
            Said::Error => End::Error { code: 0, message: "".into() },
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let polled = self.poll_body(context);
        if let Poll::Ready(Some(Err(error))) = &polled {
            self.backend.note_spoiled(error);
        }
        polled
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if let Some(head) = self.head.take() {
            return Poll::Ready(Some(Ok(head)));
        }
        if self.resting {
            ready!(self.rest.as_mut().poll(context));
            self.resting = false;
        }
        Poll::Ready(match self.body.poll_chunk(context) {
            Poll::Ready(Some(Ok(chunk))) => {
                self.passed += chunk.len().max(PIECE);
                if self.passed >= self.rest_at {
                    self.rest_at = self.passed + STRIDE;
                    self.rest.as_mut().reset(Instant::now() + REST);
                    self.resting = true;
                }
                let now = Instant::now();
                if now >= self.last {
                    let absolute = self.backend.timeouts().absolute;
                    return Poll::Ready(Some(Err(Error::Timeout(absolute))));
                }
                self.deadline.as_mut().reset((now + self.idle).min(self.last));
                Some(check(self.scan.feed(&chunk)).map(|()| chunk))
            }
            Poll::Ready(Some(Err(error))) => Some(Err(error)),
            Poll::Ready(None) => check(self.scan.finish()).err().map(Err),
            Poll::Pending => match self.deadline.as_mut().poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => Some(Err(Error::Timeout(self.idle))),
            },
        })
    }
}

fn check(scanned: Result<(), vmcp_wire::ScanError>) -> Result<(), Error> {
    scanned.map_err(|error| Error::Protocol(error.to_string()))
}
