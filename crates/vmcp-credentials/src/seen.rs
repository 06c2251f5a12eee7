//! What a backend was shown, so that it can be kept out of what the backend says.
//!
//! A backend may repeat it, whole, in whatever it says. Of many thousand values only hashes are kept, and a text
//! is looked through once however many these are; the last few values are known whole, so that pieces and other
//! spellings of them are found as well.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
};

use vmcp_model::{Digest, Passed};

use crate::shown::Shown;

/// Values of which hashes are kept.
const MOST: usize = 100_000;

/// Values that are known whole.
const WHOLE: usize = 8;

/// The shortest value that is taken for a secret.
const SHORTEST: usize = 8;

/// What stands in the place of a value.
const MASK: &str = "***";

/// The values that one backend was shown.
#[derive(Default)]
pub struct Seen {
    hasher: RandomState,
    hashes: RwLock<HashSet<u64>>,
    order: Mutex<Order>,
    /// Headers that were passed on last, by their digest.
    passed: Mutex<HashSet<Digest>>,
}

#[derive(Default)]
struct Order {
    /// The oldest first.
    hashes: VecDeque<u64>,
    whole: VecDeque<Shown>,
}

impl Seen {
    pub(crate) fn note(&self, shown: &Shown) {
        for value in shown.secrets() {
            self.note_words(value);
        }
        let mut order = self.order();
        if order.whole.len() >= WHOLE {
            order.whole.pop_front();
        }
        order.whole.push_back(shown.clone());
    }

    /// Notes headers of a caller that a backend is passed.
    pub fn note_passed(&self, passed: &Passed) {
        let mut known = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&passed.digest()) {
            return;
        }
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(passed.digest());
        drop(known);
        passed.headers().for_each(|(_, value)| self.note_words(value));
    }

    /// The values that are known whole.
    pub fn last(&self) -> Vec<Shown> {
        self.order().whole.iter().cloned().collect()
    }

    /// The text without the values, where each stands by itself.
    pub fn masked(&self, text: &str) -> String {
        let hashes = self.hashes.read().unwrap_or_else(PoisonError::into_inner);
        if hashes.is_empty() {
            return text.to_owned();
        }
        let mut masked = String::with_capacity(text.len());
        for piece in text.split_inclusive(|c: char| !is_of_value(c)) {
            let word = piece.trim_end_matches(|c: char| !is_of_value(c));
            let end = &piece[word.len()..];
            // A mark at its end may be the sentence's, and one before it a name's.
            let bare = word.trim_end_matches(['.', ':', '=']);
            let behind = bare.rfind('=').map_or(bare, |at| &bare[at + 1..]);
            let is_known = |word: &str| {
                word.len() >= SHORTEST && hashes.contains(&self.hasher.hash_one(word.as_bytes()))
            };
            match [word, bare, behind].into_iter().find(|word| is_known(word)) {
                None => masked += word,
                Some(found) => {
                    let at = word.rfind(found).unwrap_or_default();
                    masked += &word[..at];
                    masked += MASK;
                    masked += &word[at + found.len()..];
                }
            }
            masked += end;
        }
        masked
    }

    fn note_words(&self, value: &[u8]) {
        let value = String::from_utf8_lossy(value);
        let words = value.split(|c: char| !is_of_value(c)).filter(|word| word.len() >= SHORTEST);
        for word in words {
            let hash = self.hasher.hash_one(word.as_bytes());
            if !self.hashes.write().unwrap_or_else(PoisonError::into_inner).insert(hash) {
                continue;
            }
            let mut order = self.order();
            order.hashes.push_back(hash);
            let oldest = (order.hashes.len() > MOST).then(|| order.hashes.pop_front()).flatten();
            drop(order);
            if let Some(oldest) = oldest {
                self.hashes.write().unwrap_or_else(PoisonError::into_inner).remove(&oldest);
            }
        }
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a character is one of a value, as tokens have them (RFC 6750, section 2.1), and what else names consist of.
fn is_of_value(c: char) -> bool {
    c.is_alphanumeric() || "-._~+/=:@|".contains(c)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn whatever_was_shown_is_found_by_itself() {
        let seen = Seen::default();
        for number in 0..MOST + 10 {
            seen.note(&Shown::bearer(&format!("token-number-{number}")).unwrap());
        }
        let last = format!("token-number-{MOST}");
        for (text, told) in [
            (format!("the token {last} is no good"), "the token *** is no good"),
            (format!("no: {last}."), "no: ***."),
            (format!("token={last}, or \"{last}\""), "token=***, or \"***\""),
            (format!("<{last}>\n({last})"), "<***>\n(***)"),
            ("token-number-1 was long ago".to_owned(), "token-number-1 was long ago"),
            ("nothing".to_owned(), "nothing"),
        ] {
            assert_eq!(seen.masked(&text), told);
        }
        assert_eq!(seen.last().len(), WHOLE);
        assert!(seen.order().hashes.len() <= MOST);
    }

    #[test]
    fn headers_that_are_passed_on_are_found_too() {
        let seen = Seen::default();
        let value = Bytes::from_static(b"tenant-of-alice, eu");
        let passed = Passed::new(vec![("x-tenant".into(), value)]).unwrap();
        seen.note_passed(&passed);
        seen.note_passed(&passed);
        assert_eq!(seen.masked("who is tenant-of-alice in eu?"), "who is *** in eu?");
    }
}
