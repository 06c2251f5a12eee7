//! What is read from `/proc`, as text and from this process.

use super::{Stat, cpu_seconds, resident_kib, rss, stat};

#[test]
fn a_stat_line_is_read_from_its_last_bracket() {
    let line = "1234 (a) b (c) S 77 1234 1234 0 -1 4194304 100 200 0 0 31 11 5 6 20 0 3 0 9 1 2 3";
    assert_eq!(stat(line), Some(Stat { pid: 1234, parent: 77, ticks: 42 }));
}

#[test]
fn a_line_cut_short_is_no_stat() {
    for line in ["", "12", "12 (x", "12 (x)", "12 (x) S", "12 (x) S 1 2 3"] {
        assert_eq!(stat(line), None, "{line}");
    }
}

#[test]
fn rss_is_found_among_the_others() {
    let text = "55-7f ---p 0 00:00 0 [rollup]\nRss:      8124 kB\nPss:  90 kB\nPss_Dirty: 1 kB\n";
    assert_eq!(rss(text), Some(8124));
    assert_eq!(rss("Pss: 1 kB\n"), None);
}

#[test]
fn this_process_is_measured() {
    let this = std::process::id();
    assert!(cpu_seconds(this).unwrap() >= 0.0);
    assert!(resident_kib(this).unwrap() > 100);
}

#[test]
fn a_process_that_is_gone_is_an_error() {
    assert!(cpu_seconds(u32::MAX).is_err());
}
