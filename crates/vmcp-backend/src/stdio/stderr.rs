//! What a process writes to standard error: into the log, as much as is bearable.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{io::AsyncReadExt as _, process::ChildStderr, time::Instant};
use vmcp_model::BackendId;
use vmcp_wire::sse::Waste;

use crate::link::Link;

/// Bytes of a line that are kept.
const LINE: usize = 1 << 10;

/// Bytes that are read at once.
const CHUNK: usize = 16 << 10;

/// Lines that are logged at once, and how long each takes to be granted again.
const BURST: u32 = 100;
const EVERY: Duration = Duration::from_millis(50);

/// Lines that are kept to say what came last.
const TAIL: usize = 3;

/// What was written last.
#[derive(Debug, Default)]
pub(super) struct Tail(Mutex<VecDeque<String>>);

/// How much may still be logged.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    at: Instant,
    refused: u64,
}

/// Reads until the end, at the pace of what is useless: a process that writes faster waits.
pub(super) async fn follow(mut stderr: ChildStderr, link: Arc<Link>, tail: Arc<Tail>) {
    let backend = link.backend().clone();
    let mut allowance = Allowance::default();
    let mut buffer = BytesMut::with_capacity(CHUNK);
    // The line that is not complete yet, as much of it as is kept.
    let mut line = Vec::new();
    while let Ok(1..) = stderr.read_buf(&mut buffer).await {
        let mut rest = &buffer[..];
        let mut waste = Waste { lines: 1, bytes: buffer.len() };
        while let Some(at) = memchr::memchr(b'\n', rest) {
            keep(&mut line, &rest[..at]);
            report(&line, &backend, &tail, &mut allowance);
            line.clear();
            waste.lines += 1;
            rest = &rest[at + 1..];
        }
        keep(&mut line, rest);
        buffer.clear();
        if let Some(until) = link.conduct().waste(waste) {
            tokio::time::sleep_until(until).await;
        }
    }
    report(&line, &backend, &tail, &mut allowance);
    if allowance.refused > 0 {
        tracing::info!(%backend, lines = allowance.refused, "left out lines of standard error");
    }
}

fn keep(line: &mut Vec<u8>, more: &[u8]) {
    let room = LINE.saturating_sub(line.len()).min(more.len());
    line.extend_from_slice(&more[..room]);
}

fn report(line: &[u8], backend: &BackendId, tail: &Tail, allowance: &mut Allowance) {
    if line.trim_ascii().is_empty() {
        return;
    }
    let line = String::from_utf8_lossy(line.trim_ascii());
    if allowance.grant() {
        tracing::info!(%backend, stderr = %line);
    }
    tail.push(&line);
}

impl Tail {
    /// The last lines, the oldest first.
    pub(super) fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect::<Vec<_>>().join(" | ")
    }

    fn push(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }
}

impl Allowance {
    /// Whether one more line may be logged.
    pub(super) fn grant(&mut self) -> bool {
        let due = self.at.elapsed().as_millis() / EVERY.as_millis();
        if due > 0 {
            self.left = self.left.saturating_add(u32::try_from(due).unwrap_or(BURST)).min(BURST);
            self.at = Instant::now();
        }
        let left = self.left.checked_sub(1);
        match left {
            Some(left) => self.left = left,
            None => self.refused += 1,
        }
        left.is_some()
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self { left: BURST, at: Instant::now(), refused: 0 }
    }
}
