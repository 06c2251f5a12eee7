//! What gets through, and what does not.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderMap, HeaderValue, header};

use super::*;
use crate::config::{Isolation, Proxy};

fn of(transport: &Transport) -> Secrets {
    let spawn = Arc::new(|_work| {});
    let nothing = Credential::new(vmcp_credentials::Config::Unauthenticated, spawn);
    Secrets::of(transport, &Arc::new(nothing))
}

fn of_program(args: &[&str], env: &[(&str, &str)]) -> Secrets {
    let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let owned = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        owned.collect()
    };
    of(&Transport::Stdio(Program {
        command: "server".to_owned(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        secrets: vec!["out-of-a-variable".to_owned()],
        inherited: pairs(&[
            ("LANG", "en_US.UTF-8"),
            ("HTTPS_PROXY", "http://usr:S3CRETPXY@proxy:1"),
        ]),
        env: pairs(env),
        directory: None,
        isolation: Isolation::Session,
        idle: Duration::from_secs(1),
    }))
}

#[track_caller]
fn check(secrets: &Secrets, text: &str, told: &str) {
    assert_eq!(secrets.told(text.as_bytes(), 500), told);
}

#[test]
fn arguments_that_are_secrets_are_known() {
    for (args, secret) in [
        (&["--api-key", "abcdefgh"][..], "abcdefgh"),
        (&["--auth-token=S3CRET-1"], "S3CRET-1"),
        (&["--header", "Authorization: Bearer S3CRET-2"], "S3CRET-2"),
        (&["--header=Authorization: Bearer S3CRET-3"], "S3CRET-3"),
        (&["-e", "GITHUB_TOKEN=S3CRET-4"], "S3CRET-4"),
        (&["-e", "LEVEL=S3CRET-5"], "S3CRET-5"),
        (&["--connection-string", "Server=a;Password=S3CRET-6"], "S3CRET-6"),
        (&["sk-S3CRET7"], "sk-S3CRET7"),
        (&["aB3dE5gH7jK9mN1pQ3sT"], "aB3dE5gH7jK9mN1pQ3sT"),
        (&["https://h/mcp?apiKey=S3CRET-8&x=y"], "S3CRET-8"),
        (&["postgres://user:pa/ss-S3CRET9@db/x"], "pa/ss-S3CRET9"),
        (&["postgres://u:p#S3CRET@db/x"], "p#S3CRET"),
        (&[], "out-of-a-variable"),
        (&[], "S3CRETPXY"),
    ] {
        let secrets = of_program(args, &[]);
        check(&secrets, &format!("error: {secret} is wrong"), "error: *** is wrong");
    }
    // What says which program it is helps whoever reads it.
    let args =
        ["-y", "@scope/server-of-many-things", "--port=12345678", "/srv/folder", "mcp-server-time"];
    let text = "npm error 404 '@scope/server-of-many-things' 12345678 /srv/folder mcp-server-time en_US.UTF-8";
    check(&of_program(&args, &[]), text, text);
}

#[test]
fn variables_that_are_secrets_are_known() {
    let pem = "-----BEGIN KEY-----\nMIIEvS3CRETLINE1\nMIIEvS3CRETLINE2\n";
    let env = [
        ("TOK", pem),
        ("A_TOKEN", "hunter2"),
        ("MODE", "debug"),
        ("HOME", "/tmp"),
        ("AWS_SECRET", "/wJalr/XUtn"),
        ("URL", "mongodb://user:pw@host:27017/db?authToken=S3CRETQUERY"),
        ("ODD", "S3CRET+MY/TOK=EN"),
        ("QUOTED", "S3C\"RET\\VALUE"),
        ("SPACES", "  S3CRETSPACES "),
    ];
    let secrets = of_program(&[], &env);
    for secret in [
        "MIIEvS3CRETLINE1",
        "hunter2",
        "/wJalr/XUtn",
        "mongodb://user:pw@host:27017/db?authToken=S3CRETQUERY",
        "S3CRET%2BMY%2FTOK%3DEN",
        "S3C\\\"RET\\\\VALUE",
        "S3CRETSPACES",
    ] {
        check(&secrets, &format!("a {secret} b"), "a *** b");
    }
    check(&secrets, "debug in /tmp", "debug in /tmp");
    // A program that wraps its lines.
    check(&secrets, "authToken=S3CRETQUE", "***");
}

/// A text is cut where it is too long, and what is left of a secret there is none.
#[test]
fn a_secret_that_is_cut_is_known_by_its_beginning() {
    let long = "J".repeat(5_000);
    let secrets = of_program(&[], &[("TOKEN", &long)]);
    check(&secrets, &format!("error: {long}"), "error: ***");
    let told = secrets.told(format!("error: {long}").as_bytes(), 100);
    assert_eq!(told, "error: …");
    let twice = secrets.told(format!("error: {long} {long}").as_bytes(), 300);
    assert_eq!(twice, "error: *** …");
}

#[test]
fn what_every_text_may_hold_is_masked() {
    let secrets = Secrets::default();
    for (text, told) in [
        ("postgres://user:pw@db:5432/x", "postgres://***@db:5432/x"),
        ("postgres://u:a@b/S3CRET@host/db", "postgres://***@host/db"),
        ("http://plain/a@b", "http://plain/a@b"),
        ("sent Authorization: Bearer eyJabc.def now", "sent Authorization: Bearer *** now"),
        ("a bearer token is required", "a bearer token is required"),
        ("bearer authentication", "bearer authentication"),
    ] {
        check(&secrets, text, told);
    }
}

#[test]
fn what_a_server_is_shown_is_known() {
    let bearer = HeaderValue::from_static("Bearer S3CRET-1");
    let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static("id=S3CRET-2"))]);
    let proxy = Proxy {
        host: "proxy".to_owned(),
        port: 1,
        authorization: Some(HeaderValue::from_static("Basic S3CRET-3")),
    };
    let endpoint = Endpoint {
        outgoing: vmcp_credentials::Config::Header { name: header::AUTHORIZATION, value: bearer },
        headers,
        proxy: Some(proxy),
        ..Endpoint::plain("https://h/mcp?key=S3CRET-4".parse().unwrap())
    };
    let secrets = of(&Transport::Http(endpoint));
    check(&secrets, "S3CRET-1 id=S3CRET-2 S3CRET-3 S3CRET-4", "*** *** *** ***");
    assert!(secrets.are_in("/login/S3CRET-1") && !secrets.are_in("/login"));
    assert_eq!(format!("{secrets:?}").matches("S3CRET").count(), 0);
}
