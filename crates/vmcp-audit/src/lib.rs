//! Who did what: one record of each request, in a file.
