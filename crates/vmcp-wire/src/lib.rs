//! Filled by a later commit of this change.
