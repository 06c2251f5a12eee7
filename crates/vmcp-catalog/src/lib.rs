//! Merges what the backends offer into the one catalog that clients see.
//!
//! Pure: the same offers and rules always give the same catalog, byte for byte, in whatever order
//! the backends answered. A name clash is an outcome to report, not a failure, and its answer is
//! never a random winner: nobody can take over a name by offering it too.
//!
//! What a catalog advertises is what it routes. Who among the callers may see an entry, and how a
//! backend is reached, is decided elsewhere.

mod capabilities;
mod catalog;
mod contents;
mod cursor;
mod dropped;
mod instructions;
mod listed;
mod merge;
mod naming;
mod order;
mod overrides;
mod pages;
mod rules;
mod spelling;
mod template;
mod unmatched;

pub use catalog::{Catalog, Changed, Page};
pub use contents::{InvalidCatalog, Route};
pub use cursor::InvalidCursor;
pub use dropped::{DropReason, Dropped};
pub use listed::{InvalidLists, read_lists, write_lists};
pub use merge::merge;
pub use rules::{Annotations, NameSet, Naming, Override, Rules, ToolRules, Visibility};

#[cfg(test)]
mod tests;
