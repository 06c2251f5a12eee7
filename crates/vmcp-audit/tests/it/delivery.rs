//! That records are written, or counted as dropped.
