//! What there is for operators: `admin`.

use std::{net::SocketAddr, path::PathBuf};

use vmcp_auth::{OperatorAuth, Roles, token_in};

use super::{Admin, file, reader::Reader, value::Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Token,
    Oidc,
}

/// Where a token says what roles its subject has, unless the file says it.
const ROLES: &str = "roles";

/// Reads where operators are listened to, and how they prove who they are. `has_issuer` says that callers show
/// tokens of an issuer, and `is_reached` that others may address requests to this machine.
pub(super) fn read(reader: &Reader<'_>, has_issuer: bool, is_reached: bool) -> Admin {
    let auth = auth(&reader.section("auth"), has_issuer);
    let admin = Admin { listen: address(reader, "listen"), auth };
    if admin.listen.is_some_and(|address| !address.ip().is_loopback())
        && let Some(value) = reader.value("listen")
    {
        if admin.auth == OperatorAuth::None {
            value.warning(
                "listens beyond this machine, and requests of other machines for /status are refused (403) \
                 unless operators prove who they are; set admin.auth.type to token or oidc",
            );
        } else if !is_reached {
            value.warning(
                "listens beyond this machine, and requests of other machines for /status are refused (403), \
                 as allowedHosts has no name by which they could ask; add the names or addresses that they use",
            );
        }
    }
    admin
}

/// The IP address and port that a key holds.
pub(super) fn address(reader: &Reader<'_>, name: &str) -> Option<SocketAddr> {
    let value = reader.value(name)?;
    let address = value.text()?.parse().ok();
    if address.is_none() {
        let quoted = value.quoted();
        value.problem(format!("{quoted} is not an IP address and port; write 127.0.0.1:9090"));
    }
    address
}

fn auth(reader: &Reader<'_>, has_issuer: bool) -> OperatorAuth {
    let kind = reader.choice("type", &[Kind::None, Kind::Token, Kind::Oidc]);
    for (name, of, word) in [
        ("tokenFile", Kind::Token, "token"),
        ("roles", Kind::Oidc, "oidc"),
        ("rolesClaim", Kind::Oidc, "oidc"),
    ] {
        reader.leave(name);
        if kind.is_some_and(|kind| kind != of)
            && let Some(value) = reader.value(name)
        {
            value.problem(format!("only takes effect with type: {word}"));
        }
    }
    match kind {
        Some(Kind::Token) => {
            OperatorAuth::Token(reader.value("tokenFile").and_then(|value| token_file(&value)))
        }
        Some(Kind::Oidc) => {
            if !has_issuer && let Some(value) = reader.value("type") {
                value.problem(
                    "takes the tokens that incomingAuth takes, and that takes none; set incomingAuth.type: oidc, \
                     or write type: token",
                );
            }
            OperatorAuth::Oidc(roles(reader))
        }
        Some(Kind::None) | None => OperatorAuth::None,
    }
}

/// The file is read again whenever an operator asks, so that the token can be exchanged.
fn token_file(value: &Value<'_>) -> Option<PathBuf> {
    file::checked(value, |bytes| token_in(bytes).map(drop))
}

fn roles(reader: &Reader<'_>) -> Roles {
    let any_of: Vec<_> = reader.texts("roles").into_iter().map(|(_, text)| text).collect();
    match reader.value("roles") {
        None => reader.missing("roles", "is required for type: oidc"),
        Some(value) if value.is_bare() => value.problem("is empty; list at least one role"),
        Some(_) => {}
    }
    let claim = reader.text("rolesClaim");
    if let Some(claim) = &claim
        && claim.split('.').any(str::is_empty)
        && let Some(value) = reader.value("rolesClaim")
    {
        value.problem(format!(
            "{} has an empty name in it; write names with one dot between them, such as realm_access.roles",
            value.quoted()
        ));
    }
    let claim = claim.unwrap_or_else(|| ROLES.to_owned());
    Roles { claim, any_of }
}
