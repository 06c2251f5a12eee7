//! What becomes of files that are renamed, removed or full.

use std::{
    error::Error as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use tempfile::tempdir;
use vmcp_audit::{Auditor, Overflow, Settings};

use crate::support::{names, record, records, to, until};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    PathBuf::from(format!("{}.{number}", path.display()))
}

/// The names of what is recorded in these files, sorted.
fn names_in(paths: impl IntoIterator<Item = PathBuf>) -> Vec<String> {
    let mut names: Vec<_> = paths.into_iter().flat_map(|path| names(&records(&path))).collect();
    names.sort();
    names
}

#[test]
fn a_new_file_is_its_owners_alone_and_an_old_one_stays_as_it_is() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.log");
    drop(Auditor::start(to(&path)).unwrap());
    assert_eq!(mode(&path), 0o600);
    fs::write(&path, "what was there\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let auditor = Auditor::start(to(&path)).unwrap();
    record(&auditor, "one");
    auditor.close();
    assert_eq!(mode(&path), 0o640);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("what was there\n{"), "{text}");
}

#[test]
fn a_line_that_was_cut_off_is_ended_first() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.log");
    fs::write(&path, "{\"time\":").unwrap();
    let auditor = Auditor::start(to(&path)).unwrap();
    record(&auditor, "one");
    auditor.close();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("{\"time\":\n{\"time\":\""), "{text}");
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn what_cannot_be_opened_is_told_at_once() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("missing/audit.log");
    let error = Auditor::start(to(&path)).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot open the audit log {}", path.display()));
    assert!(error.source().unwrap().to_string().starts_with("No such file"));
    // A pipe that nobody reads, which one would wait for.
    let path = directory.path().join("pipe");
    drop(crate::support::pipe(&path));
    assert!(Auditor::start(to(&path)).is_err());
}

#[test]
fn renaming_and_reopening_under_load_loses_and_doubles_nothing() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let settings = Settings { overflow: Overflow::Block, ..to(&path) };
    let auditor = Auditor::start(settings).unwrap();
    let (threads, each) = (3, 4_000);
    let ends = AtomicBool::new(false);
    let renamed = thread::scope(|scope| {
        let recording: Vec<_> = (0..threads)
            .map(|thread| {
                let auditor = &auditor;
                scope.spawn(move || {
                    (0..each).for_each(|n| record(auditor, &format!("{thread}-{n:05}")));
                })
            })
            .collect();
        let renaming = scope.spawn(|| {
            let mut count = 0;
            while count < 5 || !ends.load(Ordering::Relaxed) {
                fs::rename(&path, numbered(&path, count)).unwrap();
                count += 1;
                auditor.reopen();
                until("a new file", || path.exists());
            }
            count
        });
        recording.into_iter().for_each(|thread| thread.join().unwrap());
        ends.store(true, Ordering::Relaxed);
        renaming.join().unwrap()
    });
    let stats = auditor.close();
    assert_eq!((stats.written, stats.dropped), (threads * each, 0));
    let files = (0..renamed).map(|number| numbered(&path, number)).chain([path.clone()]);
    let expected: Vec<_> = (0..threads)
        .flat_map(|thread| (0..each).map(move |n| format!("{thread}-{n:05}")))
        .collect();
    assert_eq!(names_in(files), expected);
}

#[test]
fn a_file_that_is_gone_is_noticed() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let auditor = Auditor::start(to(&path)).unwrap();
    record(&auditor, "removed");
    until("the record", || records(&path).len() == 1);
    fs::remove_file(&path).unwrap();
    auditor.reopen();
    until("a new file", || path.exists());
    record(&auditor, "after reopening");
    until("the record", || names(&records(&path)) == ["after reopening"]);
    // Without being told.
    fs::rename(&path, numbered(&path, 1)).unwrap();
    until("a new file", || {
        record(&auditor, "by itself");
        path.exists()
    });
    auditor.close();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names(&records(&numbered(&path, 1)))[0], "after reopening");
}

#[test]
fn a_file_that_was_emptied_goes_on() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let auditor = Auditor::start(to(&path)).unwrap();
    record(&auditor, "copied");
    until("the record", || records(&path).len() == 1);
    fs::File::create(&path).unwrap();
    record(&auditor, "after");
    auditor.close();
    assert_eq!(names(&records(&path)), ["after"]);
}

#[test]
fn full_files_are_kept_as_many_as_there_may_be() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let most = 4_096;
    let settings = Settings { rotate_at: Some(most), keep: 3, ..to(&path) };
    let auditor = Auditor::start(settings).unwrap();
    (0..100).for_each(|n| record(&auditor, &format!("{n:03}")));
    let stats = auditor.close();
    assert!(stats.rotations > 4, "{stats:?}");
    assert!(!numbered(&path, 4).exists());
    let files: Vec<_> = [3, 2, 1].map(|number| numbered(&path, number)).into();
    let files: Vec<_> = files.into_iter().chain([path]).collect();
    for file in &files {
        let size = fs::metadata(file).unwrap().len();
        assert!((1..=most).contains(&size), "{size}");
    }
    let kept: Vec<_> = files.iter().flat_map(|file| names(&records(file))).collect();
    let expected: Vec<_> = (100 - kept.len()..100).map(|n| format!("{n:03}")).collect();
    assert_eq!(kept, expected, "the newest, in order");
}

#[test]
fn a_line_longer_than_a_file_has_one_of_its_own() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let settings = Settings { rotate_at: Some(10), keep: 9, ..to(&path) };
    let auditor = Auditor::start(settings).unwrap();
    (0..4).for_each(|n| record(&auditor, &n.to_string()));
    assert_eq!(auditor.close().rotations, 3);
    for number in 1..4 {
        assert_eq!(names(&records(&numbered(&path, number))), [(3 - number).to_string()]);
    }
    // Without any that are kept, a full file is removed.
    let settings = Settings { rotate_at: Some(10), keep: 0, ..to(&path) };
    let auditor = Auditor::start(settings).unwrap();
    record(&auditor, "last");
    assert_eq!(auditor.close().rotations, 1);
    assert_eq!(names(&records(&path)), ["last"]);
    assert!(!numbered(&path, 4).exists());
}
