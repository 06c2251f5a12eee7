//! What a merge left out, and what to do about it.

use std::fmt;

use vmcp_model::{BackendId, Era, Kind};

/// A capability that a backend offers and that clients do not see, or not as it is, other than by being
/// hidden; or one that a rule speaks of and that is not there. `Display` is one line that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dropped {
    /// `None` if it is something that the backend declares of itself.
    pub kind: Option<Kind>,
    /// The backend's own name, URI or URI template for it, before it is mapped. Beyond
    /// [`LeftOut::NAME`](vmcp_model::LeftOut::NAME) it is cut.
    pub key: String,
    pub backend: BackendId,
    pub reason: DropReason,
}

/// Why a capability was left out. Names are those that clients would see, unshortened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// It is not what clients take, or only those of one era do.
    Unfit { why: Box<str>, only: Option<Era> },
    /// It is shown, but its output schema is not: legacy clients could not read that.
    WithoutOutput,
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
    /// A tool of vmcp's own has the name.
    Reserved { name: String },
    /// Another backend offers the same URI or URI template and comes first.
    Shadowed { by: BackendId },
    /// Its backend has no such tool, and a rule speaks of it.
    NotThere { rule: &'static str },
}

impl Dropped {
    /// Whether two capabilities are in each other's way. Otherwise it is about this one alone.
    pub fn is_conflict(&self) -> bool {
        match self.reason {
            DropReason::SameName { .. }
            | DropReason::Contested { .. }
            | DropReason::Outranked { .. }
            | DropReason::Taken { .. }
            | DropReason::Reserved { .. }
            | DropReason::Shadowed { .. } => true,
            DropReason::Unfit { .. }
            | DropReason::WithoutOutput
            | DropReason::Unnamed
            | DropReason::ListedTwice
            | DropReason::Ambiguous { .. }
            | DropReason::NotThere { .. } => false,
        }
    }

    /// What a person calls what is left out.
    pub fn noun(&self) -> &'static str {
        self.kind.map_or("declaration", Kind::noun)
    }
}

/// Those whom something is left out for.
fn clients_of(era: Era) -> &'static str {
    match era {
        Era::Legacy => "before revision 2026-07-28",
        Era::Modern => "of revision 2026-07-28",
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, key, backend, reason } = self;
        let noun = self.noun();
        if let DropReason::WithoutOutput = reason {
            let whom = clients_of(Era::Legacy);
            return write!(
                f,
                "{noun} {key:?} of backend {backend} is shown without its outputSchema to clients \
                 {whom}, who could not read it; give it one of type \"object\" at its backend"
            );
        }
        if let DropReason::NotThere { rule } = reason {
            let names = match *rule {
                "overrides" => "the backend's own names",
                _ => "the names after overrides",
            };
            return write!(
                f,
                "{noun} {key:?} of backend {backend} is not there, though aggregation.tools' {rule} speaks of \
                 it, which has {names}; correct it"
            );
        }
        write!(f, "{noun} {key:?} of backend {backend} is left out")?;
        if let DropReason::Unfit { only: Some(era), .. } = reason {
            write!(f, " for clients {}", clients_of(*era))?;
        }
        f.write_str(": ")?;
        let place = match kind {
            Some(Kind::Tool) => "under aggregation.tools[].overrides",
            Some(Kind::Prompt | Kind::Resource | Kind::ResourceTemplate) | None => {
                "at its backend, or the backend"
            }
        };
        match reason {
            DropReason::Unfit { why, .. } => write!(f, "{why}; correct it at its backend"),
            DropReason::WithoutOutput | DropReason::NotThere { .. } => Ok(()),
            DropReason::Unnamed => {
                write!(f, "its {} is empty; give it one", kind.map_or("name", Kind::key))
            }
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
                    "another {noun} of this backend has the name {name:?} too; rename one {place}"
                )
            }
            DropReason::Contested { name, with } => {
                write!(
                    f,
                    "the name {name:?} is also claimed by {}; rename one {place}",
                    Names(with)
                )
            }
            DropReason::Outranked { name, by } => write!(
                f,
                "the name {name:?} goes to {by}, which comes first in \
                 aggregation.conflictResolutionConfig.priorityOrder; to have both, rename one {place}"
            ),
            DropReason::Taken { name, by } => {
                write!(f, "the name {name:?} belongs to {by}; rename one {place}")
            }
            DropReason::Reserved { name } => write!(
                f,
                "the name {name:?} is that of a tool of vmcp's own; rename it {place}, or switch that tool off"
            ),
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
