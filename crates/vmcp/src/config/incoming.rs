//! How callers prove who they are: `incomingAuth`.

use http::Uri;
use vmcp_auth::{Config, Oidc};

use super::{file, not_yet, reader::Reader, url, value::Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Anonymous,
    Local,
    Oidc,
}

/// Reads how callers prove who they are. Everybody may do everything: so far, other choices of
/// `authz` are refused.
pub(super) fn read(reader: &Reader<'_>) -> Config {
    refuse_authorization(reader);
    let kind = reader.choice("type", &[Kind::Anonymous, Kind::Local, Kind::Oidc]);
    let oidc = oidc(&reader.section("oidc"));
    match (kind, reader.value("oidc")) {
        (Some(Kind::Oidc), None) => reader.missing("oidc", "is required for type: oidc"),
        (Some(Kind::Oidc), Some(value)) => {
            if oidc.as_ref().is_some_and(|oidc| oidc.resource.is_none()) {
                value.warning("without a resource, clients are not told where to get a token");
            }
        }
        (Some(Kind::Anonymous | Kind::Local), Some(value)) => {
            value.problem("only takes effect with type: oidc");
        }
        (Some(Kind::Anonymous | Kind::Local) | None, _) => {}
    }
    match (kind, oidc) {
        (Some(Kind::Oidc), Some(oidc)) => Config::Oidc(Box::new(oidc)),
        (Some(Kind::Local), _) => Config::Local,
        // Whatever is missing has been reported.
        (Some(Kind::Anonymous | Kind::Oidc) | None, _) => Config::Anonymous,
    }
}

/// Whatever else a word may mean, it means that not everybody may do everything.
fn refuse_authorization(reader: &Reader<'_>) {
    if let Some(value) = reader.value("authz")
        && value.is_word_or_list()
    {
        return value.problem(format!("is not supported yet{}", not_yet::AUTHORIZATION));
    }
    let Some(value) = reader.section("authz").value("type") else { return };
    if let Some(word) = value.any_text()
        && word != "none"
    {
        let quoted = value.quoted();
        value.problem(format!("{quoted} is not supported yet{}", not_yet::AUTHORIZATION));
    }
}

fn oidc(reader: &Reader<'_>) -> Option<Oidc> {
    let allow_http = reader.flag("insecureAllowHttp").unwrap_or(false);
    let issuer = reader.value("issuer").and_then(|value| issuer(&value, allow_http));
    let audience = reader.text("audience");
    let jwks_url = reader.value("jwksUrl").map(|value| secure(&value, allow_http));
    // As it is written: clients compare it with what they were given.
    let resource = reader.value("resource").map(|value| url(&value).and_then(|_url| value.text()));
    // Two names for one thing, as the reference system has them.
    let private = ["jwksAllowPrivateIp", "protectedResourceAllowPrivateIp"]
        .map(|key| reader.flag(key).unwrap_or(false));
    let ca_bundle = reader.value("caBundlePath").map(|value| file::certificates(&value));
    let scopes = scopes(reader);
    Some(Oidc {
        issuer: issuer?,
        audience: audience?,
        jwks_url: optional(jwks_url)?,
        resource: optional(resource)?,
        scopes,
        allow_private_ip: private.contains(&true),
        allow_http,
        ca_bundle: optional(ca_bundle)?,
    })
}

/// What need not be there, but must be right if it is.
#[expect(clippy::option_option, reason = "absent, wrong and right are three things")]
fn optional<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(None) => None,
        Some(right) => Some(right),
    }
}

fn issuer(value: &Value<'_>, allow_http: bool) -> Option<String> {
    let url = secure(value, allow_http)?;
    if url.query().is_some() {
        value.problem("has a query, which the name of an issuer has not; remove it");
        return None;
    }
    // As it is written: tokens must say the same, to the letter.
    value.text()
}

fn secure(value: &Value<'_>, allow_http: bool) -> Option<Uri> {
    let url = url(value)?;
    if url.scheme_str() != Some("https") && !allow_http {
        value.problem(format!(
            "{} is not an https URL; write it with https, or, where the server has no TLS, set \
             insecureAllowHttp: true",
            value.quoted()
        ));
        return None;
    }
    Some(url)
}

fn url(value: &Value<'_>) -> Option<Uri> {
    url::of_issuer(value)
}

fn scopes(reader: &Reader<'_>) -> Vec<String> {
    if !reader.has("scopes") {
        reader.leave("scopes");
        return vec!["openid".to_owned()];
    }
    let texts = reader.texts("scopes").into_iter();
    texts
        .filter_map(|(value, text)| {
            // RFC 6749, section 3.3.
            let allowed = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
            if !text.chars().all(allowed) {
                value.problem(format!("{} is not a scope", value.quoted()));
                return None;
            }
            Some(text)
        })
        .collect()
}
