//! The signature of a request (Signature Version 4).

use std::{fmt, time::SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningError, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_runtime_api::client::identity::Identity;
use http::{HeaderName, HeaderValue, Method, Uri, header};

/// For which service, and where, a signature is good.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    pub region: Box<str>,
    pub service: Box<str>,
}

/// Keys that STS has given, which are good for a while.
#[derive(Clone)]
pub struct Keys(Identity);

impl Keys {
    pub fn new(id: &str, secret: &str, session_token: &str) -> Self {
        let token = Some(session_token.to_owned());
        Self(Credentials::new(id, secret, token, None, "sts").into())
    }

    /// The headers that sign a request at this time, of which the host, the path, the query and the body are part.
    ///
    /// # Errors
    /// If it is no request that can be signed.
    pub fn sign(
        &self,
        scope: &Scope,
        (method, target, body): (&Method, &Uri, &[u8]),
        time: SystemTime,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, SigningError> {
        let params = v4::SigningParams::builder()
            .identity(&self.0)
            .region(&scope.region)
            .name(&scope.service)
            .time(time)
            .settings(SigningSettings::default())
            .build()
            .expect("all that is needed is there")
            .into();
        // As it is sent: with the default port, too, where the URL names it.
        let host = target.authority().map(|authority| ("host", authority.as_str()));
        let (text, body) = (target.to_string(), SignableBody::Bytes(body));
        let request = SignableRequest::new(method.as_str(), text, host.into_iter(), body)?;
        let (signed, _signature) = sign(request, &params)?.into_parts();
        let (headers, _no_parameters) = signed.into_parts();
        let headers = headers.iter().filter_map(|header| {
            let mut value = HeaderValue::from_str(header.value()).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::from_static(header.name()), value))
        });
        Ok(headers.collect())
    }

    /// The parts that nobody else may see.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let held = self.0.data::<Credentials>();
        held.into_iter().flat_map(|held| {
            [Some(held.secret_access_key()), held.session_token()].into_iter().flatten()
        })
    }
}

/// The headers that a signature consists of.
pub static SIGNS: [HeaderName; 3] = [
    header::AUTHORIZATION,
    HeaderName::from_static("x-amz-date"),
    HeaderName::from_static("x-amz-security-token"),
];

/// They are shown to nobody.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(target: &'static str) -> HeaderValue {
        let scope = Scope { region: "r".into(), service: "s".into() };
        let request = (&Method::POST, &Uri::from_static(target), &b"{}"[..]);
        let signed =
            Keys::new("id", "secret", "token").sign(&scope, request, SystemTime::UNIX_EPOCH);
        let signed = signed.unwrap();
        signed.into_iter().find(|(name, _)| name == header::AUTHORIZATION).unwrap().1
    }

    /// What is sent as `Host` is signed, so they must be the same letter by letter.
    #[test]
    fn a_port_that_is_named_is_signed() {
        assert_ne!(signature("http://a/b"), signature("http://a:80/b"));
        assert_ne!(signature("https://a/b"), signature("https://a:443/b"));
        assert_eq!(signature("https://a:443/b"), signature("https://a:443/b"));
    }
}
