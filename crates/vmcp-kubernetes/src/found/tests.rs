//! What objects come to.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::own::{OwnSecrets, Withheld};
use crate::seen::Object;

/// A namespace in the making.
#[derive(Default)]
struct Namespace {
    objects: BTreeMap<Kind, BTreeMap<String, Object>>,
    contents: Contents,
}

impl Namespace {
    fn with(mut self, kind: Kind, name: &str, spec: Value, status: Value) -> Self {
        let object = Object { version: "1".to_owned(), spec, status };
        self.objects.entry(kind).or_default().insert(name.to_owned(), object);
        self
    }

    fn server(self, name: &str, spec: Value) -> Self {
        let mut whole = json!({"groupRef": {"name": "tools"}, "transport": "streamable-http"});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let url = format!("http://{name}.test/mcp");
        self.with(Kind::Server, name, whole, json!({"url": url, "phase": "Ready"}))
    }

    fn entry(self, name: &str, spec: Value) -> Self {
        let url = format!("https://{name}.example.com/mcp");
        let mut whole = json!({
            "groupRef": {"name": "tools"}, "transport": "streamable-http", "remoteUrl": url
        });
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        self.with(Kind::Entry, name, whole, json!({"phase": "Valid"}))
    }

    fn auth(self, name: &str, spec: Value) -> Self {
        self.with(Kind::AuthConfig, name, spec, Value::Null)
    }

    fn holding(mut self, kind: Kind, name: &str, key: &str, bytes: &[u8]) -> Self {
        self.contents.hold((kind, name.to_owned()), key, bytes);
        self.with(kind, name, Value::Null, Value::Null)
    }

    fn secret(self, name: &str, key: &str, text: &str) -> Self {
        self.holding(Kind::Secret, name, key, text.as_bytes())
    }

    fn objects(&self) -> Objects {
        self.objects.iter().map(|(kind, all)| (*kind, Arc::new(all.clone()))).collect()
    }

    fn found(&self) -> Discovered {
        Discovered::of(&self.objects(), &self.contents, "tools", "ns").0
    }

    fn one(&self) -> Backend {
        let [one] = self.found().backends.try_into().unwrap_or_else(|all| panic!("{all:?}"));
        one
    }

    fn names(&self) -> Vec<String> {
        self.found().backends.into_iter().map(|backend| backend.name).collect()
    }
}

fn reference(name: &str) -> Value {
    json!({"externalAuthConfigRef": {"name": name}})
}

#[test]
fn those_of_the_group_that_are_somewhere_are_backends() {
    let namespace = Namespace::default()
        .server("here", json!({}))
        .server("elsewhere", json!({"groupRef": {"name": "other"}}))
        .server("ungrouped", json!({"groupRef": null}))
        .with(
            Kind::Server,
            "nowhere",
            json!({"groupRef": {"name": "tools"}}),
            json!({"phase": "Pending"}),
        )
        .entry("valid", json!({}))
        .with(
            Kind::Entry,
            "pending",
            json!({"groupRef": {"name": "tools"}, "remoteUrl": "https://pending.test"}),
            json!({"phase": "Pending"}),
        )
        .with(
            Kind::RemoteProxy,
            "proxy",
            json!({"groupRef": {"name": "tools"}, "remoteUrl": "https://far.test/mcp"}),
            json!({"url": "http://proxy.test", "phase": "Ready"}),
        );
    assert_eq!(namespace.names(), ["here", "proxy", "valid"]);
}

#[test]
fn why_an_object_is_no_backend_is_known() {
    let of_group = || json!({"groupRef": {"name": "tools"}, "remoteUrl": "https://far.test"});
    let long = "a".repeat(65);
    let namespace = Namespace::default()
        .server("both", json!({}))
        .entry("both", json!({}))
        .server(&long, json!({}))
        .with(Kind::Server, "nowhere", of_group(), json!({"phase": "Pending"}))
        .with(Kind::RemoteProxy, "new", of_group(), Value::Null)
        .with(Kind::Entry, "pending", of_group(), json!({"phase": "Pending"}))
        .with(Kind::Entry, "unseen", of_group(), Value::Null)
        .entry("empty", json!({"remoteUrl": ""}))
        .entry("elsewhere", json!({"groupRef": {"name": "other"}}));
    let (_, left_out) = candidates(&namespace.objects(), "tools");
    let left_out: Vec<_> =
        left_out.iter().map(|(object, why)| format!("{object}: {why}")).collect();
    let expected = [
        "MCPRemoteProxy new: it has no status.url, and it has no phase yet".to_owned(),
        format!("MCPServer {long}: its name has more than 64 characters"),
        "MCPServer nowhere: it has no status.url, and its phase is Pending".to_owned(),
        "MCPServerEntry both: there is an MCPServer of the same name".to_owned(),
        "MCPServerEntry empty: it has no spec.remoteUrl".to_owned(),
        "MCPServerEntry pending: its phase is Pending, not Valid".to_owned(),
        "MCPServerEntry unseen: it has no phase yet, not Valid".to_owned(),
    ];
    assert_eq!(left_out, expected);
    assert_eq!(namespace.names(), ["both"]);
}

