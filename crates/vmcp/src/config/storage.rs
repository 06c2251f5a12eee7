//! Where session records live: `sessionStorage`.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::uri::Authority;
use vmcp_store::{Address, KeyRing, Password, Servers, Settings, Tls, Validation};

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

/// The least `maxStaleness`: heartbeats are four times as frequent.
const LEAST_STALENESS: Duration = Duration::from_millis(100);

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
    let (db, keys) = (reader.count("db"), keys(reader));
    let (username, password) = login(reader, Some(PASSWORD));
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
    let problem = |text| {
        if let Some(value) = reader.value("maxStaleness") {
            value.problem(text);
        }
    };
    if bus == Some(false) {
        problem("only takes effect with validation: bus");
        return Validation::PerRequest;
    }
    if max_staleness < LEAST_STALENESS {
        problem("is less than 100ms; if sessions must end at once, use validation: perRequest");
    }
    Validation::Bus { max_staleness }
}

/// The secrets by which sessions are kept, as they are now: their keys and the passwords of the store, those too that
/// the environment holds and nothing uses.
#[cfg(feature = "kubernetes")]
pub(crate) fn own_secrets(
    storage: Option<&Settings>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Vec<String> {
    let handed = [KEYS, PASSWORD].into_iter().filter_map(environment);
    let of_sentinel = storage.and_then(|settings| match &settings.servers {
        Servers::Sentinel { password, .. } => password.as_ref(),
        Servers::Single(_) | Servers::Cluster(_) => None,
    });
    let password = storage.and_then(|settings| settings.password.as_ref());
    let passwords = password.into_iter().chain(of_sentinel).map(Password::now);
    let ring = storage.and_then(|settings| settings.keys.as_ref());
    let keys = ring.into_iter().flat_map(KeyRing::all);
    let keys = keys.map(|key| BASE64_STANDARD.encode(key.secret));
    handed.chain(passwords).chain(keys).collect()
}

/// Exactly one of the three ways to name servers.
fn servers(reader: &Reader<'_>) -> Option<Servers> {
    let given = ["address", "sentinel", "cluster"].into_iter().filter(|name| reader.has(name));
    let given = given.collect::<Vec<_>>();
    let single = reader.value("address").and_then(|value| address(&value)).map(Servers::Single);
    let sentinel = reader.section("sentinel");
    let sentinels = addresses(&sentinel);
    let master = sentinel.text("master");
    let (username, password) = login(&sentinel, None);
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
        [] => {
            reader.problem("does not say where Redis is: set one of address, sentinel, cluster");
            None
        }
        [first, ..] => {
            for name in &given[1..] {
                if let Some(value) = reader.value(name) {
                    value.problem(format!("stands beside {first}; keep one of them"));
                }
            }
            None
        }
    }
}

fn addresses(reader: &Reader<'_>) -> Option<Vec<Address>> {
    let values = reader.items("addresses");
    if let Some(value) = reader.value("addresses")
        && value.is_bare()
    {
        value.problem("is empty; list at least one host:port");
    }
    // All are read, so that everything wrong is told at once.
    let read: Vec<_> = values.iter().map(address).collect();
    read.into_iter().collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())
}

fn address(value: &Value<'_>) -> Option<Address> {
    let text = value.text()?;
    let wrong = "is not host:port; write for example redis.internal:6379";
    if text.contains('@') {
        // What stands before it may be a password.
        value.problem(format!(
            "{wrong}, and give credentials by username, passwordEnv or passwordFile"
        ));
        return None;
    }
    let address = text.parse::<Authority>().ok().and_then(|authority| {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().filter(|port| *port > 0)?;
        Some(Address { host, port }).filter(|found| !found.host.is_empty())
    });
    if address.is_none() {
        value.problem(format!("{} {wrong}", value.quoted()));
    }
    address
}

/// The user and the password, if any.
fn login(reader: &Reader<'_>, fallback: Option<&str>) -> (Option<String>, Option<Password>) {
    let (username, password) = (reader.text("username"), password(reader, fallback));
    let named = ["passwordEnv", "passwordFile"].iter().any(|name| reader.has(name));
    if password.is_none()
        && !named
        && let Some(value) = reader.value("username")
    {
        let or = fallback.map(|name| format!(", or the environment variable {name}"));
        let or = or.unwrap_or_default();
        let text = format!("needs a password: set passwordEnv or passwordFile{or}");
        // The variable that need not be named can be elsewhere, too.
        if fallback.is_some() { value.not_here(text) } else { value.problem(text) }
    }
    (username, password)
}

/// The password, if any. `fallback` is a variable that is looked into if the file names nothing.
fn password(reader: &Reader<'_>, fallback: Option<&str>) -> Option<Password> {
    match secret::named(reader, ["passwordEnv", "passwordFile"], fallback.as_slice())? {
        secret::Named::Text(text) => Some(text.into()),
        secret::Named::Kept(path, kept) => Some(Password::kept(&path, move || kept.now())),
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
        Some(bundle) => Some(file::certificates(&bundle)?.to_vec()),
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
        match (variable, file) {
            (Some(value), _) => value.problem(format!("the environment variable {what}")),
            (None, Some(value)) => value.problem(format!("the file {what}")),
            (None, None) => reader.problem(format!("the environment variable {KEYS} {what}")),
        }
    }
    ring
}
