//! Baselines as text, and what a comparison says.

use super::Baseline;

const RECORDED: &str = "\
# a comment

made with rustc 1, valgrind 2

   100000  tools/call 64 B
     2000  modern tools/call 64 B
";

fn baseline(made_with: &str, counts: &[(&str, u64)]) -> Baseline {
    let counts = counts.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect();
    Baseline { made_with: made_with.to_owned(), counts }
}

fn compared(counts: &[(&str, u64)]) -> (bool, String) {
    let recorded = Baseline::parse(RECORDED).unwrap();
    let comparison = recorded.compare(&baseline("rustc 1, valgrind 2", counts), "");
    (comparison.is_good(), comparison.to_string())
}

#[test]
fn what_is_written_is_read_again() {
    let written = baseline("a, b", &[("tools/call 64 B", 81_234), ("x", 1)]);
    assert_eq!(Baseline::parse(&written.to_string()).unwrap(), written);
}

#[test]
fn a_line_without_a_count_is_refused() {
    for line in ["tools/call 64 B", "12", "-1 x"] {
        let error = Baseline::parse(line).unwrap_err().to_string();
        assert_eq!(error, format!("not a count: {line}"));
    }
}

#[test]
fn what_is_within_the_tolerance_is_good() {
    let (is_good, text) =
        compared(&[("tools/call 64 B", 102_900), ("modern tools/call 64 B", 1944)]);
    assert!(is_good, "{text}");
    assert_eq!(
        text,
        "\
instructions a call              now   recorded   change
tools/call 64 B               102900     100000   +2.9 %
modern tools/call 64 B          1944       2000   -2.8 %
"
    );
}

#[test]
fn what_is_dearer_is_to_be_looked_into() {
    let (is_good, text) =
        compared(&[("tools/call 64 B", 103_100), ("modern tools/call 64 B", 1500)]);
    assert!(!is_good, "{text}");
    assert!(text.contains("   +3.1 %  DEARER\n"), "{text}");
    assert!(text.contains("  -25.0 %  CHEAPER\n"), "{text}");
    assert!(text.contains("Find out by what"), "{text}");
    assert!(text.ends_with(" --record\n"), "{text}");
}

#[test]
fn what_is_cheaper_is_to_be_recorded() {
    let (is_good, text) =
        compared(&[("tools/call 64 B", 96_900), ("modern tools/call 64 B", 2000)]);
    assert!(!is_good, "{text}");
    assert!(text.contains("so that the gain is kept"), "{text}");
    assert!(!text.contains("Find out by what"), "{text}");
    assert!(!text.contains("other versions"), "{text}");
}

#[test]
fn other_versions_are_named_where_something_is_wrong() {
    let recorded = Baseline::parse(RECORDED).unwrap();
    let says = |count| {
        let now = baseline("rustc 7, valgrind 2", &[("modern tools/call 64 B", count)]);
        recorded.compare(&now, "modern").to_string()
    };
    assert!(says(3000).contains("\n  then rustc 1, valgrind 2\n  now  rustc 7, valgrind 2\n"));
    assert!(!says(2001).contains("rustc 7"));
}

#[test]
fn a_path_on_one_side_only_is_no_match() {
    let (is_good, text) = compared(&[("tools/call 64 B", 100_000), ("ping", 7)]);
    assert!(!is_good, "{text}");
    assert!(text.contains("  NEW\n") && text.contains("  GONE\n"), "{text}");
    assert!(text.contains("What is counted has changed"), "{text}");
}

#[test]
fn recording_leaves_alone_what_is_the_same_and_what_was_not_counted() {
    let recorded = || Baseline::parse(RECORDED).unwrap();
    let now = [("tools/call 64 B", 100_400), ("modern tools/call 64 B", 2100)];
    let renewed = recorded().renewed(baseline("rustc 7", &now), "");
    let expected = [("tools/call 64 B", 100_000), ("modern tools/call 64 B", 2100)];
    assert_eq!(renewed, baseline("rustc 7", &expected));

    let renewed = recorded().renewed(baseline("rustc 7", &now[1..]), "modern");
    assert_eq!(renewed.count("tools/call 64 B"), Some(100_000));
    let renewed = recorded().renewed(baseline("rustc 7", &now[1..]), "");
    assert_eq!(renewed.count("tools/call 64 B"), None);
}
