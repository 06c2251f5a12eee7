//! Instructions of one backend and of several.

use std::sync::Arc;

use super::merged;
use vmcp_model::{BackendId, Offer, declared::MAX_INSTRUCTIONS};

fn merged_of(texts: &[(&str, &str)]) -> Option<Box<str>> {
    let offer = |text: &str| Offer { instructions: Some(text.into()), ..Offer::default() };
    let offers =
        texts.iter().map(|(id, text)| (BackendId::new(id).unwrap(), Arc::new(offer(text))));
    merged(&offers.collect())
}

#[track_caller]
fn check(texts: &[(&str, &str)], expected: Option<&str>) {
    assert_eq!(merged_of(texts).as_deref(), expected);
}

#[test]
fn one_text_stays_as_it_is() {
    check(&[], None);
    check(&[("a", " use it\n")], Some(" use it\n"));
    check(&[("a", "use it"), ("b", " ")], Some("use it"));
}

#[test]
fn several_texts_stand_under_headings() {
    check(&[("b", "two"), ("a", "one")], Some("## a\none\n\n## b\ntwo"));
}

#[test]
fn a_long_text_is_cut_between_characters_with_a_note() {
    let fits = "x".repeat(MAX_INSTRUCTIONS);
    check(&[("a", &fits)], Some(&fits));
    let cut = merged_of(&[("a", &"€".repeat(MAX_INSTRUCTIONS))]).unwrap();
    assert!(cut.len() <= MAX_INSTRUCTIONS && cut.len() > MAX_INSTRUCTIONS - 3);
    let (text, note) = cut.split_once('\n').unwrap();
    assert!(text.chars().all(|char| char == '€') && note.contains("too long"));
}
