//! What a process writes to standard error: into the log, as much as is bearable.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::{io::AsyncReadExt as _, process::ChildStderr, time::Instant};
use vmcp_model::BackendId;
use vmcp_wire::sse::Waste;

use super::words::{LINE, Words};
use crate::link::Link;

/// Bytes that are read at once.
const CHUNK: usize = 16 << 10;

/// Lines that are logged at once, and how long each takes to be granted again.
const BURST: u32 = 100;
const EVERY: Duration = Duration::from_millis(50);

/// How much may still be logged.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    at: Instant,
    refused: u64,
}

/// Reads until the end, at the pace of what is useless: a process that writes faster waits.
pub(super) async fn follow(mut stderr: ChildStderr, link: Arc<Link>, words: Arc<Words>) {
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
            report(&line, &backend, &words, &mut allowance);
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
    report(&line, &backend, &words, &mut allowance);
    if allowance.refused > 0 {
        tracing::info!(%backend, lines = allowance.refused, "left out lines of standard error");
    }
}

fn keep(line: &mut Vec<u8>, more: &[u8]) {
    let room = LINE.0.saturating_sub(line.len()).min(more.len());
    line.extend_from_slice(&more[..room]);
}

fn report(line: &[u8], backend: &BackendId, words: &Words, allowance: &mut Allowance) {
    if line.trim_ascii().is_empty() {
        return;
    }
    let line = words.keep(line);
    if allowance.grant() {
        tracing::info!(%backend, stderr = line.trim_start());
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
