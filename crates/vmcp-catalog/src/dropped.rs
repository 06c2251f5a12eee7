//! What a merge left out, and what to do about it.

use std::fmt;

use vmcp_model::{BackendId, Kind};

/// A capability that a backend offers and that no client sees, other than by being hidden.
/// `Display` is one line that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dropped {
    pub kind: Kind,
    /// The backend's own name, URI or URI template for it, unshortened.
    pub key: String,
    pub backend: BackendId,
    pub reason: DropReason,
}

/// Why a capability was left out. Names are those that clients would see, unshortened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// Its name, URI or URI template is empty, or an override makes it so.
    Unnamed,
    /// The backend lists it again; the first one counts.
    ListedTwice,
    /// An override sets a member that stands in it more than once, or in another case, so that a
    /// client could read the one that was not overridden.
    Ambiguous { member: &'static str },
    /// Several tools of its own backend end with this name; none of them gets it.
    SameName { name: String },
    /// Other backends claim the name too, and nobody gets it.
    Contested { name: String, with: Vec<BackendId> },
    /// The name goes to a backend that stands earlier in the order of priority.
    Outranked { name: String, by: BackendId },
    /// With its prefix it would have the name that another backend's capability has without one.
    Taken { name: String, by: BackendId },
    /// Another backend offers the same URI or URI template and comes first.
    Shadowed { by: BackendId },
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, key, backend, reason } = self;
        write!(f, "{} {key:?} of backend {backend} is left out: ", kind.noun())?;
        let advice = match kind {
            Kind::Tool => "rename one under aggregation.tools[].overrides",
            Kind::Prompt | Kind::Resource | Kind::ResourceTemplate => {
                "rename one at its backend, or the backend"
            }
        };
        match reason {
            DropReason::Unnamed => write!(f, "its {} is empty; give it one", kind.key()),
            DropReason::ListedTwice => {
                f.write_str("its backend lists it again; only the first one counts")
            }
            DropReason::Ambiguous { member } => write!(
                f,
                "an override sets its {member:?}, which it has twice or in another case; \
                 correct it at its backend, or remove the override"
            ),
            DropReason::SameName { name } => {
                write!(
                    f,
                    "another {} of this backend has the name {name:?} too; {advice}",
                    kind.noun()
                )
            }
            DropReason::Contested { name, with } => {
                write!(f, "the name {name:?} is also claimed by {}; {advice}", Names(with))
            }
            DropReason::Outranked { name, by } => write!(
                f,
                "the name {name:?} goes to {by}, which comes first in \
                 aggregation.conflictResolutionConfig.priorityOrder; to have both, {advice}"
            ),
            DropReason::Taken { name, by } => {
                write!(f, "the name {name:?} belongs to {by}; {advice}")
            }
            DropReason::Shadowed { by } => {
                write!(f, "{by} offers the same and comes first; rename one at its backend")
            }
        }
    }
}

/// Several backends in a sentence.
struct Names<'a>(&'a [BackendId]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, backend) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{backend}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
