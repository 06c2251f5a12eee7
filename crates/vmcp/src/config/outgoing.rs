//! What each backend is shown: `outgoingAuth`. No message holds the value of a header.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use vmcp_backend::Outgoing;
use vmcp_model::BackendId;

use super::{backends::Names, reader::Reader, secret, value::Value};

/// The strategies of all backends.
pub(super) struct OutgoingAuth {
    default: Outgoing,
    single: BTreeMap<BackendId, Outgoing>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Strategy {
    Unauthenticated,
    HeaderInjection,
}

/// The keys that can give a header its value.
const SOURCES: [&str; 3] = ["headerValue", "headerValueEnv", "headerValueFile"];

/// Reads the strategies.
pub(super) fn read(reader: &Reader<'_>, names: &Names) -> OutgoingAuth {
    reader.choice("source", &[()]);
    let default = strategy(&reader.section("default")).unwrap_or(Outgoing::Unauthenticated);
    let mut single = BTreeMap::new();
    for (name, value, section) in reader.named("backends") {
        let id = names.of_key(name, &value);
        if names.is_program(name) {
            value.problem(
                "only takes effect with transport: streamable-http or sse; a program gets its \
                 credentials in env",
            );
        }
        if let (Some(id), Some(strategy)) = (id, strategy(&section)) {
            single.insert(id, strategy);
        }
    }
    OutgoingAuth { default, single }
}

impl OutgoingAuth {
    /// What a backend is shown.
    pub(super) fn of(&self, backend: &BackendId) -> Outgoing {
        self.single.get(backend).unwrap_or(&self.default).clone()
    }
}

fn strategy(reader: &Reader<'_>) -> Option<Outgoing> {
    let strategy = reader.choice("type", &[Strategy::Unauthenticated, Strategy::HeaderInjection]);
    let injection = header_injection(&reader.section("headerInjection"));
    match strategy? {
        Strategy::Unauthenticated => {
            if let Some(value) = reader.value("headerInjection") {
                value.problem("only takes effect with type: header_injection");
            }
            Some(Outgoing::Unauthenticated)
        }
        Strategy::HeaderInjection => {
            if !reader.has("headerInjection") {
                reader.missing("headerInjection", "is required for type: header_injection");
            }
            injection
        }
    }
}

fn header_injection(reader: &Reader<'_>) -> Option<Outgoing> {
    let name = reader.value("headerName").and_then(|value| header_name(&value));
    let (literal, variable, file) =
        (reader.value(SOURCES[0]), reader.value(SOURCES[1]), reader.value(SOURCES[2]));
    let given = SOURCES.iter().filter(|source| reader.has(source)).count();
    if given != 1 {
        if reader.is_present() {
            reader.problem(format!("needs exactly one of {}", SOURCES.join(", ")));
        }
        return None;
    }
    let value = literal
        .and_then(|value| from_literal(&value))
        .or_else(|| from_variable(&variable?))
        .or_else(|| from_file(&file?));
    Some(Outgoing::Header { name: name?, value: value? })
}

fn header_name(value: &Value<'_>) -> Option<HeaderName> {
    let text = value.text()?;
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        value.problem(format!("{} is not the name of a header", value.quoted()));
        return None;
    };
    if Outgoing::RESERVED.contains(&name) {
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

fn from_file(value: &Value<'_>) -> Option<HeaderValue> {
    header_value(value, &secret::from_file(value)?, value.quoted().as_str())
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