#[test]
fn what_cannot_be_read_of_an_entry_is_no_leave_to_go_without() {
    for (spec, why) in [
        (json!({"caBundleRef": "ca"}), "its caBundleRef names no ConfigMap"),
        (json!({"caBundleRef": {"name": "ca"}}), "its caBundleRef names no ConfigMap"),
        (json!({"headerForward": "X-Key"}), "its headerForward cannot be read"),
        (json!({"headerForward": {"addPlaintextHeaders": []}}), "its headerForward cannot be read"),
        (json!({"headerForward": {"addPlaintextHeaders": {"X": 1}}}), "its header X is no text"),
        (
            json!({"headerForward": {"addHeadersFromSecret": {}}}),
            "its headerForward cannot be read",
        ),
        (
            json!({"headerForward": {"addHeadersFromSecret": [{}]}}),
            "a header of its headerForward has no name",
        ),
        (
            json!({"transport": "stdio"}),
            "its transport \"stdio\" is neither streamable-http nor sse",
        ),
    ] {
        let backend = Namespace::default().entry("a", spec.clone()).one();
        assert_eq!(backend.lacking.as_deref(), Some(why), "{spec}");
    }
}

#[test]
fn a_server_stays_whatever_its_phase() {
    let spec = json!({"groupRef": {"name": "tools"}});
    for phase in ["Pending", "Failed", "Terminating", "Unheard-of"] {
        let status = json!({"url": "http://a.test/mcp", "phase": phase});
        let namespace = Namespace::default().with(Kind::Server, "a", spec.clone(), status);
        assert_eq!(namespace.one().entry["metadata"]["workload_status"], phase);
    }
}

#[test]
fn the_first_kind_has_a_name_that_several_have() {
    let namespace = Namespace::default().entry("a", json!({})).server("a", json!({}));
    assert_eq!(namespace.one().entry["metadata"]["workload_type"], "mcp_server");
}

#[test]
fn an_entry_is_what_the_operator_writes() {
    let proxy = Namespace::default().with(
        Kind::RemoteProxy,
        "gamma",
        json!({"groupRef": {"name": "tools"}, "remoteUrl": "https://far.test/mcp"}),
        json!({"url": "http://gamma.test:8080", "phase": "Ready"}),
    );
    let expected = json!({
        "name": "gamma",
        "url": "http://gamma.test:8080",
        "transport": "streamable-http",
        "metadata": {
            "group": "tools",
            "namespace": "ns",
            "tool_type": "mcp",
            "workload_type": "remote_proxy",
            "workload_status": "Ready",
            "remote_url": "https://far.test/mcp",
        }
    });
    assert_eq!(proxy.one().entry, expected);
}

#[test]
fn a_program_is_spoken_to_as_its_proxy_is() {
    for (spec, expected) in [
        (json!({"transport": "stdio"}), "streamable-http"),
        (json!({"transport": "stdio", "proxyMode": "sse"}), "sse"),
        (json!({"transport": "sse"}), "sse"),
        (json!({"transport": "streamable-http", "proxyMode": "sse"}), "streamable-http"),
        (json!({"transport": null}), "streamable-http"),
    ] {
        let namespace = Namespace::default().server("a", spec.clone());
        assert_eq!(namespace.one().entry["transport"], expected, "{spec}");
    }
}

