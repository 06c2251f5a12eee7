//! What each backend is shown: `outgoingAuth`. No message holds the value of a header or another secret.

#[cfg(feature = "aws")]
mod aws;
#[cfg(not(feature = "aws"))]
#[path = "outgoing/without_aws.rs"]
mod aws;
mod client;
mod grants;

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use vmcp_credentials::{Config as Outgoing, Grant, HeaderFile, RESERVED};
use vmcp_model::BackendId;

use super::{
    backends::Names, file, problem::Problem, reader::Reader, secret, tree::Content, value::Value,
};

/// The strategies of all backends.
pub(super) struct OutgoingAuth {
    default: Outgoing,
    single: BTreeMap<BackendId, Outgoing>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Strategy {
    Unauthenticated,
    HeaderInjection,
    ClientCredentials,
    TokenExchange,
    OnBehalfOf,
    CrossApp,
    AwsSts,
}

/// The keys that can give a header its value.
const SOURCES: [&str; 3] = ["headerValue", "headerValueEnv", "headerValueFile"];

/// Reads the strategies. `has_issuer` says that callers show tokens.
pub(super) fn read(reader: &Reader<'_>, names: &Names, has_issuer: bool) -> OutgoingAuth {
    #[cfg(feature = "kubernetes")]
    reader.choice("source", &[(), ()]);
    #[cfg(not(feature = "kubernetes"))]
    reader.choice("source", &[()]);
    let default = strategy(&reader.section("default"), has_issuer, "each backend that it is for");
    let default = default.unwrap_or(Outgoing::Unauthenticated);
    let is_discovered = reader
        .value("source")
        .is_some_and(|value| matches!(value.text().as_deref(), Some("discovered")));
    if is_discovered
        && default != Outgoing::Unauthenticated
        && let Some(value) = reader.value("default")
    {
        value.warning(
            "is shown to every backend that is found and has no strategy of its own, whoever made its object; leave it at \
             unauthenticated unless all who may make one may have it",
        );
    }
    let mut single = BTreeMap::new();
    for (name, value, section) in reader.named("backends") {
        let id = names.of_key(name, &value);
        if names.is_program(name) {
            value.problem(
                "only takes effect with transport: streamable-http or sse; a program gets its \
                 credentials in env",
            );
        }
        let strategy = strategy(&section, has_issuer, &format!("backend {name}"));
        if let (Some(id), Some(strategy)) = (id, strategy) {
            single.insert(id, strategy);
        }
    }
    OutgoingAuth { default, single }
}

impl OutgoingAuth {
    /// Whether some strategy sets this header.
    pub(super) fn sets(&self, header: &HeaderName) -> bool {
        let mut all = self.single.values().chain([&self.default]);
        all.any(|outgoing| outgoing.sets(header))
    }

    /// What a backend is shown.
    pub(super) fn of(&self, backend: &BackendId) -> Outgoing {
        self.single.get(backend).unwrap_or(&self.default).clone()
    }
}

impl Strategy {
    const ALL: [Self; 7] = [
        Self::Unauthenticated,
        Self::HeaderInjection,
        Self::ClientCredentials,
        Self::TokenExchange,
        Self::OnBehalfOf,
        Self::CrossApp,
        Self::AwsSts,
    ];

    /// Its name, and the key of its section.
    fn names(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Unauthenticated => ("unauthenticated", None),
            Self::HeaderInjection => ("header_injection", Some("headerInjection")),
            Self::ClientCredentials => ("client_credentials", Some("clientCredentials")),
            Self::TokenExchange => ("token_exchange", Some("tokenExchange")),
            Self::OnBehalfOf => ("obo", Some("obo")),
            Self::CrossApp => ("xaa", Some("xaa")),
            Self::AwsSts => ("aws_sts", Some("awsSts")),
        }
    }

    /// Whether callers are shown with what is obtained for their tokens.
    fn is_personal(self) -> bool {
        match self {
            Self::Unauthenticated | Self::HeaderInjection | Self::ClientCredentials => false,
            Self::TokenExchange | Self::OnBehalfOf | Self::CrossApp | Self::AwsSts => true,
        }
    }

    /// Reads what its section says.
    fn read(self, section: &Reader<'_>) -> Option<Outgoing> {
        let token = |grant: Grant| Outgoing::Token(Box::new(grant));
        match self {
            Self::Unauthenticated => Some(Outgoing::Unauthenticated),
            Self::HeaderInjection => header_injection(section),
            Self::ClientCredentials => grants::client_credentials(section).map(token),
            Self::TokenExchange => grants::token_exchange(section).map(token),
            Self::OnBehalfOf => grants::on_behalf_of(section).map(token),
            Self::CrossApp => grants::cross_app(section).map(token),
            Self::AwsSts => aws::assume_role(section),
        }
    }
}

