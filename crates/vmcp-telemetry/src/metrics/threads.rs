//! The tables of one thread, in which it counts without a lock.

use std::{
    cell::RefCell,
    sync::{Arc, Weak},
};

use hashbrown::HashTable;

use super::{
    cell::{Cell, Seen},
    key::Sought,
    registry::Registry,
};

thread_local! {
    /// One for each [`Registry`] that this thread counts for; there is hardly ever more than one.
    static TABLES: RefCell<Vec<Table>> = const { RefCell::new(Vec::new()) };
}

struct Table {
    registry: Weak<Registry>,
    /// This thread's number there.
    thread: u64,
    cells: HashTable<Arc<Cell>>,
}

/// Counts it in this thread's table.
pub(super) fn count(registry: &Arc<Registry>, sought: &Sought<'_>, seen: &Seen) {
    let hash = registry.hash(sought);
    let counted = TABLES.try_with(|tables| {
        let tables = &mut *tables.borrow_mut();
        let is_own = |table: &Table| Weak::as_ptr(&table.registry) == Arc::as_ptr(registry);
        let place = tables.iter().position(is_own).unwrap_or_else(|| enter(tables, registry));
        tables[place].count(registry, sought, hash, seen);
    });
    if counted.is_err() {
        // The thread ends, and its tables have gone already.
        registry.count(sought, hash, seen);
    }
}

#[cold]
fn enter(tables: &mut Vec<Table>, registry: &Arc<Registry>) -> usize {
    tables.retain(|table| table.registry.strong_count() > 0);
    let thread = registry.enter();
    tables.push(Table { registry: Arc::downgrade(registry), thread, cells: HashTable::new() });
    tables.len() - 1
}

impl Table {
    fn count(&mut self, registry: &Registry, sought: &Sought<'_>, hash: u64, seen: &Seen) {
        match self.cells.find(hash, |cell| cell.is(sought)) {
            Some(cell) if !cell.is_retired() => cell.count(seen),
            Some(_) | None => {
                let cells = &mut self.cells;
                registry.cell(self.thread, cells, sought, hash, seen.when).count(seen);
            }
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if let Some(registry) = self.registry.upgrade() {
            registry.leave(self.thread, &mut self.cells);
        }
    }
}
