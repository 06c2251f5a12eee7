//! What is gone stays gone: a short run of many programs.

use crate::revival::{run_named, run_programs};

#[test]
fn what_is_gone_is_never_served_again() {
    run_programs(48);
}

#[test]
fn what_comes_late_changes_nothing() {
    run_named();
}
