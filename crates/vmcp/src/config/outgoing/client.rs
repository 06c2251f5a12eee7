//! Who vmcp is at a token endpoint, and how it proves that.

use vmcp_credentials::{Client, ClientProof, SigningKey};
use vmcp_model::Secret;

use super::super::{file, incoming::optional, reader::Reader, secret, value::Value};

/// The keys that say who vmcp is and hold the secret that proves it.
pub(super) struct Keys {
    id: &'static str,
    secrets: [&'static str; 3],
}

pub(super) const CLIENT: Keys =
    Keys { id: "clientId", secrets: ["clientSecret", "clientSecretEnv", "clientSecretFile"] };
pub(super) const CLIENT_AT_PROVIDER: Keys = Keys {
    id: "idpClientId",
    secrets: ["idpClientSecret", "idpClientSecretEnv", "idpClientSecretFile"],
};
pub(super) const CLIENT_AT_TARGET: Keys = Keys {
    id: "targetClientId",
    secrets: ["targetClientSecret", "targetClientSecretEnv", "targetClientSecretFile"],
};

/// The keys that hold a private key.
const PRIVATE_KEYS: [&str; 2] = ["privateKeyFile", "privateKeyEnv"];

/// How the secret is sent.
#[derive(Clone, Copy)]
pub(super) enum Way {
    Basic,
    Post,
}

/// Reads a client that has a secret, or none.
pub(super) fn with_secret(reader: &Reader<'_>, keys: &Keys) -> Option<Client> {
    let Keys { id, secrets } = keys;
    let (client, secret) = (optional_text(reader, id), secret_of(reader, secrets));
    only_one_of(reader, secrets);
    needs_id(reader, id, secrets);
    let proof = secret?.map_or(ClientProof::None, ClientProof::Basic);
    Some(Client { id: client?, proof })
}

/// Reads a client that has a secret, a private key, or none of both. `must_prove` says that it needs one;
/// `way` how a secret is sent if nothing is said of that.
pub(super) fn of(reader: &Reader<'_>, must_prove: bool, way: Way) -> Option<Client> {
    let Keys { id, secrets } = CLIENT;
    let proofs: Vec<_> = secrets.into_iter().chain(PRIVATE_KEYS).collect();
    let client = optional_text(reader, id);
    let (secret, key) = (secret_of(reader, &secrets), private_key(reader));
    let chosen = reader.choice("clientAuth", &[Way::Basic, Way::Post]);
    let has_secret = secrets.iter().any(|key| reader.has(key));
    if let (false, Some(value)) = (has_secret, reader.value("clientAuth")) {
        value.problem(format!("only takes effect with one of {}", secrets.join(", ")));
    }
    let given = proofs.iter().filter(|key| reader.has(key)).count();
    if must_prove && given != 1 {
        if reader.is_present() {
            reader.problem(format!("needs exactly one of {}", proofs.join(", ")));
        }
        return None;
    }
    only_one_of(reader, &proofs);
    if !must_prove {
        needs_id(reader, id, &proofs);
    }
    let proof = match (secret?, key?) {
        (Some(secret), _) => match chosen.unwrap_or(way) {
            Way::Basic => ClientProof::Basic(secret),
            Way::Post => ClientProof::Post(secret),
        },
        (None, Some(key)) => ClientProof::Key(key),
        (None, None) => ClientProof::None,
    };
    Some(Client { id: client?, proof })
}

/// A text that need not be there, but must be right if it is.
#[expect(clippy::option_option, reason = "absent, wrong and right are three things")]
pub(super) fn optional_text(reader: &Reader<'_>, key: &str) -> Option<Option<String>> {
    optional(reader.value(key).map(|value| value.text()))
}

fn only_one_of(reader: &Reader<'_>, keys: &[&str]) {
    if keys.iter().filter(|key| reader.has(key)).count() > 1 {
        reader.problem(format!("takes only one of {}", keys.join(", ")));
    }
}

fn needs_id(reader: &Reader<'_>, id: &str, proofs: &[&str]) {
    let proof = proofs.iter().find(|key| reader.has(key));
    if let (Some(proof), false) = (proof, reader.has(id)) {
        reader.missing(id, format!("is required with {proof}: it proves nothing without"));
    }
}

#[expect(clippy::option_option, reason = "absent, wrong and right are three things")]
fn secret_of(reader: &Reader<'_>, keys: &[&str; 3]) -> Option<Option<Secret>> {
    let [literal, variable, file] = keys.map(|key| reader.value(key));
    let literal = literal.map(|value| {
        value.warn_of_shell_variables();
        value.text()
    });
    let variable = variable.map(|value| Some(secret::from_variable(&value)?.1));
    let file = file.map(|value| text_of_file(&value));
    Some(optional(literal.or(variable).or(file))?.map(Secret::new))
}

fn text_of_file(value: &Value<'_>) -> Option<String> {
    let text = String::from_utf8(secret::from_file(value)?);
    text.map_err(|_error| value.problem(format!("{} does not hold text", value.quoted()))).ok()
}

#[expect(clippy::option_option, reason = "absent, wrong and right are three things")]
fn private_key(reader: &Reader<'_>) -> Option<Option<SigningKey>> {
    let [file, variable] = PRIVATE_KEYS.map(|key| reader.value(key));
    let certificate = certificate(reader);
    let id = reader.value("keyId");
    let has_key = file.is_some() || variable.is_some();
    for value in [&id, &certificate].into_iter().flatten().filter(|_| !has_key) {
        value.problem(format!("only takes effect with {}", PRIVATE_KEYS.join(" or ")));
    }
    let id = optional(id.map(|value| value.text()));
    let certificate = optional(certificate.map(|value| file::certificates(&value)));
    let (value, pem, what) = match (file, variable) {
        (Some(value), _) => {
            let pem = file::referenced(&value)?;
            let what = value.quoted();
            (value, pem, what)
        }
        (None, Some(value)) => {
            let (name, text) = secret::from_variable(&value)?;
            (value, text.into_bytes(), format!("the variable {name}"))
        }
        (None, None) => return Some(None),
    };
    let key = SigningKey::from_pem(&pem, id?.as_deref(), certificate?.as_deref());
    key.map_err(|why| value.problem(format!("{what} {why}"))).ok().map(Some)
}

/// Where a section has a certificate for its key.
fn certificate<'a>(reader: &Reader<'a>) -> Option<Value<'a>> {
    reader.knows("certificateFile").then(|| reader.value("certificateFile")).flatten()
}
