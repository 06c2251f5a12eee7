//! What is wrong with policies.

use std::fmt;

/// What is wrong with a text of the settings, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub place: Place,
    /// In the text, from 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The policy, as far as it is known: its `@id`, or `policy0`.
    pub policy: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
}

/// A text of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// One of the texts with policies, by its number from 0.
    Policies(usize),
    Entities,
    GroupEntityType,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(policy) = &self.policy {
            write!(f, "{policy}, ")?;
        }
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}
