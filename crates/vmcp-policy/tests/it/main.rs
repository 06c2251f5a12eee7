//! What policies decide, as people wrote it down: in the corpus of cases, and in docs/authorization.md.

mod case;
mod corpus;
mod page;
