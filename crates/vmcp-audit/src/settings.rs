//! What is recorded, and where.

use std::{path::PathBuf, time::SystemTime};

use vmcp_model::trail::Wants;

use crate::EventType;

/// What is recorded, where, and what happens when records come faster than they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Who records, as `component` of each record.
    pub component: String,
    /// The path at which clients reach vmcp, as `target.endpoint` of each record.
    pub endpoint: String,
    /// What is recorded. Empty stands for everything.
    pub event_types: Vec<EventType>,
    /// What is not, even if `event_types` names it.
    pub exclude: Vec<EventType>,
    /// Whether records show the `params` of requests.
    pub include_request_data: bool,
    /// Whether records show answers.
    pub include_response_data: bool,
    /// How much of either is shown, in bytes; 0 stands for [`Settings::DEFAULT_DATA_SIZE`].
    pub max_data_size: usize,
    /// Whether the error of a tool or a backend is the outcome `application_error`, and not `success`.
    pub detect_application_errors: bool,
    /// How many actors of a token's `act` chain are shown.
    pub max_delegation_depth: usize,
    pub output: Output,
    pub overflow: Overflow,
    /// How many records wait to be written at most.
    pub queue: usize,
    /// How many bytes they have at most.
    pub queue_bytes: usize,
    /// From how many bytes on a new file is begun. `None` leaves that to others.
    pub rotate_at: Option<u64>,
    /// How many files are kept that were full. With 0 a full file is removed.
    pub keep: usize,
}

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    Stdout,
    /// To the end of this file, which is created for its owner alone.
    File(PathBuf),
    /// Only to whoever [`Auditor::start`](crate::Auditor::start) is given.
    Nowhere,
}

/// Takes each record when it is written, beside the output. It must not wait.
pub type Also = Box<dyn Fn(&Shown<'_>) + Send>;

/// A record as it is written.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    pub at: SystemTime,
    /// Its line, without the line break (JSON text).
    pub line: &'a [u8],
    /// The trace that it belongs to, and the request's span.
    pub trace: Option<([u8; 16], [u8; 8])>,
}

/// What happens to a record that finds the queue full, and to those that cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The request waits for room, and with it everything on its thread, for [`Settings::MAX_WAIT`] at most. A
    /// queue on which one has waited in vain lets nobody wait until it has room again. Records that cannot be
    /// written are kept and tried again.
    Block,
    /// The record is dropped. So are those that cannot be written.
    Drop,
}

impl Settings {
    /// How much of requests and answers is shown where nothing else is said, in bytes.
    pub const DEFAULT_DATA_SIZE: usize = 1024;

    /// How long a request waits for room in the queue.
    pub const MAX_WAIT: std::time::Duration = std::time::Duration::from_secs(1);

    /// How many bytes of each of requests and answers are shown.
    pub(crate) fn data_size(&self) -> usize {
        if self.max_data_size == 0 { Self::DEFAULT_DATA_SIZE } else { self.max_data_size }
    }

    /// What trails must note. One byte more than is shown tells that there was more.
    pub(crate) fn wants(&self) -> Wants {
        let size = self.data_size().saturating_add(1);
        Wants {
            details: true,
            request_bytes: if self.include_request_data { size } else { 0 },
            response_bytes: if self.include_response_data { size } else { 0 },
            ..Wants::default()
        }
    }
}

/// Everything, without requests' and answers' own data, on standard output.
impl Default for Settings {
    fn default() -> Self {
        Self {
            component: "vmcp-server".to_owned(),
            endpoint: "/mcp".to_owned(),
            event_types: Vec::new(),
            exclude: Vec::new(),
            include_request_data: false,
            include_response_data: false,
            max_data_size: Self::DEFAULT_DATA_SIZE,
            detect_application_errors: true,
            max_delegation_depth: 10,
            output: Output::Stdout,
            overflow: Overflow::Drop,
            queue: 10_000,
            queue_bytes: 64 << 20,
            rotate_at: None,
            keep: 5,
        }
    }
}
