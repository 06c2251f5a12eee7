//! What STS gives for a caller's token (STS API Reference, "AssumeRoleWithWebIdentity").

use std::time::{Duration, SystemTime};

use http::{StatusCode, Uri};
use roxmltree::{Document, Node};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use url::form_urlencoded::Serializer;
use vmcp_fetch::{FetchError, Fetcher, Form};

use crate::{arn::RoleArn, sign::Keys};

/// The longest answer, in bytes. Reading one with very many attributes takes the square of their number.
const LONGEST: usize = 64 << 10;

/// Characters of what STS says that are told.
const TOLD: usize = 200;

/// A role to be taken on.
#[derive(Debug, Clone, Copy)]
pub struct Assume<'a> {
    pub role: &'a RoleArn,
    pub session_name: &'a str,
    /// The caller's token.
    pub token: &'a str,
    /// For how long.
    pub duration: Duration,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum StsError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// This caller gets none.
    #[error("STS refuses the role {role}: {code}{said}")]
    Refused { role: RoleArn, code: String, said: String },
    /// STS cannot give any now.
    #[error("STS answers {status}{said}")]
    Away { status: StatusCode, said: String },
    #[error("STS answers something that cannot be used: {0}")]
    Unusable(&'static str),
}

/// Where STS of a region is.
pub fn endpoint(region: &str) -> String {
    let top = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://sts.{region}.{top}/")
}

impl Assume<'_> {
    /// Asks STS, which needs no keys for it. Gives the keys and when they expire.
    ///
    /// # Errors
    /// If it refuses, cannot be reached, or says nothing that can be used.
    pub async fn ask(
        &self,
        fetcher: &Fetcher,
        endpoint: &Uri,
    ) -> Result<(Keys, SystemTime), StsError> {
        let form = Serializer::new(String::new())
            .append_pair("Action", "AssumeRoleWithWebIdentity")
            .append_pair("Version", "2011-06-15")
            .append_pair("RoleArn", self.role.as_str())
            .append_pair("RoleSessionName", self.session_name)
            .append_pair("DurationSeconds", &self.duration.as_secs().to_string())
            .append_pair("WebIdentityToken", self.token)
            .finish();
        // Asked for JSON, STS would answer with that.
        let form = Form { text: &form, authorization: None, accept: "text/xml" };
        let answer = fetcher.post_form(endpoint, form).await?;
        let (status, text) = (answer.status(), answer.into_body());
        if text.len() > LONGEST {
            return Err(StsError::Unusable("it is longer than 64 KiB"));
        }
        let text = std::str::from_utf8(&text).map_err(|_error| StsError::Unusable("it is no text"));
        if status.is_success() { granted(text?) } else { Err(self.refused(status, text.ok())) }
    }

    fn refused(&self, status: StatusCode, text: Option<&str>) -> StsError {
        let document = text.and_then(|text| Document::parse(text).ok());
        let told = |name| {
            let found = document.as_ref().and_then(|document| text_of(document.root(), name));
            found.map(|found| self.without_secrets(found))
        };
        let said = told("Message").map_or_else(String::new, |said| format!(": {said}"));
        match told("Code") {
            // What is throttled, or broken there, is not about this caller.
            Some(code)
                if status.is_client_error()
                    && status != StatusCode::TOO_MANY_REQUESTS
                    && !code.starts_with("Throttling")
                    && code != "IDPCommunicationError" =>
            {
                StsError::Refused { role: self.role.clone(), code, said }
            }
            Some(code) => StsError::Away { status, said: format!(": {code}{said}") },
            None => StsError::Away { status, said },
        }
    }

    /// What is told of an answer, in one line and without the token, should it repeat that.
    fn without_secrets(&self, said: &str) -> String {
        let line = said.replace(self.token, "***");
        line.chars().filter(|c| !c.is_control()).take(TOLD).collect()
    }
}

