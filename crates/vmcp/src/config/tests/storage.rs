//! `sessionStorage`.

use super::{check, complete, environment, outcome, tidy};
use crate::config::parse;

/// Checks what Redis comes to, with these keys besides the usual ones: lines that are not the usual
/// ones.
#[track_caller]
fn check_redis(keys: &str, expected: &str) {
    check_in(&environment, &redis(keys), expected);
}

/// The same in another environment.
#[track_caller]
fn check_in(environment: &dyn Fn(&str) -> Option<String>, text: &str, expected: &str) {
    let usual = "records in Redis at r:6379
        records in db 0 under thv:vmcp:session:
        records as - - tls None
        records dial 5s command 3s
        records Bus { max_staleness: 1s } keys []";
    let usual = tidy(usual);
    let actual = match parse(&complete(text), "vmcp.yaml", environment) {
        Err(problems) => problems.to_string(),
        Ok(configuration) => {
            let lines = outcome::difference(&configuration);
            let lines = lines.lines().filter(|line| !usual.lines().any(|other| other == *line));
            lines.collect::<Vec<_>>().join("\n")
        }
    };
    assert_eq!(tidy(&actual), tidy(expected), "\n{actual}\n");
    assert!(!actual.contains("not-to-be-told"), "{actual}");
}

/// Keys begin in column 52.
fn redis(keys: &str) -> String {
    format!("sessionStorage: {{provider: redis, address: 'r:6379'{keys}}}")
}

/// Whatever it is by which sessions are kept, and wherever it comes from.
#[cfg(feature = "kubernetes")]
#[test]
fn what_sessions_are_kept_by_is_known() {
    let sentinel = "sessionStorage: {provider: redis, sentinel: {addresses: ['r:6379'], master: m, \
        passwordFile: '${FIXTURES}/password.txt'}, passwordEnv: TOKEN, keysEnv: KEYS}";
    let configuration = parse(&complete(sentinel), "vmcp.yaml", &environment).unwrap();
    let handed = |name: &str| match name {
        "VMCP_SESSION_HMAC_SECRET" => Some("of the variable".to_owned()),
        "THV_SESSION_REDIS_PASSWORD" => Some("of another".to_owned()),
        _ => None,
    };
    let own = |environment: &dyn Fn(&str) -> Option<String>| {
        crate::config::own_secrets(configuration.storage.as_ref(), environment)
    };
    let mut expected = vec!["s3cret-token".to_owned(), "s3cret-of-redis".to_owned()];
    expected.extend(environment("KEYS").unwrap().lines().map(|line| line.trim().to_owned()));
    assert_eq!(own(&|_name| None), expected);
    expected.splice(0..0, ["of the variable".to_owned(), "of another".to_owned()]);
    assert_eq!(own(&handed), expected);
    assert!(crate::config::own_secrets(None, &|_name| None).is_empty());
}

#[test]
fn each_key_takes_effect() {
    check_redis("", "");
    check_redis(", db: 7", "records in db 7 under thv:vmcp:session:");
    check_redis(", keyPrefix: 'a:b:'", "records in db 0 under a:b:");
    check_redis(", keyPrefix: '${BACKEND}:'", "records in db 0 under github:");
    check_redis(", passwordEnv: TOKEN", "records as - s3cret-token tls None");
    check_redis(
        ", passwordFile: '${FIXTURES}/password.txt'",
        "records as - s3cret-of-redis tls None",
    );
    check_redis(", username: u, passwordEnv: TOKEN", "records as u s3cret-token tls None");
    check_redis(", tls: {}", "records as - - tls Some(0)");
    check_redis(", tls: {enabled: true}", "records as - - tls Some(0)");
    check_redis(", tls: {enabled: false}", "");
    check_redis(
        ", tls: {caBundlePath: '${FIXTURES}/authority.pem'}",
        "records as - - tls Some(134)",
    );
    check_redis(", dialTimeout: 1s", "records dial 1s command 3s");
    check_redis(", commandTimeout: 250ms", "records dial 5s command 250ms");
    check_redis(", validation: perRequest", "records PerRequest keys []");
    check_redis(", validation: bus", "");
    check_redis(", maxStaleness: 2s", "records Bus { max_staleness: 2s } keys []");
    check_redis(", keysEnv: KEYS", "records Bus { max_staleness: 1s } keys [9, 8]");
    check_redis(
        ", keysFile: '${FIXTURES}/keys.txt'",
        "records Bus { max_staleness: 1s } keys [7, 6]",
    );
}

