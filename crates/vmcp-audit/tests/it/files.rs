//! What becomes of files that are renamed, removed or full.
