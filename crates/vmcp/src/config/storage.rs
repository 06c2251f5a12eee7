//! Where session records live: `sessionStorage`.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::uri::Authority;
use vmcp_store::{Address, KeyRing, Servers, Settings, Tls, Validation};

use super::{file, reader::Reader, secret, value::Value};

/// Keys that mean something with Redis only.
const REDIS_ONLY: [&str; 15] = [
    "address",
    "sentinel",
    "cluster",
    "db",
    "keyPrefix",
    "username",
    "passwordEnv",
    "passwordFile",
    "tls",
    "dialTimeout",
    "commandTimeout",
    "validation",
    "maxStaleness",
    "keysEnv",
    "keysFile",
];

const PREFIX: &str = "thv:vmcp:session:";
const PASSWORD: &str = "THV_SESSION_REDIS_PASSWORD";
const KEYS: &str = "VMCP_SESSION_HMAC_SECRET";

/// Bytes of one key.
const KEY: usize = 32;

/// Reads the settings of Redis; `None` if records live in this process.
pub(super) fn read(reader: &Reader<'_>) -> Option<Settings> {
    match reader.choice("provider", &[false, true]) {
        Some(true) => redis(reader),
        provider => {
            for name in REDIS_ONLY {
                reader.leave(name);
                if provider.is_some()
                    && let Some(value) = reader.value(name)
                {
                    value.problem("only takes effect with provider: redis");
                }
            }
            None
        }
    }
}

fn redis(reader: &Reader<'_>) -> Option<Settings> {
    let servers = servers(reader);
    let (db, username) = (reader.count("db"), reader.text("username"));
    let (password, keys) = (password(reader, Some(PASSWORD)), keys(reader));
    let (tls, prefix) = (tls(&reader.section("tls")), prefix(reader));
    let (dial_timeout, command_timeout) =
        (reader.time("dialTimeout"), reader.time("commandTimeout"));
    Some(Settings {
        validation: validation(reader),
        servers: servers?,
        db: u32::try_from(db).unwrap_or(u32::MAX),
        username,
        password,
        tls,
        prefix,
        dial_timeout,
        command_timeout,
        keys,
    })
}

fn validation(reader: &Reader<'_>) -> Validation {
    let (bus, max_staleness) =
        (reader.choice("validation", &[true, false]), reader.time("maxStaleness"));
    if bus != Some(false) {
        return Validation::Bus { max_staleness };
    }
    if let Some(value) = reader.value("maxStaleness") {
        value.problem("only takes effect with validation: bus");
    }
    Validation::PerRequest
}

/// Exactly one of the three ways to name servers.
fn servers(reader: &Reader<'_>) -> Option<Servers> {
    let given = ["address", "sentinel", "cluster"].into_iter().filter(|name| reader.has(name));
    let given = given.collect::<Vec<_>>();
    let single = reader.value("address").and_then(|value| address(&value)).map(Servers::Single);
    let sentinel = reader.section("sentinel");
    let sentinels = addresses(&sentinel);
    let master = sentinel.text("master");
    let (username, password) = (sentinel.text("username"), password(&sentinel, None));
    let cluster = addresses(&reader.section("cluster"));
    match given[..] {
        ["address"] => single,
        ["sentinel"] => {
            Some(Servers::Sentinel { sentinels: sentinels?, master: master?, username, password })
        }
        ["cluster"] => {
            if let Some(value) = reader.value("db") {
                value.problem("a cluster has no other database than 0; remove it");
            }
            cluster.map(Servers::Cluster)
        }
        _ => {
            reader.problem("needs exactly one of address, sentinel, cluster");
            None
        }
    }
}

fn addresses(reader: &Reader<'_>) -> Option<Vec<Address>> {
    let texts = reader.items("addresses");
    if reader.has("addresses") && texts.is_empty() {
        reader.missing("addresses", "must list at least one");
    }
    texts.iter().map(address).collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())
}

fn address(value: &Value<'_>) -> Option<Address> {
    let text = value.text()?;
    let parsed = text.parse::<Authority>().ok().filter(|_| !text.contains('@'));
    let address = parsed.and_then(|authority| {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Address { host, port: authority.port_u16()? }).filter(|found| !found.host.is_empty())
    });
    if address.is_none() {
        let quoted = value.quoted();
        value.problem(format!("{quoted} is not host:port; write for example redis.internal:6379"));
    }
    address
}

/// The password, if any. `fallback` is a variable that is looked into if the file names nothing.
fn password(reader: &Reader<'_>, fallback: Option<&str>) -> Option<String> {
    let (variable, file) = (reader.value("passwordEnv"), reader.value("passwordFile"));
    match (variable, file) {
        (Some(_), Some(file)) => {
            file.problem("stands beside passwordEnv; keep one of them");
            None
        }
        (Some(variable), None) => secret::from_variable(&variable).map(|(_, text)| text),
        (None, Some(file)) => {
            let text = String::from_utf8(secret::from_file(&file)?).ok();
            if text.is_none() {
                file.problem(format!("{} does not hold text", file.quoted()));
            }
            text
        }
        (None, None) => reader.variable(fallback?).filter(|text| !text.is_empty()),
    }
}

fn prefix(reader: &Reader<'_>) -> String {
    let Some(value) = reader.value("keyPrefix") else { return PREFIX.to_owned() };
    let text = value.text().unwrap_or_default();
    if !text.is_empty() && !text.ends_with(':') {
        value.problem(format!("{} must end with a colon", value.quoted()));
    }
    text
}

fn tls(reader: &Reader<'_>) -> Option<Tls> {
    let (enabled, bundle) = (reader.flag("enabled"), reader.value("caBundlePath"));
    if !reader.is_present() {
        return None;
    }
    if enabled == Some(false) {
        if let Some(bundle) = bundle {
            bundle.problem("only takes effect with enabled: true");
        }
        return None;
    }
    let authorities = match bundle {
        Some(bundle) => Some(file::referenced(&bundle)?),
        None => None,
    };
    Some(Tls { authorities })
}

fn keys(reader: &Reader<'_>) -> Option<KeyRing> {
    let (variable, file) = (reader.value("keysEnv"), reader.value("keysFile"));
    let text = match (&variable, &file) {
        (Some(_), Some(file)) => {
            file.problem("stands beside keysEnv; keep one of them");
            return None;
        }
        (Some(variable), None) => secret::from_variable(variable)?.1,
        (None, Some(file)) => String::from_utf8(secret::from_file(file)?).unwrap_or_default(),
        (None, None) => reader.variable(KEYS).filter(|text| !text.is_empty())?,
    };
    let keys = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| {
        BASE64_STANDARD.decode(line).ok().and_then(|key| <[u8; KEY]>::try_from(key).ok())
    });
    let ring = keys.collect::<Option<Vec<_>>>().and_then(KeyRing::of);
    if ring.is_none() {
        let what = "does not hold keys: one line of 32 bytes in Base64 for each, as `openssl rand -base64 32` makes them";
        match variable.or(file) {
            Some(value) => value.problem(what),
            None => reader.problem(format!("the environment variable {KEYS} {what}")),
        }
    }
    ring
}
