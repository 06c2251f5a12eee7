//! Which worker a thread is.
//!
//! Connections are pooled by worker, so that none is handed from one thread to another. A thread
//! that is no worker, such as that of the control work, uses a pool of its own.

use std::cell::Cell;

/// The most workers that have a pool of their own; more of them share.
pub const MAX: usize = 64;

thread_local! {
    static INDEX: Cell<usize> = const { Cell::new(MAX) };
}

/// Makes this thread the worker of this number, counted from 0.
pub fn enter(index: usize) {
    INDEX.set(index % MAX);
}

/// The pool that this thread uses: 0 to [`MAX`], the last for threads that are no worker.
pub(crate) fn index() -> usize {
    INDEX.get()
}
