//! A process that is killed.

use std::{
    fs,
    io::{IsTerminal as _, Read as _, stdin},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use tempfile::tempdir;
use vmcp_audit::{Auditor, Overflow, Settings};

use crate::support::{names, record, to, until};

/// To be run alone, with an input that does not end.
#[test]
fn records_until_its_input_ends() {
    let directory = tempdir().unwrap();
    let settings =
        Settings { overflow: Overflow::Block, ..to(&directory.path().join("audit.log")) };
    let auditor = Auditor::start(settings).unwrap();
    let ends = AtomicBool::new(stdin().is_terminal());
    thread::scope(|scope| {
        if !ends.load(Ordering::Relaxed) {
            scope.spawn(|| {
                let read = stdin().read(&mut [0]);
                ends.store(true, Ordering::Relaxed);
                read.unwrap()
            });
        }
        let names = (0..).take_while(|_| !ends.load(Ordering::Relaxed));
        names.for_each(|name| record(&auditor, &name.to_string()));
    });
    assert_eq!(auditor.close().dropped, 0);
}

#[test]
fn one_that_is_killed_leaves_all_that_was_written_and_the_next_goes_on_after_it() {
    let directory = tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::records_until_its_input_ends"])
        .env("TMPDIR", directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let path = || {
        let inner = fs::read_dir(directory.path()).unwrap().next()?.unwrap();
        Some(inner.path().join("audit.log"))
    };
    let size = || fs::metadata(path()?).ok().map(|found| found.len());
    until("enough records", || size() > Some(1 << 20));
    child.kill().unwrap();
    child.wait().unwrap();
    let path = path().unwrap();
    let auditor = Auditor::start(to(&path)).unwrap();
    record(&auditor, "the next");
    assert_eq!(auditor.close().written, 1);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().map(serde_json::from_str).collect();
    assert!(lines.iter().filter(|line| line.is_err()).count() <= 1, "only the last may be torn");
    let records: Vec<_> = lines.into_iter().filter_map(Result::ok).collect();
    let before = (0..records.len() - 1).map(|name| name.to_string());
    let expected: Vec<_> = before.chain(["the next".to_owned()]).collect();
    assert_eq!(names(&records), expected);
}
