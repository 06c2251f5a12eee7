//! Shortened names.

use super::shortened;

#[track_caller]
fn check(name: &str, limit: usize, expected: &str) {
    assert_eq!(shortened(name, limit), expected);
}

#[test]
fn a_name_within_the_limit_stays() {
    check("", 16, "");
    check("sixteen_letters_", 16, "sixteen_letters_");
    check("éééééééééééééééé", 16, "éééééééééééééééé");
}

#[test]
fn a_longer_one_has_the_hash_of_the_whole_in_its_middle() {
    check("seventeen_letters", 16, "sev_bf1dcad0_ers");
    check("seventeen_letters_long", 17, "sev_f84e7fc8_long");
    check("ééééééééééééééééé", 16, "ééé_b9d7a286_ééé");
}
