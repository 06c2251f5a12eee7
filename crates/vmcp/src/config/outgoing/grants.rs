//! Where tokens for backends come from.

use std::sync::Arc;

use http::Uri;
use vmcp_credentials::{CrossApp, Grant, TokenEndpoint, TokenExchange, TokenType, Wanted};

use super::{
    super::{
        addresses::is_loopback,
        file,
        incoming::{optional, scope},
        reader::Reader,
        url,
    },
    client::{self, CLIENT_AT_PROVIDER, CLIENT_AT_TARGET, Way, optional_text},
};

/// Where tenants of Entra are, if nothing is said of that.
const AUTHORITY: &str = "https://login.microsoftonline.com";

/// The words of the table for types of tokens, each twice.
const TOKEN_TYPES: [TokenType; 6] = [
    TokenType::AccessToken,
    TokenType::IdToken,
    TokenType::Jwt,
    TokenType::AccessToken,
    TokenType::IdToken,
    TokenType::Jwt,
];

pub(super) fn client_credentials(reader: &Reader<'_>) -> Option<Grant> {
    let url = token_url(reader, "tokenUrl");
    let client = client::of(reader, true, Way::Basic);
    let (wanted, ca_bundle) = (wanted(reader), ca_bundle(reader));
    let endpoint = TokenEndpoint { url: url?, client: client?, ca_bundle: ca_bundle? };
    Some(Grant::ClientCredentials { endpoint, wanted: wanted? })
}

pub(super) fn token_exchange(reader: &Reader<'_>) -> Option<Grant> {
    let url = token_url(reader, "tokenUrl");
    let client = client::of(reader, false, Way::Basic);
    let (wanted, ca_bundle) = (wanted(reader), ca_bundle(reader));
    let [subject, requested] = ["subjectTokenType", "requestedTokenType"]
        .map(|key| reader.choice(key, &TOKEN_TYPES).unwrap_or(TokenType::AccessToken));
    let endpoint = TokenEndpoint { url: url?, client: client?, ca_bundle: ca_bundle? };
    Some(Grant::TokenExchange(TokenExchange {
        endpoint,
        wanted: wanted?,
        subject_token_type: subject,
        requested_token_type: requested,
    }))
}

pub(super) fn on_behalf_of(reader: &Reader<'_>) -> Option<Grant> {
    let url = url_of_tenant(reader);
    let client = client::of(reader, true, Way::Post);
    let (scopes, ca_bundle) = (scopes(reader), ca_bundle(reader));
    let audience = optional_text(reader, "audience");
    let has_scopes = reader.value("scopes").is_some_and(|value| !value.is_bare());
    if reader.is_present() && reader.has("audience") == has_scopes {
        reader.problem("needs exactly one of scopes, audience");
        return None;
    }
    let scopes = match audience? {
        Some(audience) => vec![format!("{}/.default", audience.trim_end_matches('/'))],
        None => scopes,
    };
    let endpoint = TokenEndpoint { url: url?, client: client?, ca_bundle: ca_bundle? };
    Some(Grant::OnBehalfOf { endpoint, scopes })
}

pub(super) fn cross_app(reader: &Reader<'_>) -> Option<Grant> {
    let provider = token_url(reader, "idpTokenUrl");
    let may_be_insecure = reader.flag("insecureTargetTokenUrl").unwrap_or(false);
    let target = reader
        .value("targetTokenUrl")
        .and_then(|value| url::secure(&value, ("insecureTargetTokenUrl", may_be_insecure)));
    let at_provider = client::with_secret(reader, &CLIENT_AT_PROVIDER);
    let at_target = client::with_secret(reader, &CLIENT_AT_TARGET);
    let (audience, resource) = (reader.text("targetAudience"), resource(reader, "targetResource"));
    let (scopes, ca_bundle) = (scopes(reader), ca_bundle(reader));
    reader.choice("subjectTokenType", &[(), ()]);
    let ca_bundle = ca_bundle?;
    Some(Grant::CrossApp(CrossApp {
        provider: TokenEndpoint {
            url: provider?,
            client: at_provider?,
            ca_bundle: ca_bundle.clone(),
        },
        target: TokenEndpoint { url: target?, client: at_target?, ca_bundle },
        audience: audience?,
        resource: resource?,
        scopes,
    }))
}

pub(super) fn token_url(reader: &Reader<'_>, key: &str) -> Option<Uri> {
    let value = reader.value(key)?;
    let url = url::of_issuer(&value)?;
    if url.scheme_str() != Some("https") && !is_loopback(&url) {
        value.warning(format!(
            "{} is not an https URL: whoever is on the way can read the tokens that it gives, and what proves who \
             vmcp is",
            value.quoted()
        ));
    }
    Some(url)
}

/// The token endpoint of Entra, as it is, or by the tenant.
fn url_of_tenant(reader: &Reader<'_>) -> Option<Uri> {
    let url = token_url(reader, "tokenUrl");
    let (tenant, authority) = (reader.value("tenantId"), reader.value("authority"));
    if reader.is_present() && reader.has("tokenUrl") == tenant.is_some() {
        reader.problem("needs exactly one of tokenUrl, tenantId");
        return None;
    }
    if let (None, Some(value)) = (&tenant, &authority) {
        value.problem("only takes effect with tenantId");
    }
    let Some(tenant) = tenant else { return url };
    let base = match &authority {
        Some(value) => {
            let url = url::of_base(value)?;
            if url.scheme_str() != Some("https") && !is_loopback(&url) {
                value.problem(format!(
                    "{} is not an https URL; write it with https",
                    value.quoted()
                ));
                return None;
            }
            value.text()?
        }
        None => AUTHORITY.to_owned(),
    };
    let name = tenant.text()?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let url = format!("{}/{name}/oauth2/v2.0/token", base.trim_end_matches('/'));
    let url = url.parse().ok().filter(|_url| name.chars().all(is_name));
    if url.is_none() {
        let quoted = tenant.quoted();
        tenant.problem(format!("{quoted} is neither the ID of a tenant nor a domain"));
    }
    url
}

fn wanted(reader: &Reader<'_>) -> Option<Wanted> {
    let scopes = scopes(reader);
    let audience = optional_text(reader, "audience");
    let resource = resource(reader, "resource");
    Some(Wanted { scopes, audience: audience?, resource: resource? })
}

fn scopes(reader: &Reader<'_>) -> Vec<String> {
    reader.texts("scopes").into_iter().filter_map(|(value, text)| scope(&value, text)).collect()
}

/// A resource as it is written: others compare it with their own. It is an absolute URI without a fragment, of
/// whatever scheme (RFC 8707, section 2).
#[expect(clippy::option_option, reason = "absent, wrong and right are three things")]
fn resource(reader: &Reader<'_>, key: &str) -> Option<Option<String>> {
    optional(reader.value(key).map(|value| {
        let text = value.text()?;
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c));
        let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        if is_web || !is_scheme || text.contains('#') {
            url::of_issuer(&value)?;
        }
        Some(text)
    }))
}

#[expect(clippy::option_option, reason = "absent, wrong and right are three things")]
pub(super) fn ca_bundle(reader: &Reader<'_>) -> Option<Option<Arc<[u8]>>> {
    optional(reader.value("caBundlePath").map(|value| file::certificates(&value)))
}
