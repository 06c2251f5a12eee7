//! How callers prove who they are: `incomingAuth`.

use std::time::Duration;

use http::Uri;
use vmcp_auth::{Client, ClientSecret, Config, Introspection, Oidc, TrustedIssuer};

use crate::compose::ENDPOINT;

use super::{file, pod, reader::Reader, secret, url, value::Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Anonymous,
    Local,
    Oidc,
}

/// Where the secret of the client stands if the file does not say it: as the operator of the reference system
/// sets it, and as the reference system reads it.
const SECRETS: [&str; 2] = ["VMCP_OIDC_CLIENT_SECRET", "TOOLHIVE_OIDC_CLIENT_SECRET"];

/// Anything shorter would be a question with each call.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);

/// Reads how callers prove who they are.
///
/// `public_url` is the URL by which clients reach the server; what is wrong with the one in `root` has been told.
pub(super) fn read(reader: &Reader<'_>, root: &Reader<'_>, public_url: Option<&str>) -> Config {
    let kind = reader.choice("type", &[Kind::Anonymous, Kind::Local, Kind::Oidc]);
    let one = reader.section("oidc");
    let resource = one.value("resource").map(|value| resource(&value, public_url));
    let names_none = resource.is_none();
    let mut issuers = Issuers::default();
    if one.is_present() {
        issuers.read(&one, &SECRETS);
    } else {
        // It is asked for what it has not, as every key must be.
        let _absent = issuer(&one, &SECRETS);
    }
    for more in reader.sections("issuers") {
        issuers.read(&more, &[]);
    }
    let written = [reader.value("oidc"), reader.value("issuers")];
    match kind {
        Some(Kind::Oidc) => match written.iter().flatten().next() {
            None => reader.missing("oidc", "is required for type: oidc, unless issuers names some"),
            Some(value) if issuers.is_complete() && names_none && !root.has("publicUrl") => {
                value.warning(
                    "without a resource, clients are told where to get a token by the host that they ask; behind \
                     a proxy only if it is one of trustedProxies and says what it was asked; set publicUrl",
                );
            }
            Some(_) => {}
        },
        Some(Kind::Anonymous | Kind::Local) => {
            for value in written.iter().flatten() {
                value.problem("only takes effect with type: oidc");
            }
        }
        None => {}
    }
    match (kind, optional(resource)) {
        (Some(Kind::Oidc), Some(resource)) if issuers.is_complete() => {
            Config::Oidc(Box::new(Oidc { issuers: issuers.all, resource }))
        }
        (Some(Kind::Local), _) => Config::Local,
        // Whatever is missing has been reported.
        (Some(Kind::Anonymous | Kind::Oidc) | None, _) => Config::Anonymous,
    }
}

/// The issuers of the file.
#[derive(Default)]
struct Issuers {
    all: Vec<TrustedIssuer>,
    /// Something is wrong with one of them.
    is_broken: bool,
}

impl Issuers {
    fn read(&mut self, reader: &Reader<'_>, secrets: &[&str]) {
        let Some(read) = issuer(reader, secrets) else {
            self.is_broken = true;
            return;
        };
        let is_known = self.all.iter().any(|known| known.issuer == read.issuer);
        if is_known && let Some(value) = reader.value("issuer") {
            value.problem(format!("{} stands there already; keep one of the two", value.quoted()));
            self.is_broken = true;
        }
        self.all.push(read);
    }

    fn is_complete(&self) -> bool {
        !self.is_broken && !self.all.is_empty()
    }
}

/// Reads one issuer. `secrets` are variables that may hold the secret of its client.
fn issuer(reader: &Reader<'_>, secrets: &[&str]) -> Option<TrustedIssuer> {
    let allow_http = reader.flag("insecureAllowHttp").unwrap_or(false);
    let issuer = reader.value("issuer").and_then(|value| name(&value, allow_http));
    let audience = reader.text("audience");
    let jwks_url = reader.value("jwksUrl").map(|value| secure(&value, allow_http));
    let introspection = introspection(reader, allow_http, secrets);
    // Two names for one thing, as the reference system has them.
    let private = ["jwksAllowPrivateIp", "protectedResourceAllowPrivateIp"]
        .map(|key| reader.flag(key).unwrap_or(false));
    let ca_bundle = reader.value("caBundlePath").map(|value| file::certificates(&value));
    let required_scopes = scopes(reader, "requiredScopes");
    let scopes = if reader.has("scopes") {
        scopes(reader, "scopes")
    } else {
        reader.leave("scopes");
        vec!["openid".to_owned()]
    };
    let issuer = issuer?;
    Some(TrustedIssuer {
        account: pod::account(&issuer, &|name| reader.variable(name)),
        issuer,
        audience: audience?,
        jwks_url: optional(jwks_url)?,
        introspection: optional(introspection)?,
        scopes,
        required_scopes,
        allow_private_ip: private.contains(&true),
        allow_http,
        ca_bundle: optional(ca_bundle)?,
    })
}