#[test]
fn servers_are_named_in_three_ways() {
    let check = |servers: &str, expected: &str| {
        check_in(
            &environment,
            &format!("sessionStorage: {{provider: redis, {servers}}}"),
            expected,
        );
    };
    check("address: 'redis:6379'", "records in Redis at redis:6379");
    check("address: '10.0.0.1:1'", "records in Redis at 10.0.0.1:1");
    check("address: '[2001:db8::1]:6379'", "records in Redis at [2001:db8::1]:6379");
    check(
        "sentinel: {addresses: ['a:1', 'b:2'], master: m}",
        "records in Redis \"m\" by Sentinels at a:1, b:2 as - -",
    );
    check(
        "sentinel: {addresses: ['a:1'], master: m, passwordFile: '${FIXTURES}/password.txt'}",
        "records in Redis \"m\" by Sentinels at a:1 as - s3cret-of-redis",
    );
    check("cluster: {addresses: ['a:1', 'b:2']}", "records in Redis cluster at a:1, b:2");
    check(
        "db: 1",
        "vmcp.yaml:1:17: sessionStorage: does not say where Redis is: set one of address, sentinel, cluster",
    );
    check(
        "address: 'a:1', sentinel: {addresses: ['b:1'], master: m}, cluster: {addresses: ['c:1']}",
        "vmcp.yaml:1:61: sessionStorage.sentinel: stands beside address; keep one of them
         vmcp.yaml:1:103: sessionStorage.cluster: stands beside address; keep one of them",
    );
    check(
        "sentinel: {}",
        "vmcp.yaml:1:45: sessionStorage.sentinel.addresses: is required: host:port of each
         vmcp.yaml:1:45: sessionStorage.sentinel.master: is required: the name by which they know the Redis",
    );
    check(
        "cluster: {addresses: []}, db: 1",
        "vmcp.yaml:1:56: sessionStorage.cluster.addresses: is empty; list at least one host:port
         vmcp.yaml:1:65: sessionStorage.db: a cluster has no other database than 0; remove it",
    );
    check(
        "cluster: {addresses: [a, 'b:0', 'c:1', '']}",
        "vmcp.yaml:1:57: sessionStorage.cluster.addresses[0]: \"a\" is not host:port; write for example redis.internal:6379
         vmcp.yaml:1:60: sessionStorage.cluster.addresses[1]: \"b:0\" is not host:port; write for example redis.internal:6379
         vmcp.yaml:1:74: sessionStorage.cluster.addresses[3]: is empty",
    );
    for address in ["redis", ":6379", "redis:", "redis:65536", "redis:x", "a b:1", "tcp://r:1"] {
        check(
            &format!("address: '{address}'"),
            &format!(
                "vmcp.yaml:1:44: sessionStorage.address: {address:?} is not host:port; write for example redis.internal:6379"
            ),
        );
    }
    for address in ["redis://:not-to-be-told@redis:6379", "u:not-to-be-told@redis:6379"] {
        check(
            &format!("address: '{address}'"),
            "vmcp.yaml:1:44: sessionStorage.address: is not host:port; write for example redis.internal:6379, \
             and give credentials by username, passwordEnv or passwordFile",
        );
    }
}