/// Reads a strategy. Who is shown by it is out where it names a variable that is not there.
fn strategy(reader: &Reader<'_>, has_issuer: bool, who: &str) -> Option<Outgoing> {
    let (strategy, lacking) = reader.report.lacking(|| chosen(reader, has_issuer));
    let missing = missing(&lacking, || reader.report.lacking(|| would_set(reader)).0);
    reader.report.warn_of(lacking, &format!("{who} is out until vmcp is started with it"));
    missing.or(strategy)
}

/// The header that a strategy would set if it could be read.
fn would_set(reader: &Reader<'_>) -> Option<HeaderName> {
    match reader.choice("type", &Strategy::ALL)? {
        Strategy::Unauthenticated => None,
        Strategy::HeaderInjection => {
            // As it stands there: what is wrong with it has been reported.
            let section = reader.value("headerInjection")?.entries()?;
            let name = section.iter().find(|entry| entry.key == "headerName")?;
            let Content::Text(name) = &name.node.content else { return None };
            HeaderName::from_bytes(name.as_bytes()).ok()
        }
        Strategy::ClientCredentials
        | Strategy::TokenExchange
        | Strategy::OnBehalfOf
        | Strategy::CrossApp
        | Strategy::AwsSts => Some(http::header::AUTHORIZATION),
    }
}

/// What is shown where variables are not there, if some are.
pub(super) fn missing(
    lacking: &[Problem],
    header: impl FnOnce() -> Option<HeaderName>,
) -> Option<Outgoing> {
    let why = lacking.first()?.text.as_str().into();
    Some(Outgoing::Missing { why, header: header() })
}

fn chosen(reader: &Reader<'_>, has_issuer: bool) -> Option<Outgoing> {
    let chosen = reader.choice("type", &Strategy::ALL);
    for other in Strategy::ALL.into_iter().filter(|other| Some(*other) != chosen) {
        let (name, Some(key)) = other.names() else { continue };
        if let (Some(value), Some(_)) = (reader.value(key), chosen) {
            value.problem(format!("only takes effect with type: {name}"));
        }
    }
    let chosen = chosen?;
    let (name, Some(key)) = chosen.names() else { return Some(Outgoing::Unauthenticated) };
    if !reader.has(key) {
        reader.missing(key, format!("is required for type: {name}"));
    }
    let outgoing = chosen.read(&reader.section(key));
    if chosen.is_personal()
        && !has_issuer
        && let Some(value) = reader.value("type")
    {
        let quoted = value.quoted();
        value.problem(format!(
            "{quoted} needs the token that each caller shows, and incomingAuth takes none; set incomingAuth.type: \
             oidc, or show the backend a token of vmcp's own (type: client_credentials)"
        ));
    }
    outgoing
}

fn header_injection(reader: &Reader<'_>) -> Option<Outgoing> {
    let name = reader.value("headerName").and_then(|value| header_name(&value));
    let [literal, variable, file] = SOURCES.map(|source| reader.value(source));
    let given = SOURCES.iter().filter(|source| reader.has(source)).count();
    if given != 1 {
        if reader.is_present() {
            reader.problem(format!("needs exactly one of {}", SOURCES.join(", ")));
        }
        return None;
    }
    if let Some(value) = file {
        let path = file::checked(&value, |bytes| HeaderFile::value_of(bytes).map(drop))?;
        let value = HeaderFile::value_of(&file::read(&path).ok()?).ok()?;
        return Some(Outgoing::HeaderFile(HeaderFile { name: name?, path, value }));
    }
    let value =
        literal.and_then(|value| from_literal(&value)).or_else(|| from_variable(&variable?));
    Some(Outgoing::Header { name: name?, value: value? })
}

fn header_name(value: &Value<'_>) -> Option<HeaderName> {
    let text = value.text()?;
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        value.problem(format!("{} is not the name of a header", value.quoted()));
        return None;
    };
    if RESERVED.contains(&name) {
        let quoted = value.quoted();
        value.problem(format!("{quoted} belongs to the transport and cannot be set"));
        return None;
    }
    Some(name)
}

fn from_literal(value: &Value<'_>) -> Option<HeaderValue> {
    value.warn_of_shell_variables();
    let text = value.text()?;
    header_value(value, text.as_bytes(), "it")
}

fn from_variable(value: &Value<'_>) -> Option<HeaderValue> {
    let (name, text) = secret::from_variable(value)?;
    header_value(value, text.as_bytes(), &format!("the variable {name}"))
}

/// The value of a header, hidden from whoever prints it for debugging.
pub(super) fn header_value(value: &Value<'_>, bytes: &[u8], what: &str) -> Option<HeaderValue> {
    let Ok(mut header) = HeaderValue::from_bytes(bytes) else {
        value.problem(format!("{what} holds a character that no header may have"));
        return None;
    };
    header.set_sensitive(true);
    Some(header)
}
