//! The configured name of a backend.

use std::{fmt, sync::Arc};

/// The name of a backend, as configuration gives it. Cheap to clone.
///
/// 1 to 64 characters out of `A-Z a-z 0-9 . _ -`. A colon never occurs, so an id that names its
/// backend can be split at the first one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendId(Arc<str>);

/// A backend name that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidBackendId(String);

impl BackendId {
    /// The longest name, in characters.
    pub const MAX_LENGTH: usize = 64;

    /// Checks a configured name.
    pub fn new(name: &str) -> Result<Self, InvalidBackendId> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > Self::MAX_LENGTH || !name.chars().all(allowed) {
            return Err(InvalidBackendId(name.to_owned()));
        }
        Ok(Self(name.into()))
    }

    /// Whether a capability's name begins as those of this backend do where names have prefixes.
    pub fn owns(&self, name: &str) -> bool {
        let rest = name.strip_prefix(self.as_str()).unwrap_or_default();
        rest.starts_with(|next: char| !next.is_ascii_alphanumeric())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BackendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BackendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::borrow::Borrow<str> for BackendId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InvalidBackendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a backend name: use 1 to {} of the characters A-Z a-z 0-9 . _ -",
            self.0,
            BackendId::MAX_LENGTH
        )
    }
}

impl std::error::Error for InvalidBackendId {}
