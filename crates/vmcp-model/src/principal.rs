//! Who calls.

use std::sync::Arc;

/// Who a request comes from. Cheap to clone: every call carries one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// Nobody was asked to prove who they are.
    Anonymous,
    /// An identity that an issuer vouches for. Both parts count: two issuers may use one subject.
    Subject { issuer: Arc<str>, subject: Arc<str> },
}
