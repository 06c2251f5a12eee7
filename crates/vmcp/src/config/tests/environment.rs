//! What of vmcp's own environment reaches programs, and which proxies lead to backends.

use vmcp_backend::{Proxy, Transport};

use super::{complete, environment, parsed};
use crate::config::{Configuration, Problems, parse};

pub(super) fn with(variables: &[(&str, &str)], text: &str) -> Result<Configuration, Problems> {
    let environment = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    parse(&complete(text), "vmcp.yaml", &environment)
}

/// The way to a backend with this URL.
fn proxy(variables: &[(&str, &str)], url: &str) -> Result<Option<Proxy>, String> {
    let text = format!("backends: [{{name: a, url: '{url}'}}]");
    let configuration = with(variables, &text).map_err(|problems| problems.to_string())?;
    match &configuration.backends[0].config.transport {
        Transport::Http(endpoint) => Ok(endpoint.proxy.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn programs_get_what_they_need_and_what_is_passed_on() {
    let variables = [
        ("PATH", "/bin"),
        ("HTTPS_PROXY", "http://proxy:8080"),
        ("NODE_EXTRA_CA_CERTS", "/etc/ca.pem"),
        ("npm_config_registry", "https://registry"),
        ("UV_CACHE_DIR", "/cache"),
        ("GITHUB_TOKEN", "s3cret"),
        ("OTHER_TOKEN", "s3cret"),
    ];
    let text = "
backends:
  - {name: a, command: run}
  - {name: b, command: run, passEnv: [GITHUB_TOKEN, NOT_SET, PATH], env: {PATH: /own}}";
    let configuration = with(&variables, text).unwrap();
    let programs: Vec<_> = configuration
        .backends
        .iter()
        .map(|backend| match &backend.config.transport {
            Transport::Stdio(program) => program,
            other => panic!("{other:?}"),
        })
        .collect();
    for program in &programs {
        let names: Vec<_> = program.inherited.keys().collect();
        let all =
            ["HTTPS_PROXY", "NODE_EXTRA_CA_CERTS", "PATH", "UV_CACHE_DIR", "npm_config_registry"];
        assert_eq!(names, all);
    }
    assert!(programs[0].env.is_empty());
    let own: Vec<_> =
        programs[1].env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(own, ["GITHUB_TOKEN=s3cret", "PATH=/own"]);
    let warnings: Vec<_> = configuration.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["vmcp.yaml:3:53: backends[1].passEnv[1]: the environment variable NOT_SET is not set, \
          so it is not passed on"]
    );
    let wrong = with(&[], "backends: [{name: a, command: run, passEnv: ['A=B', '']}]").unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "vmcp.yaml:1:46: backends[0].passEnv[0]: is not the name of an environment variable\n\
         vmcp.yaml:1:53: backends[0].passEnv[1]: is empty"
    );
}

#[test]
fn proxies_come_from_the_environment() {
    let through = |variables: &[(&str, &str)], url: &str| {
        let proxy = proxy(variables, url).unwrap();
        proxy.map(|proxy| (proxy.to_string(), proxy.authorization))
    };
    let plain = |to: &str| Some((to.to_owned(), None));
    let both = [("HTTPS_PROXY", "http://secure:3128"), ("http_proxy", "plain:80")];
    assert_eq!(through(&both, "https://backend/mcp"), plain("secure:3128"));
    assert_eq!(through(&both, "http://backend/mcp"), plain("plain:80"));
    assert_eq!(through(&[("ALL_PROXY", "http://[::1]:1")], "https://backend/mcp"), plain("::1:1"));
    assert_eq!(through(&[("HTTPS_PROXY", " ")], "https://backend/mcp"), None);
    assert_eq!(through(&[], "https://backend/mcp"), None);

    let (_, authorization) =
        through(&[("https_proxy", "http://me:s3cret@proxy")], "https://backend/mcp").unwrap();
    let authorization = authorization.unwrap();
    assert!(authorization.is_sensitive());
    assert_eq!(authorization, "Basic bWU6czNjcmV0");

    for (no, url) in [
        ("backend", "https://backend/mcp"),
        (".example.com", "https://a.example.com/mcp"),
        ("10.0.0.0/8", "https://10.1.2.3/mcp"),
        ("*", "https://backend/mcp"),
        ("*.example.com, other", "https://a.example.com/mcp"),
        ("backend:443", "https://backend/mcp"),
        ("backend:8080", "http://backend:8080/mcp"),
        ("backend.", "https://backend/mcp"),
        ("2001:db8::1", "https://[2001:db8::1]/mcp"),
        ("", "https://localhost/mcp"),
        ("", "http://127.0.0.1:80/mcp"),
        ("", "http://[::1]:80/mcp"),
    ] {
        let variables = [("ALL_PROXY", "http://proxy:1"), ("NO_PROXY", no)];
        assert_eq!(through(&variables, url), None, "{no} {url}");
    }
    for no in ["backend:8080", "other", "end", ""] {
        let variables = [("ALL_PROXY", "http://proxy:1"), ("NO_PROXY", no)];
        assert_eq!(through(&variables, "https://backend/mcp"), plain("proxy:1"), "{no}");
    }
}

#[test]
fn a_proxy_that_cannot_be_used_is_refused_where_it_is_needed() {
    for wrong in ["socks5://proxy:1080", "https://proxy:443", "http://", "http://a b"] {
        let variables = [("HTTPS_PROXY", wrong)];
        assert_eq!(
            proxy(&variables, "https://backend/mcp").unwrap_err(),
            "vmcp.yaml:1:27: backends[0].url: the environment variable HTTPS_PROXY, through which it is \
             reached, is not the http:// URL of a proxy; correct it, or name its host in NO_PROXY"
        );
        assert_eq!(proxy(&variables, "https://127.0.0.1/mcp").unwrap(), None);
        assert_eq!(proxy(&variables, "http://backend/mcp").unwrap(), None);
        let exempt = [("HTTPS_PROXY", wrong), ("NO_PROXY", "backend")];
        assert_eq!(proxy(&exempt, "https://backend/mcp").unwrap(), None);
    }
}

/// What is odd is told even where something is wrong.
#[test]
fn warnings_are_told_beside_problems() {
    let problems = parsed(&complete(
        "incomingAuth: {type: oidc, oidc: {issuer: 'https://i', audience: a, clientId: b}}\ncolour: red",
    ))
    .expect_err("an unknown key");
    assert_eq!(problems.iter().count(), 1);
    let warnings: Vec<_> = problems.beside().warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[1].contains("vmcp.yaml:1:79: incomingAuth.oidc.clientId: has no effect"),
        "{warnings:?}"
    );
}

/// The reference system reads a file beside the configuration.
#[test]
fn the_file_of_an_authorization_server_beside_it_is_refused() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("config.yaml");
    let other = folder.path().join("authserver-config.yaml");
    let problems = || match super::super::load(&file, &environment) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    };
    for (text, others) in [("", 0), ("colour: red", 1)] {
        std::fs::write(&file, complete(text)).expect("written");
        _ = std::fs::remove_file(&other);
        assert_eq!(problems().len(), others, "{text}");
        std::fs::write(&other, "issuer: https://i").expect("written");
        let told = problems();
        assert_eq!(told.len(), others + 1, "{told:?}");
        let beginning = format!("{}: is not supported yet", other.display());
        assert!(told[others].starts_with(&beginning), "{told:?}");
    }
}
