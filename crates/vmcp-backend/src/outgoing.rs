//! What vmcp shows a backend about itself.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// A strategy for proving to a backend who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// Nothing is shown.
    Unauthenticated,
    /// One fixed header.
    Header { name: HeaderName, value: HeaderValue },
}

impl Outgoing {
    /// Headers that belong to the transport, which no strategy may set.
    pub const RESERVED: [HeaderName; 10] = [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::ACCEPT,
        vmcp_wire::headers::SESSION_ID,
        vmcp_wire::headers::PROTOCOL_VERSION,
        vmcp_wire::headers::LAST_EVENT_ID,
    ];

    /// Adds to a request's headers what the strategy shows.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        match self {
            Self::Unauthenticated => {}
            Self::Header { name, value } => {
                let mut value = value.clone();
                value.set_sensitive(true);
                headers.insert(name.clone(), value);
            }
        }
    }
}
