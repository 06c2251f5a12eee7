//! By which strategy a backend is shown who calls.

use std::{fmt, sync::Arc};

use http::{HeaderName, HeaderValue, header};

use crate::{aws::AssumeRole, file::HeaderFile, grant::Grant};

/// Headers that belong to the transport or to one connection of it (RFC 9110, section 7.6.1), which nobody may set.
pub const RESERVED: [HeaderName; 16] = [
    header::HOST,
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::ACCEPT_ENCODING,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::ACCEPT,
    HeaderName::from_static("mcp-session-id"),
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("last-event-id"),
];

/// A strategy.
#[derive(Clone, PartialEq, Eq)]
pub enum Config {
    /// Nothing is shown.
    Unauthenticated,
    /// One fixed header.
    Header { name: HeaderName, value: HeaderValue },
    /// A header whose value stands in a file, which is read again when it changes.
    HeaderFile(HeaderFile),
    /// A token that is obtained.
    Token(Box<Grant>),
    /// A signature of each request, with keys that AWS gives for the caller's token.
    Aws(Box<AssumeRole>),
    /// There is none, so that the backend is sent nothing.
    Missing {
        /// What is missing, without any secret.
        why: Arc<str>,
        /// The header that would be set.
        header: Option<HeaderName>,
    },
}

impl Config {
    /// Whether callers are shown with credentials of their own, so that a backend can tell them apart.
    pub fn is_personal(&self) -> bool {
        match self {
            Self::Unauthenticated
            | Self::Header { .. }
            | Self::HeaderFile(_)
            | Self::Missing { .. } => false,
            Self::Token(grant) => grant.is_personal(),
            Self::Aws(_) => true,
        }
    }

    /// What the strategy is, in parts of which a digest is made for comparison between processes. They hold
    /// secrets, and nothing that is obtained. Empty if nothing is shown.
    pub fn parts(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Unauthenticated => Vec::new(),
            Self::Header { name, value } => {
                vec![b"shown".to_vec(), name.as_str().into(), value.as_bytes().to_vec()]
            }
            Self::HeaderFile(HeaderFile { name, path, .. }) => {
                let path = path.as_os_str().as_encoded_bytes();
                vec![b"file".to_vec(), name.as_str().into(), path.to_vec()]
            }
            Self::Token(grant) => grant.parts(),
            Self::Aws(role) => role.parts(),
            Self::Missing { why, .. } => vec![b"missing".to_vec(), why.as_bytes().to_vec()],
        }
    }

    /// Whether it sets this header.
    pub fn sets(&self, header: &HeaderName) -> bool {
        match self {
            Self::Unauthenticated => false,
            Self::Missing { header: set, .. } => set.as_ref() == Some(header),
            Self::Header { name, .. } | Self::HeaderFile(HeaderFile { name, .. }) => name == header,
            Self::Token(_) => header == header::AUTHORIZATION,
            // AWS refuses a request that has others of its headers beside those that are signed.
            Self::Aws(_) => {
                header == header::AUTHORIZATION || header.as_str().starts_with("x-amz-")
            }
        }
    }

    /// The secrets that the configuration holds itself.
    pub fn secrets(&self) -> Vec<&[u8]> {
        match self {
            Self::Unauthenticated | Self::Missing { .. } => Vec::new(),
            Self::Header { value, .. } | Self::HeaderFile(HeaderFile { value, .. }) => {
                vec![value.as_bytes()]
            }
            Self::Token(grant) => grant.secrets(),
            Self::Aws(_) => Vec::new(),
        }
    }
}

/// Names what is shown, and not its value, which is a secret.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthenticated => f.write_str("Unauthenticated"),
            Self::Header { name, .. } => write!(f, "Header({name})"),
            Self::HeaderFile(file) => write!(f, "HeaderFile({file:?})"),
            Self::Token(grant) => write!(f, "Token({grant:?})"),
            Self::Aws(role) => write!(f, "Aws({role:?})"),
            Self::Missing { why, .. } => write!(f, "Missing({why})"),
        }
    }
}
