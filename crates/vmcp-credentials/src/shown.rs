//! The value of a credential, as a request carries it.

use std::{fmt, sync::Arc};

use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};

use crate::aws::{SIGNS, Signer};

/// What a backend is shown with one request. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown(Arc<Kind>);

#[derive(PartialEq, Eq)]
enum Kind {
    Header(HeaderName, HeaderValue),
    /// What signs each request.
    #[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "there is none without AWS"))]
    Signed(Signer),
}

/// The request that carries it, for what depends on that.
#[derive(Debug, Clone, Copy)]
pub struct Outbound<'a> {
    pub method: &'a Method,
    /// Where it goes, whole.
    pub target: &'a Uri,
    /// Its body; empty if there is none.
    pub body: &'a [u8],
}

impl Shown {
    /// One header.
    pub fn header(name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        Self(Arc::new(Kind::Header(name, value)))
    }

    #[cfg(feature = "aws")]
    pub(crate) fn signed(signer: Signer) -> Self {
        Self(Arc::new(Kind::Signed(signer)))
    }

    /// A token, as RFC 6750 shows it. None if it holds what no token may.
    pub(crate) fn bearer(token: &str) -> Option<Self> {
        let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let value = HeaderValue::try_from(format!("Bearer {token}")).ok().filter(|_| is_token)?;
        Some(Self::header(header::AUTHORIZATION, value))
    }

    /// Whether it sets this header.
    pub fn sets(&self, header: &HeaderName) -> bool {
        match &*self.0 {
            Kind::Header(name, _) => name == header,
            Kind::Signed(_) => SIGNS.contains(header),
        }
    }

    /// Whether an answer may say that it is not taken. AWS answers 403 for keys that have ended.
    pub fn is_refused_by(&self, status: StatusCode) -> bool {
        match &*self.0 {
            Kind::Header(..) => status == StatusCode::UNAUTHORIZED,
            Kind::Signed(_) => [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status),
        }
    }

    /// Gives each header that a request carries for it.
    pub fn each_header(
        &self,
        request: Outbound<'_>,
        mut put: impl FnMut(&HeaderName, &HeaderValue),
    ) {
        match &*self.0 {
            Kind::Header(name, value) => put(name, value),
            Kind::Signed(signer) => signer.sign(request, put),
        }
    }

    /// The secrets in it, each as it may stand in a text.
    pub fn secrets(&self) -> Vec<&[u8]> {
        match &*self.0 {
            Kind::Header(_, value) => vec![value.as_bytes()],
            Kind::Signed(signer) => signer.secrets(),
        }
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Header(name, _) => write!(f, "Header({name})"),
            Kind::Signed(_) => f.write_str("Signed"),
        }
    }
}
