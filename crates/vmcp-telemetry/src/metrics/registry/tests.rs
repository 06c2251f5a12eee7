//! Series that are folded and read while a thread counts in them.

use std::time::Duration;

use vmcp_model::{Method, trail::Via};

use super::*;
use crate::metrics::{
    cell::Durations,
    key::{Facts, Named, Outcome},
};

const VIEWS: [View; 2] = [View::Operations, View::AtBackends];
const TOOK: u64 = 30_000;
const AT_BACKEND: u64 = 8_000;

/// What a thread does to count one request.
const STEPS: [fn(&Cell); 4] = [
    |cell| cell.took.add_one(TOOK),
    |cell| cell.took.add_microseconds(TOOK),
    |cell| cell.at_backend.add_one(AT_BACKEND),
    |cell| cell.at_backend.add_microseconds(AT_BACKEND),
];

#[test]
fn nothing_is_lost_whenever_a_series_is_folded_and_read_while_its_thread_counts() {
    let cell = Cell::new(Arc::new(Key::from(&sought("a"))), 0, 0, 0, 0);
    STEPS.iter().for_each(|step| step(&cell));
    let seen = Seen {
        took: Duration::from_micros(TOOK),
        at_backend: Some(Duration::from_micros(AT_BACKEND)),
        when: 0,
    };
    let whole = Cell::new(Arc::clone(&cell.key), 0, 0, 0, 0);
    whole.count(&seen);
    let expected = Totals::of_cell(&whole);
    assert_eq!(Totals::of_cell(&cell), expected, "the steps are not what counts one");
    for folded in 0..=STEPS.len() {
        for read in folded..=STEPS.len() {
            for leaves in [false, true] {
                let sums = count_one(folded, read, leaves);
                let expected = [&expected.took, &expected.at_backend];
                let when = format!("folded before {folded}, read before {read}, leaves: {leaves}");
                assert_eq!(sums.each_ref(), expected, "{when}");
            }
        }
    }
}

/// Counts one request, whose series is folded before one step and read before another. What was counted, by view.
fn count_one(folded: usize, read: usize, leaves: bool) -> [Durations; 2] {
    let registry = Registry::new(1, &VIEWS);
    let [thread, other] = [registry.enter(), registry.enter()];
    let mut cells = HashTable::new();
    let cell = new_cell(&registry, thread, &mut cells, "a");
    let interrupt = |place| {
        if place == folded {
            new_cell(&registry, other, &mut HashTable::new(), "b");
            assert!(cell.is_retired());
        }
        if place == read {
            registry.read();
        }
    };
    for (place, step) in STEPS.iter().enumerate() {
        interrupt(place);
        step(&cell);
    }
    interrupt(STEPS.len());
    if leaves {
        registry.leave(thread, &mut cells);
    }
    let reading = registry.read();
    VIEWS.map(|view| {
        let mut sum = Durations::default();
        reading.series.iter().for_each(|(_, totals)| sum.add(view.durations(totals)));
        let kept = reading.histories.iter().filter(|history| history.view == view);
        kept.for_each(|history| sum.add(&history.durations));
        sum
    })
}

fn new_cell(
    registry: &Registry,
    thread: u64,
    cells: &mut HashTable<Arc<Cell>>,
    name: &str,
) -> Arc<Cell> {
    let sought = sought(name);
    registry.cell(thread, cells, &sought, registry.hash(&sought), 0)
}

fn sought(name: &str) -> Sought<'_> {
    let facts = Facts {
        via: Via::Post,
        method: Some(Method::ToolsCall),
        version: None,
        status: 200,
        outcome: Outcome::Answered,
        named: Named::Tool,
    };
    Sought::new(facts, "backend", name)
}
