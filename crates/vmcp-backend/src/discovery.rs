//! What a backend says about itself when it is asked `server/discover`, and what a refusal says about
//! its era (specification 2026-07-28, server/discover and basic/versioning). Pure.

use bytes::Bytes;
use vmcp_model::{
    Era, Method, ProtocolVersion,
    raw::{self, Members},
};
use vmcp_wire::{Id, IdKey};

use crate::{error::Error, freshness::Freshness, secrets::Secrets, session::Facts};

/// The headers differ from the body; a capability is missing; the revision is not spoken.
const MODERN_ERRORS: [i64; 3] = [-32020, -32021, UNSUPPORTED_VERSION];
const UNSUPPORTED_VERSION: i64 = -32022;

/// The method is not known.
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;

/// Something went wrong.
pub(crate) const INTERNAL_ERROR: i64 = -32603;

/// What the answer to `server/discover` says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Legacy,
    /// The backend speaks the modern revision. One that refuses to say more has said that by the
    /// way in which it refuses. Whether it speaks the legacy era as well is not said by either.
    Modern(Option<Facts>),
}

/// What the body of an answer says that is no success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// It is the response to the very request that was sent.
    pub(crate) answers: bool,
    /// The code of the error, if the body is one of JSON-RPC.
    pub(crate) code: Option<i64>,
    /// Which era speaks out of it.
    pub(crate) era: Option<Era>,
}

impl Told {
    /// Reads what answered the request of this id. What no modern server says is said by a legacy one.
    ///
    /// # Errors
    /// If a result says of itself that it is not complete, which says nothing about the backend.
    pub(crate) fn by(text: &Bytes, id: &IdKey, secrets: &Secrets) -> Result<Self, Error> {
        let Some((members, result)) = result(text, id) else {
            return Ok(match Refusal::read(text, id).era {
                Some(Era::Modern) => Self::Modern(None),
                Some(Era::Legacy) | None => Self::Legacy,
            });
        };
        let versions = members.value(&result, "supportedVersions");
        let versions = versions.and_then(names_modern);
        check_complete(Method::ServerDiscover, &result, secrets)?;
        if versions != Some(true) {
            return Ok(Self::Legacy);
        }
        let capabilities = members.value(&result, "capabilities");
        let capabilities = capabilities.filter(|value| Members::parse(value).is_some());
        let instructions = members.value(&result, "instructions").and_then(raw::as_string);
        let facts =
            Facts::of(capabilities.unwrap_or(b"{}"), instructions.map(String::into_boxed_str));
        let facts = Some(Facts { freshness: Freshness::of_result(&result), ..facts });
        Ok(Self::Modern(facts))
    }
}

impl Refusal {
    /// The code of a JSON-RPC error.
    pub(crate) fn of(text: &[u8]) -> Option<i64> {
        let members = Members::parse(text)?;
        let error = members.value(text, "error")?;
        let code = Members::parse(error)?.value(error, "code")?;
        std::str::from_utf8(code).ok()?.parse().ok()
    }

    /// Reads a body that came with a refusal of the request of this id.
    pub(crate) fn read(text: &[u8], id: &IdKey) -> Self {
        let Some(members) = Members::parse(text) else {
            return Self { answers: false, code: None, era: None };
        };
        let answered = members.value(text, "id").and_then(Id::parse);
        let error = members.value(text, "error");
        let member = |name| {
            let error = error?;
            Members::parse(error)?.value(error, name)
        };
        let code = Self::of(text);
        let supported = || {
            let data = member("data")?;
            Members::parse(data)?.value(data, "supported").and_then(names_modern)
        };
        let era = match code {
            Some(UNSUPPORTED_VERSION) if supported() == Some(false) => Some(Era::Legacy),
            Some(code) if MODERN_ERRORS.contains(&code) => Some(Era::Modern),
            Some(_) | None => None,
        };
        Self { answers: error.is_some() && answered.is_some_and(|found| found.is(id)), code, era }
    }

    /// Whether a backend that is taken for a modern one has refused a request in a way that makes
    /// one doubt it. A JSON-RPC error that answers the request is an ordinary answer, unless it is
    /// one that transports of the legacy era refuse with.
    pub(crate) fn casts_doubt(&self, status: u16) -> bool {
        match self.era {
            Some(Era::Modern) => false,
            Some(Era::Legacy) => true,
            None => {
                let by_transport = matches!(self.code, None | Some(-32600 | -32019..=-32000));
                is_doubtful(status) && (by_transport || !self.answers)
            }
        }
    }
}

/// Whether a status is one with which a server of the one era refuses what is said in the other's
/// way. Of those that say something about the caller or the moment, none is.
pub(crate) fn is_doubtful(status: u16) -> bool {
    matches!(status, 400 | 404 | 405 | 406 | 410 | 415 | 422)
}

/// Whether a status is one with which some servers answer a method that they do not know.
pub(crate) fn is_unknown(status: u16) -> bool {
    matches!(status, 500 | 501)
}

/// Whether a status is about the caller or the moment, and so says nothing about the backend's era.
pub(crate) fn says_nothing(status: u16) -> bool {
    matches!(status, 401 | 403 | 407 | 408 | 429 | 500..)
}

/// Refuses a result that is not the whole answer (specification 2026-07-28, basic, "ResultType"). One
/// that does not say what it is is complete.
pub(crate) fn check_complete(
    method: Method,
    result: &[u8],
    secrets: &Secrets,
) -> Result<(), Error> {
    let kind = Members::parse(result).and_then(|members| members.value(result, "resultType"));
    match kind {
        None | Some(b"\"complete\"") => Ok(()),
        Some(kind) => Err(Error::Protocol(format!(
            "answered {method} with a result of the type {}",
            secrets.excerpt(kind)
        ))),
    }
}

/// The result that answers the request of this id.
fn result(text: &Bytes, id: &IdKey) -> Option<(Members, Bytes)> {
    let members = Members::parse(text)?;
    let answered = members.value(text, "id").and_then(Id::parse)?;
    let result = text.slice(members.span("result")?);
    answered.is(id).then_some(())?;
    Members::parse(&result).map(|members| (members, result))
}

/// Whether a list of revisions has the modern one. `None` if it is no list.
fn names_modern(list: &[u8]) -> Option<bool> {
    let modern = raw::string(ProtocolVersion::MODERN.name());
    raw::elements(list).map(|spans| spans.into_iter().any(|span| list[span] == *modern))
}

#[cfg(test)]
mod tests;
