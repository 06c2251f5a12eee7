//! AWS as a backend's gate: which role a caller takes on, the keys that STS gives for it, and the signature that a
//! request carries (Signature Version 4).
//!
//! A caller takes a role on by its own access token (AssumeRoleWithWebIdentity), so vmcp needs no keys of its own.
//! Nothing of a token or key ends up in an error.

mod arn;
mod matcher;
mod roles;
mod session_name;
mod sign;
mod sts;

pub use arn::{InvalidArn, RoleArn};
pub use matcher::{Claims, InvalidMatcher, Matcher};
pub use roles::{Roles, Rule, When};
pub use session_name::session_name;
pub use sign::{Keys, SIGNS, Scope};
pub use sts::{Assume, StsError, endpoint};
