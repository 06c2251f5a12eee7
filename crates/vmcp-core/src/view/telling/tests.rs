//! What is told of what is left out.

use vmcp_catalog::{DropReason, Dropped};
use vmcp_model::{BackendId, Kind};

use super::{News, TOLD};

/// Sorted, as merges have it.
fn dropped(counts: &[(&str, usize)]) -> Vec<Dropped> {
    let items = counts.iter().flat_map(|(backend, count)| {
        (0..*count).map(|number| Dropped {
            kind: Some(Kind::Tool),
            key: format!("t{number:06}"),
            backend: BackendId::new(backend).unwrap(),
            reason: DropReason::ListedTwice,
        })
    });
    let mut items: Vec<_> = items.collect();
    items.sort();
    items
}

fn count(news: &News<'_>, backend: &str) -> (usize, usize) {
    let backend = BackendId::new(backend).unwrap();
    let named = news.named.iter().filter(|item| item.backend == backend).count();
    (named, news.more.get(&backend).copied().unwrap_or_default())
}

#[test]
fn so_much_of_each_backend_is_named_and_the_rest_counted() {
    let all = dropped(&[("a", 50_000), ("b", TOLD), ("c", 1)]);
    let news = News::of([&[], &[]], &all);
    assert_eq!(count(&news, "a"), (TOLD, 50_000 - TOLD));
    assert_eq!(count(&news, "b"), (TOLD, 0));
    assert_eq!(count(&news, "c"), (1, 0));
}

#[test]
fn what_is_known_is_not_told_again_however_much_it_is() {
    let known = dropped(&[("a", 100_000)]);
    let all = dropped(&[("a", 100_001), ("b", 1)]);
    let news = News::of([&known, &dropped(&[("b", 1)])], &all);
    assert_eq!((count(&news, "a"), count(&news, "b")), ((1, 0), (0, 0)));
    assert_eq!(News::of([&all, &[]], &all).named, Vec::<&Dropped>::new());
}