#[test]
fn each_strategy_is_written_with_variables_for_its_secrets() {
    let cases = [
        (
            json!({"type": "headerInjection", "headerInjection":
                {"headerName": "X-Key", "valueSecretRef": {"name": "s", "key": "k"}}}),
            json!({"type": "header_injection", "headerInjection":
                {"headerName": "X-Key", "headerValueEnv": "DISCOVERED_S_K"}}),
        ),
        (
            json!({"type": "tokenExchange", "tokenExchange": {
                "tokenUrl": "https://idp.test/token", "clientId": "c", "audience": "a", "scopes": ["x"],
                "clientSecretRef": {"name": "s", "key": "k"}, "subjectTokenType": "access_token"}}),
            json!({"type": "token_exchange", "tokenExchange": {
                "tokenUrl": "https://idp.test/token", "clientId": "c", "audience": "a", "scopes": ["x"],
                "clientSecretEnv": "DISCOVERED_S_K", "subjectTokenType": "access_token"}}),
        ),
        (
            json!({"type": "xaa", "xaa": {"idpTokenUrl": "https://idp.test", "idpClientId": "c",
                "idpClientSecretRef": {"name": "s", "key": "k"}, "targetTokenUrl": "https://as.test",
                "targetClientSecretRef": {"name": "s", "key": "l"}, "targetAudience": "https://as.test"}}),
            json!({"type": "xaa", "xaa": {"idpTokenUrl": "https://idp.test", "idpClientId": "c",
                "idpClientSecretEnv": "DISCOVERED_S_K", "targetTokenUrl": "https://as.test",
                "targetClientSecretEnv": "DISCOVERED_S_L", "targetAudience": "https://as.test"}}),
        ),
        (
            json!({"type": "awsSts", "awsSts": {"region": "eu-west-1", "roleMappings": [{"claim": "x", "roleArn": "r"}]}}),
            json!({"type": "aws_sts", "awsSts": {"region": "eu-west-1", "roleMappings": [{"claim": "x", "roleArn": "r"}]}}),
        ),
        (json!({"type": "unauthenticated"}), json!({"type": "unauthenticated"})),
    ];
    for (spec, expected) in cases {
        let namespace = Namespace::default()
            .server("a", reference("auth"))
            .auth("auth", spec.clone())
            .holding(Kind::Secret, "s", "k", b"one")
            .secret("s", "l", "two");
        let backend = namespace.one();
        let named = ("auth".to_owned(), expected["type"].as_str().unwrap().to_owned());
        assert_eq!(backend.auth, Some(named.clone()));
        assert_eq!((backend.strategy, backend.lacking), (Some(expected), None));
        // It is called the same where it cannot be used.
        let lacking = Namespace::default().server("a", reference("auth")).auth("auth", spec);
        assert_eq!(lacking.one().auth, Some(named));
    }
}

#[test]
fn what_cannot_be_shown_is_told_and_shown_nobody() {
    let header = |key: &str| {
        json!({"type": "headerInjection", "headerInjection":
            {"headerName": "X", "valueSecretRef": {"name": "s", "key": key}}})
    };
    let cases = [
        (None, "the MCPExternalAuthConfig auth does not exist"),
        (Some(header("absent")), "the Secret s has no key \"absent\""),
        (Some(header("empty")), "empty of the Secret s is empty"),
        (Some(header("binary")), "binary of the Secret s is no text"),
        (
            Some(json!({"type": "headerInjection", "headerInjection":
                {"headerName": "X", "valueSecretRef": {"name": "other", "key": "k"}}})),
            "the Secret other does not exist",
        ),
        (
            Some(json!({"type": "headerInjection", "headerInjection":
                {"headerName": "X", "valueSecretRef": {"name": "hub-hmac-secret", "key": "k"}}})),
            "the Secret hub-hmac-secret is shown no backend: by its name it holds the keys of a server's sessions",
        ),
        (
            Some(json!({"type": "upstreamInject", "upstreamInject": {}})),
            "the MCPExternalAuthConfig auth has the type \"upstreamInject\", which is not supported; there are \
             unauthenticated, headerInjection, tokenExchange, obo, xaa, awsSts",
        ),
        (
            Some(json!({"type": "headerInjection"})),
            "the MCPExternalAuthConfig auth has no headerInjection",
        ),
        // A key of the configuration that the object does not have: it would reach a variable of this process.
        (
            Some(json!({"type": "headerInjection", "headerInjection":
                {"headerName": "X", "headerValueEnv": "THV_SESSION_REDIS_PASSWORD"}})),
            "headerInjection.headerValueEnv of the MCPExternalAuthConfig auth is not supported",
        ),
    ];
    for (spec, expected) in cases {
        let namespace = Namespace::default()
            .server("a", reference("auth"))
            .secret("s", "empty", "")
            .holding(Kind::Secret, "s", "binary", b"\xff");
        let namespace = match spec {
            Some(spec) => namespace.auth("auth", spec),
            None => namespace,
        };
        let backend = namespace.one();
        assert_eq!((backend.strategy, backend.lacking.as_deref()), (None, Some(expected)));
    }
}

