//! Merges what the backends offer into the one catalog that clients see.
//!
//! Pure: the same offers and rules always give the same catalog, byte for byte, in whatever order
//! the backends answered. A name clash is an outcome to report, not a failure, and its answer is
//! never a random winner: nobody can take over a name by offering it too.
//!
//! What a catalog advertises is what it routes. Who among the callers may see an entry, how a backend
//! is reached, and what a tool of vmcp's own answers, is decided elsewhere.

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
mod own;
mod pages;
mod route;
mod rules;
mod spelling;
mod stages;
mod stored;
mod template;
mod unmatched;

pub use catalog::{Catalog, Changed, Page};
pub use cursor::InvalidCursor;
pub use dropped::{DropReason, Dropped};
pub use listed::{InvalidLists, read_lists, write_lists};
pub use merge::merge;
pub use own::{InvalidOwnItem, OwnItem, OwnTool};
pub use route::{Admission, Reach, Route, Target};
pub use rules::{Annotations, NameSet, Naming, Override, Rules, ToolRules, Visibility};
pub use spelling::{climbing as climbing_uri, normal as normal_uri};
pub use stages::Item;
pub use stored::InvalidCatalog;
pub use template::could_expand;

#[cfg(test)]
mod tests;