#[test]
fn secrets_are_found_by_default() {
    let given = |name: &str| match name {
        "THV_SESSION_REDIS_PASSWORD" => Some("by default".to_owned()),
        "VMCP_SESSION_HMAC_SECRET" => {
            Some("BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=\n".to_owned())
        }
        _ => environment(name),
    };
    check_in(
        &given,
        &redis(", username: u"),
        "records as u by default tls None
         records Bus { max_staleness: 1s } keys [5]",
    );
    // What the file says goes first, and the Sentinels' password is their own.
    check_in(
        &given,
        &redis(", passwordEnv: TOKEN, keysEnv: KEYS"),
        "records as - s3cret-token tls None
         records Bus { max_staleness: 1s } keys [9, 8]",
    );
    check_in(
        &given,
        "sessionStorage: {provider: redis, sentinel: {addresses: ['a:1'], master: m}}",
        "records in Redis \"m\" by Sentinels at a:1 as - -
         records as - by default tls None
         records Bus { max_staleness: 1s } keys [5]",
    );
    check_in(&given, "sessionStorage: {provider: memory}", "");
    let empty = |name: &str| match name {
        "THV_SESSION_REDIS_PASSWORD" | "VMCP_SESSION_HMAC_SECRET" => Some(String::new()),
        _ => environment(name),
    };
    check_in(&empty, &redis(""), "");
    let wrong =
        |name: &str| (name == "VMCP_SESSION_HMAC_SECRET").then(|| "not-to-be-told".to_owned());
    check_in(
        &wrong,
        &redis(""),
        &format!(
            "vmcp.yaml:1:17: sessionStorage: the environment variable VMCP_SESSION_HMAC_SECRET {NO_KEYS}"
        ),
    );
}

const NO_KEYS: &str = "does not hold keys: one line of 32 bytes in Base64 for each, as `openssl rand -base64 32` makes them";

#[test]
fn what_cannot_be_read_is_told_and_not_quoted() {
    let key = |keys: &str, problem: &str| {
        let name = keys.split(':').next().unwrap_or_default();
        let column = 52 + ", ".len() + name.len() + ": ".len();
        check_redis(
            &format!(", {keys}"),
            &format!("vmcp.yaml:1:{column}: sessionStorage.{name}: {problem}"),
        );
    };
    key("db: -1", "\"-1\" is not between 0 and 1000000");
    key("db: 1000001", "\"1000001\" is not between 0 and 1000000");
    key("keyPrefix: vmcp", "\"vmcp\" must end with a colon");
    key("keyPrefix: ' '", "is empty");
    key(
        "username: u",
        "needs a password: set passwordEnv or passwordFile, or the environment variable THV_SESSION_REDIS_PASSWORD",
    );
    key("passwordEnv: 'not-to-be-told!'", "is not the name of an environment variable");
    key("passwordEnv: NOBODY", "the environment variable NOBODY is not set or empty");
    key("passwordEnv: EMPTY", "the environment variable EMPTY is not set or empty");
    key("passwordFile: password.txt", "\"password.txt\" is not an absolute path");
    key("passwordFile: '${FIXTURES}/empty.txt'", "\"${FIXTURES}/empty.txt\" is empty");
    key(
        "passwordFile: '${FIXTURES}/not-text.bin'",
        "\"${FIXTURES}/not-text.bin\" does not hold text",
    );
    key("dialTimeout: 0s", "\"0s\" is not between 1ms and 1h");
    key("commandTimeout: 5", "\"5\" is not a duration; write it like 30s, 1m30s or 500ms");
    key("validation: always", "must be bus or perRequest, not \"always\"");
    key(
        "maxStaleness: 99ms",
        "is less than 100ms; if sessions must end at once, use validation: perRequest",
    );
    key("keysEnv: NOBODY", "the environment variable NOBODY is not set or empty");
    key("keysEnv: TOKEN", &format!("the environment variable {NO_KEYS}"));
    key("keysEnv: 'not to/be=told'", "is not the name of an environment variable");
    key("keysFile: '${FIXTURES}/password.txt'", &format!("the file {NO_KEYS}"));
    key("keysFile: '${FIXTURES}/not-text.bin'", &format!("the file {NO_KEYS}"));
    key("tls: yes", "must be a map of keys");
    check_redis(
        ", tls: {enabled: maybe, caBundlePath: '${FIXTURES}/empty.txt'}",
        "vmcp.yaml:1:69: sessionStorage.tls.enabled: \"maybe\" is not true or false
         vmcp.yaml:1:90: sessionStorage.tls.caBundlePath: \"${FIXTURES}/empty.txt\" holds no PEM certificate",
    );
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    check_redis(
        ", passwordEnv: TOKEN, passwordFile: '${FIXTURES}/password.txt'",
        "vmcp.yaml:1:88: sessionStorage.passwordFile: stands beside passwordEnv; keep one of them",
    );
    check_redis(
        ", keysEnv: KEYS, keysFile: '${FIXTURES}/keys.txt'",
        "vmcp.yaml:1:79: sessionStorage.keysFile: stands beside keysEnv; keep one of them",
    );
    check_redis(
        ", validation: perRequest, maxStaleness: 1s",
        "vmcp.yaml:1:92: sessionStorage.maxStaleness: only takes effect with validation: bus",
    );
    check_redis(
        ", tls: {enabled: false, caBundlePath: '${FIXTURES}/authority.pem'}",
        "vmcp.yaml:1:90: sessionStorage.tls.caBundlePath: only takes effect with enabled: true",
    );
    check_in(
        &environment,
        "sessionStorage: {provider: redis, sentinel: {addresses: ['a:1'], master: m, username: u}}",
        "vmcp.yaml:1:87: sessionStorage.sentinel.username: needs a password: set passwordEnv or passwordFile",
    );
}