/// Reads how it is asked about tokens, if it is.
#[expect(clippy::option_option, reason = "absent, wrong and right are three things")]
fn introspection(
    reader: &Reader<'_>,
    allow_http: bool,
    secrets: &[&str],
) -> Option<Option<Introspection>> {
    let interval = reader.time("introspectionInterval");
    let Some(url) = reader.value("introspectionUrl") else {
        for name in ["introspectionInterval", "clientId", "clientSecretEnv", "clientSecretFile"] {
            reader.leave(name);
            let Some(value) = reader.value(name) else { continue };
            if name.starts_with("client") {
                // Files of the reference system have them anyway.
                value.warning(
                    "has no effect without introspectionUrl: JWTs are checked with the issuer's keys, and it is \
                     asked about no token",
                );
            } else {
                value.problem("only takes effect with introspectionUrl");
            }
        }
        return None;
    };
    let is_too_short = interval < LEAST_INTERVAL;
    if is_too_short && let Some(value) = reader.value("introspectionInterval") {
        value.problem("is less than 1s");
    }
    let client = client(reader, secrets);
    let url = secure(&url, allow_http);
    Some(url.filter(|_| !is_too_short).map(|url| Introspection { url, client, interval }))
}

fn client(reader: &Reader<'_>, secrets: &[&str]) -> Option<Client> {
    const KEYS: [&str; 2] = ["clientSecretEnv", "clientSecretFile"];
    let id = reader.text("clientId");
    if id.is_none()
        && !reader.has("clientId")
        && let Some(value) = KEYS.iter().find_map(|key| reader.value(key))
    {
        value.problem("needs clientId beside it");
    }
    let others = if id.is_some() { secrets } else { &[] };
    let secret = secret::named(reader, KEYS, others).map(|secret| match secret {
        secret::Named::Text(text) => text.into(),
        secret::Named::Kept(path, kept) => ClientSecret::kept(&path, move || kept.now()),
    });
    Some(Client { id: id?, secret })
}

/// What need not be there, but must be right if it is.
#[expect(clippy::option_option, reason = "absent, wrong and right are three things")]
pub(super) fn optional<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(None) => None,
        Some(right) => Some(right),
    }
}

/// As it is written: clients compare it with what they were given.
fn resource(value: &Value<'_>, public_url: Option<&str>) -> Option<String> {
    let url = url(value)?;
    if let Some(public) = public_url.map(|public| format!("{public}{ENDPOINT}"))
        && let Ok(endpoint) = public.parse::<Uri>()
    {
        let host = |url: &Uri| url.host().map(str::to_ascii_lowercase);
        let path = |url: &Uri| url.path().trim_end_matches('/').to_owned();
        if host(&url) != host(&endpoint) || path(&url) != path(&endpoint) {
            value.warning(format!(
                "names another host or path than publicUrl, by which the endpoint is {public}: clients refuse \
                 a resource that is not what they were given; leave it out, or correct one of the two"
            ));
        }
    }
    value.text()
}

fn name(value: &Value<'_>, allow_http: bool) -> Option<String> {
    let url = secure(value, allow_http)?;
    if url.query().is_some() {
        value.problem("has a query, which the name of an issuer has not; remove it");
        return None;
    }
    // As it is written: tokens must say the same, to the letter.
    value.text()
}

fn secure(value: &Value<'_>, allow_http: bool) -> Option<Uri> {
    url::secure(value, ("insecureAllowHttp", allow_http))
}

fn url(value: &Value<'_>) -> Option<Uri> {
    url::of_issuer(value)
}

fn scopes(reader: &Reader<'_>, key: &str) -> Vec<String> {
    let texts = reader.texts(key).into_iter();
    texts.filter_map(|(value, text)| scope(&value, text)).collect()
}

/// A scope (RFC 6749, section 3.3).
pub(super) fn scope(value: &Value<'_>, text: String) -> Option<String> {
    let allowed = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
    if !text.chars().all(allowed) {
        value.problem(format!("{} is not a scope", value.quoted()));
        return None;
    }
    Some(text)
}
