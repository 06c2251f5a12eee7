//! Who calls.

/// Who a request comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// Nobody was asked to prove who they are.
    Anonymous,
    /// An identity that an issuer vouches for. Both parts count: two issuers may use one subject.
    Subject { issuer: String, subject: String },
}
