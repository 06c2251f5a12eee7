//! What was made of things that come again and again, so that it is made once.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

use foldhash::fast::RandomState;

/// Values by what they were made of.
#[derive(Debug)]
pub(crate) struct Memo<K, V> {
    known: HashMap<K, V, RandomState>,
}

/// How many values are kept. When there are so many, all are forgotten: that is rare, and what is made again is
/// little.
const MOST: usize = 1024;

impl<K: Eq + Hash, V: Clone> Memo<K, V> {
    pub(crate) fn new() -> Self {
        Self { known: HashMap::with_hasher(RandomState::default()) }
    }

    /// The value for this, made now if it is not known.
    pub(crate) fn get<Q>(&mut self, of: &Q, make: impl FnOnce() -> V) -> V
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        if let Some(known) = self.known.get(of) {
            return known.clone();
        }
        if self.known.len() >= MOST {
            self.known.clear();
        }
        let value = make();
        self.known.insert(of.to_owned(), value.clone());
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_made_once_and_few_are_kept() {
        let mut memo = Memo::<String, usize>::new();
        let mut made = 0;
        let mut get = |name: &str| {
            memo.get(name, || {
                made += 1;
                made
            })
        };
        assert_eq!([get("a"), get("b"), get("a")], [1, 2, 1]);
        for other in 0..MOST * 3 {
            get(&other.to_string());
        }
        assert!(get("a") > 1);
        assert!(memo.known.len() <= MOST);
    }
}
