//! Credentials against token endpoints that do what they should, or not.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests share fails them just as they fail themselves"
)]

mod grants;
mod lying;
mod stand;
mod tokens;