/// The names of Secrets that hold what vmcp itself lives by, and one that does not.
#[test]
fn what_vmcp_lives_by_is_shown_nobody() {
    let of_vmcp = || vec!["first\nsecond\n".to_owned(), " password ".to_owned()];
    let own = OwnSecrets::told_by(of_vmcp);
    for (value, is_own) in [
        ("first", true),
        ("second\n", true),
        ("new\r\nfirst\r\n", true),
        ("\tpassword", true),
        ("passwords", false),
        ("", false),
    ] {
        let mut namespace = Namespace::default()
            .server("a", reference("auth"))
            .auth(
                "auth",
                json!({"type": "headerInjection", "headerInjection":
                    {"headerName": "X", "valueSecretRef": {"name": "s", "key": "plain"}}}),
            )
            .entry(
                "b",
                json!({"headerForward": {"addHeadersFromSecret":
                    [{"headerName": "X-Key", "valueSecretRef": {"name": "s", "key": "plain"}}]}}),
            )
            .secret("s", "plain", "harmless")
            .secret("s", "other", value);
        namespace.contents.hold_beside(own.clone());
        let found = namespace.found();
        for backend in &found.backends {
            let lacking = backend.lacking.as_deref().unwrap_or_default();
            assert_eq!(lacking.contains("the Secret s is shown no backend"), is_own, "{value:?}");
        }
        assert_eq!(found.variables.is_empty(), is_own, "{value:?}");
    }
}

/// It is exchanged in the cluster before vmcp is told by which it goes on.
#[test]
fn a_secret_that_held_what_vmcp_lives_by_is_shown_nobody_afterwards() {
    let mut withheld = Withheld::new(OwnSecrets::told_by(|| vec!["password".to_owned()]));
    withheld.note([("redis", b"password".as_slice())].into_iter());
    withheld.note([("redis", b"next".as_slice())].into_iter());
    assert!(withheld.why("redis").is_some());
    assert!(withheld.why("other").is_none());
}

#[test]
fn an_entry_has_headers_and_authorities_of_its_own() {
    let namespace = Namespace::default()
        .entry(
            "a",
            json!({
                "headerForward": {
                    "addPlaintextHeaders": {"X-Team": "blue"},
                    "addHeadersFromSecret":
                        [{"headerName": "X-Key", "valueSecretRef": {"name": "s", "key": "k"}}],
                },
                "caBundleRef": {"configMapRef": {"name": "ca", "key": "root.pem"}},
            }),
        )
        .secret("s", "k", "key")
        .holding(Kind::ConfigMap, "ca", "root.pem", b"pem");
    let (backend, found) = (namespace.one(), namespace.found());
    let header =
        |(name, variable): &(String, String)| (name.clone(), found.variables[variable].clone());
    let headers: Vec<_> = backend.headers.iter().map(header).collect();
    let expected = [("X-Team", "blue"), ("X-Key", "key")];
    assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!((backend.authorities.as_deref(), backend.lacking), (Some(&b"pem"[..]), None));
}

#[test]
fn secrets_whose_names_are_alike_are_kept_apart() {
    let namespace = Namespace::default()
        .server("a", reference("one"))
        .server("b", reference("two"))
        .auth(
            "one",
            json!({"type": "headerInjection", "headerInjection":
            {"headerName": "X", "valueSecretRef": {"name": "s-t", "key": "k"}}}),
        )
        .auth(
            "two",
            json!({"type": "headerInjection", "headerInjection":
            {"headerName": "X", "valueSecretRef": {"name": "s", "key": "t.k"}}}),
        )
        .secret("s-t", "k", "first")
        .secret("s", "t.k", "second");
    let found = namespace.found();
    let shown: Vec<_> = found
        .backends
        .iter()
        .map(|backend| {
            backend.strategy.as_ref().unwrap()["headerInjection"]["headerValueEnv"]
                .as_str()
                .unwrap()
        })
        .map(|variable| found.variables[variable].as_str())
        .collect();
    assert_eq!(shown, ["first", "second"]);
}

#[test]
fn what_shows_them_shows_no_secret() {
    let namespace = Namespace::default()
        .server("a", reference("one"))
        .auth(
            "one",
            json!({"type": "headerInjection", "headerInjection":
            {"headerName": "X", "valueSecretRef": {"name": "s", "key": "k"}}}),
        )
        .secret("s", "k", "very-secret");
    assert!(!format!("{:?}", namespace.found()).contains("very-secret"));
}

#[test]
fn a_reference_without_a_name_is_no_leave_to_go_without() {
    for reference in [json!({"name": ""}), json!({})] {
        let spec = json!({"externalAuthConfigRef": reference});
        let backend = Namespace::default().server("a", spec).one();
        assert_eq!(backend.lacking.as_deref(), Some("its externalAuthConfigRef has no name"));
    }
}
