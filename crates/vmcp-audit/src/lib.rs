//! Who did what: one record of each request, as a line of JSON in a file or on standard output.
//!
//! [`Auditor::record`] copies what a record needs and queues it; a thread of the auditor's own makes lines and
//! writes them, many at once. The schema is that of the reference system ([`reference()`]).

mod auditor;
mod event;
mod event_type;
mod file;
mod json;
mod line;
mod memo;
mod outcome;
mod queue;
mod reference;
mod settings;
mod subjects;
mod text;
mod writer;

pub use auditor::{Auditor, StartError, Stats};
pub use event_type::EventType;

pub use reference::reference;
pub use settings::{Also, Output, Overflow, Settings, Shown};