/// Each of them does nothing for records in memory, and is refused there.
#[test]
fn keys_of_redis_go_with_redis_only() {
    let keys = "address sentinel cluster db keyPrefix username passwordEnv passwordFile tls \
        dialTimeout commandTimeout validation maxStaleness keysEnv keysFile";
    for name in keys.split_whitespace() {
        let column = "sessionStorage: {provider: memory, : ".len() + name.len() + 1;
        check(
            &format!("sessionStorage: {{provider: memory, {name}: {{}}}}"),
            &format!(
                "vmcp.yaml:1:{column}: sessionStorage.{name}: only takes effect with provider: redis"
            ),
        );
    }
    let listed: Vec<_> = super::super::keys::SESSION_STORAGE.iter().map(|key| key.name).collect();
    assert_eq!(
        listed[1..],
        keys.split_whitespace().collect::<Vec<_>>(),
        "a key is not tested here"
    );
    check("sessionStorage: {provider: memory}", "");
    check(
        "sessionStorage: {address: 'r:1'}",
        "vmcp.yaml:1:17: sessionStorage.provider: is required: the kind of store",
    );
}

/// Keys of `peer` begin in column 8 of line 2.
fn with_peer(keys: &str) -> String {
    format!("{}\npeer: {{{keys}}}", redis(""))
}

#[test]
fn replicas_have_a_channel_where_it_is_wanted() {
    let at = |listen: &str, advertise: &str| {
        format!("Peer {{ listen: {listen}, advertise: {advertise} }}")
    };
    check_redis("", "");
    check_in(&environment, &with_peer("enabled: true"), &at("None", "None"));
    check_in(&environment, &with_peer("listen: '[::]:4484'"), &at("Some([::]:4484)", "None"));
    check_in(
        &environment,
        &with_peer("advertise: '10.0.0.1:4484'"),
        &at("None", "Some(10.0.0.1:4484)"),
    );
    check_in(&environment, &with_peer("enabled: false"), "");
    // In a pod there is one by itself.
    let pod = |name: &str| match name {
        "KUBERNETES_SERVICE_HOST" => Some("10.96.0.1".to_owned()),
        other => environment(other),
    };
    check_in(&pod, &redis(""), &at("None", "None"));
    check_in(&pod, &with_peer("enabled: false"), "");
    check_in(&pod, "", "");
}

#[test]
fn a_channel_that_nobody_could_use_is_refused() {
    check(
        "peer: {enabled: true}",
        "vmcp.yaml:1:17: peer.enabled: only takes effect with sessionStorage.provider: redis",
    );
    check(
        "peer: {listen: '0.0.0.0:1'}",
        "vmcp.yaml:1:16: peer.listen: only takes effect with sessionStorage.provider: redis",
    );
    check("peer: {enabled: false}", "");
    check_in(
        &environment,
        &with_peer("enabled: false, listen: '0.0.0.0:4484'"),
        "vmcp.yaml:2:32: peer.listen: only takes effect with enabled: true",
    );
    for address in ["0.0.0.0:4484", "[::]:4484", "10.0.0.1:0"] {
        let problem = format!(
            "vmcp.yaml:2:19: peer.advertise: \"{address}\" is no address that others can reach; write the one that \
             this replica has for them"
        );
        check_in(&environment, &with_peer(&format!("advertise: '{address}'")), &problem);
    }
    check_in(
        &environment,
        &with_peer("listen: 'peers.internal:4484'"),
        "vmcp.yaml:2:16: peer.listen: \"peers.internal:4484\" is not an IP address and port; write 127.0.0.1:9090",
    );
}
