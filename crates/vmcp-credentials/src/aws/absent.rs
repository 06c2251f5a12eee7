//! In the place of AWS, where this is built without it: there is no value of these types.

use http::{HeaderName, HeaderValue};
use vmcp_model::{Claims, Digest, Proof};

use crate::{credential::Unavailable, obtain::Source, shown::Outbound, slot::Obtained};

/// The headers that a signature consists of.
pub(crate) static SIGNS: [HeaderName; 0] = [];

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssumeRole {}

pub(crate) enum Sts {}

#[derive(PartialEq, Eq)]
pub(crate) enum Signer {}

impl AssumeRole {
    pub(crate) fn source(&self) -> Source {
        match *self {}
    }

    pub(crate) fn parts(&self) -> Vec<Vec<u8>> {
        match *self {}
    }
}

impl Sts {
    pub(crate) fn role(&self, _claims: &Claims) -> Digest {
        match *self {}
    }

    pub(crate) async fn obtain(&self, _proof: &Proof) -> Result<Obtained, Unavailable> {
        match *self {}
    }
}

impl Signer {
    pub(crate) fn sign(&self, _request: Outbound<'_>, _put: impl FnMut(&HeaderName, &HeaderValue)) {
        match *self {}
    }

    pub(crate) fn secrets(&self) -> Vec<&[u8]> {
        match *self {}
    }
}