fn granted(text: &str) -> Result<(Keys, SystemTime), StsError> {
    let unusable = StsError::Unusable;
    let document = Document::parse(text).map_err(|_error| unusable("it is no XML"))?;
    let credentials = document
        .descendants()
        .find(|node| node.has_tag_name("Credentials") || node.tag_name().name() == "Credentials")
        .ok_or(unusable("it holds no Credentials"))?;
    // What no header can hold could not be shown.
    let shows = |part: &&str| part.bytes().all(|byte| byte.is_ascii_graphic());
    let part = |name, missing| text_of(credentials, name).filter(shows).ok_or(unusable(missing));
    let keys = Keys::new(
        part("AccessKeyId", "it holds no AccessKeyId that can be used")?,
        part("SecretAccessKey", "it holds no SecretAccessKey that can be used")?,
        part("SessionToken", "it holds no SessionToken that can be used")?,
    );
    let expiration = part("Expiration", "it holds no Expiration")?;
    let expires = OffsetDateTime::parse(expiration, &Rfc3339)
        .map_err(|_error| unusable("its Expiration is no time"))?;
    Ok((keys, expires.into()))
}

/// The text of the first element of this name.
fn text_of<'a>(node: Node<'a, 'a>, name: &str) -> Option<&'a str> {
    let found = node.descendants().find(|node| node.tag_name().name() == name)?;
    found.text().map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_in_whatever_namespace() {
        for namespace in ["", r#" xmlns="https://sts.amazonaws.com/doc/2011-06-15/""#] {
            let text = format!(
                "<AssumeRoleWithWebIdentityResponse{namespace}><AssumeRoleWithWebIdentityResult><Credentials>\
                 <SessionToken>token</SessionToken><SecretAccessKey>secret</SecretAccessKey>\
                 <Expiration>2026-11-30T01:02:03Z</Expiration><AccessKeyId>id</AccessKeyId>\
                 </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
            );
            let (keys, expires) = granted(&text).unwrap();
            assert_eq!(keys.secrets().collect::<Vec<_>>(), ["secret", "token"]);
            let since = expires.duration_since(SystemTime::UNIX_EPOCH).unwrap();
            assert_eq!(since.as_secs(), 1_796_000_523);
            assert_eq!(format!("{keys:?}"), "Keys");
        }
        for (text, why) in [
            ("", "it is no XML"),
            ("<a/>", "it holds no Credentials"),
            (
                "<Credentials><AccessKeyId>i\nd</AccessKeyId></Credentials>",
                "it holds no AccessKeyId that can be used",
            ),
            (
                "<Credentials><AccessKeyId>id</AccessKeyId></Credentials>",
                "it holds no SecretAccessKey that can be used",
            ),
        ] {
            let error = granted(text).unwrap_err().to_string();
            assert_eq!(error, format!("STS answers something that cannot be used: {why}"));
        }
    }

    #[test]
    fn a_refusal_tells_no_token() {
        let role = RoleArn::parse("arn:aws:iam::123456789012:role/reader").unwrap();
        let token = "eyJ.s3cret.sig";
        let duration = Duration::from_secs(900);
        let assume = Assume { role: &role, session_name: "alice", token, duration };
        let error = |code: &str| {
            format!(
                "<ErrorResponse><Error><Code>{code}</Code><Message>No {token}\nfor you</Message></Error></ErrorResponse>"
            )
        };
        let told = assume.refused(StatusCode::FORBIDDEN, Some(&error("AccessDenied"))).to_string();
        assert_eq!(
            told,
            "STS refuses the role arn:aws:iam::123456789012:role/reader: AccessDenied: No ***for you"
        );
        for (status, code) in
            [(400, "Throttling"), (429, "AccessDenied"), (503, "ServiceUnavailable")]
        {
            let status = StatusCode::from_u16(status).unwrap();
            let refused = assume.refused(status, Some(&error(code)));
            assert!(matches!(refused, StsError::Away { .. }), "{refused}");
        }
        let none = assume.refused(StatusCode::BAD_GATEWAY, None).to_string();
        assert_eq!(none, "STS answers 502 Bad Gateway");
    }
}
