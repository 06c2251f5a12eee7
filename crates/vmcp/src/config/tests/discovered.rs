//! Backends that are found in a cluster: `outgoingAuth.source: discovered`.

#[cfg(not(feature = "kubernetes"))]
#[test]
fn it_is_refused_by_name_where_vmcp_is_built_without_it() {
    super::check(
        "groupRef: tools\noutgoingAuth: {source: discovered}",
        "vmcp.yaml:2:24: outgoingAuth.source: \"discovered\" is not supported yet by this vmcp, which was built without \
         it; use a released vmcp or its image, build one with cargo build --release --features kubernetes, or write \
         source: inline, the list backends, and a strategy for each backend under outgoingAuth.backends",
    );
}

#[cfg(feature = "kubernetes")]
mod built {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};
    use vmcp_backend::Transport;
    use vmcp_kubernetes::{Backend, Discovered};

    use super::super::{
        super::{Configuration, Problems, discovered::parse, parse as parse_alone},
        environment, outcome, tidy,
    };

    const FILE: &str = "\
name: hub
groupRef: tools
incomingAuth: {type: anonymous}
aggregation: {conflictResolution: prefix, conflictResolutionConfig: {prefixFormat: '{workload}_'}}
";

    const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----\n";

    fn backend(name: &str) -> Backend {
        let url = format!("http://{name}.test/mcp");
        Backend {
            name: name.to_owned(),
            kind: "MCPServerEntry",
            entry: json!({"name": name, "url": url, "transport": "streamable-http", "metadata": {"group": "tools"}}),
            headers: Vec::new(),
            strategy: None,
            authorities: None,
            auth: None,
            lacking: None,
        }
    }

    fn shown(strategy: Value) -> Backend {
        let auth = Some(("auth".to_owned(), "header_injection".to_owned()));
        Backend { strategy: Some(strategy), auth, ..backend("a") }
    }

    fn header(name: &str, variable: &str) -> Value {
        json!({"type": "header_injection", "headerInjection": {"headerName": name, "headerValueEnv": variable}})
    }

    /// What a file comes to with these.
    fn read(outgoing: &str, backends: Vec<Backend>) -> Result<Configuration, Problems> {
        let variables = [("DISCOVERED_S_K", "from-a-secret"), ("DISCOVERED_BAD", "two\nlines")];
        let variables: BTreeMap<_, _> =
            variables.into_iter().map(|(name, held)| (name.to_owned(), held.to_owned())).collect();
        let described = [("DISCOVERED_BAD".to_owned(), "the key bad of the Secret s".to_owned())];
        let described = described.into();
        let found = Discovered { backends, variables, described, has_group: true };
        let text = format!("{FILE}{outgoing}");
        parse(&text, "vmcp.yaml", &environment, &|_path| {}, &found)
    }

    /// The lines of the outcome that are about backends.
    #[track_caller]
    fn check(outgoing: &str, backends: Vec<Backend>, expected: &str) {
        let outcome = match read(outgoing, backends) {
            Err(problems) => problems.to_string(),
            Ok(configuration) => {
                let lines = outcome::rendered(&configuration);
                let of_backends = lines.into_iter().filter(|line| line.contains("://"));
                of_backends.collect::<Vec<_>>().join("\n")
            }
        };
        assert_eq!(tidy(&outcome), tidy(expected), "\n{outcome}\n");
    }

    const SOURCE: &str = "outgoingAuth: {source: discovered}";

    #[test]
    fn they_are_read_as_if_they_stood_in_the_file() {
        let mut with_headers = backend("b");
        with_headers.headers = vec![("X-Team".to_owned(), "DISCOVERED_S_K".to_owned())];
        with_headers.entry["transport"] = "sse".into();
        check(
            SOURCE,
            vec![shown(header("X-Key", "DISCOVERED_S_K")), with_headers, backend("c")],
            "a: http://a.test/mcp x-key=\"from-a-secret\" ca 0 {\"group\": \"tools\"}
             b: sse http://b.test/mcp unauthenticated x-team:\"from-a-secret\" ca 0 {\"group\": \"tools\"}
             c: http://c.test/mcp unauthenticated ca 0 {\"group\": \"tools\"}",
        );
    }

    #[test]
    fn a_name_is_as_long_as_one_of_the_file_may_be() {
        assert_eq!(vmcp_kubernetes::MAX_NAME, vmcp_model::BackendId::MAX_LENGTH);
    }

    #[test]
    fn none_may_be_there() {
        assert!(read(SOURCE, Vec::new()).unwrap().backends.is_empty());
        let alone = parse_alone(&format!("{FILE}{SOURCE}"), "vmcp.yaml", &environment).unwrap();
        assert!(alone.discovers && alone.backends.is_empty());
    }

    /// Why each backend is out, and nothing of those that are not.
    fn out(outgoing: &str, backends: Vec<Backend>) -> Vec<(String, String)> {
        let configuration = read(outgoing, backends).unwrap();
        let why = |settings: &super::super::super::BackendSettings| {
            let Transport::Http(endpoint) = &settings.config.transport else { return None };
            let vmcp_credentials::Config::Missing { why, .. } = &endpoint.outgoing else {
                return None;
            };
            Some((settings.config.id.to_string(), why.to_string()))
        };
        configuration.backends.iter().filter_map(why).collect()
    }

    #[test]
    fn one_that_cannot_be_used_is_out_alone() {
        let mut off = backend("a");
        off.entry["url"] = "ftp://a.test".into();
        let mut unheard = backend("a");
        unheard.entry["transport"] = "carrier-pigeon".into();
        let mut unvouched = backend("a");
        unvouched.authorities = Some(b"no certificate".to_vec());
        let lacking =
            Backend { lacking: Some("the Secret s does not exist".to_owned()), ..backend("a") };
        let cases = [
            (SOURCE, lacking, "the Secret s does not exist"),
            (SOURCE, unvouched, "its caBundleRef leads to no PEM certificate"),
            (
                SOURCE,
                off,
                "spec.remoteUrl of the MCPServerEntry a: \"ftp://a.test\" is not an http or https URL",
            ),
            (
                SOURCE,
                unheard,
                "spec.transport of the MCPServerEntry a: must be streamable-http or sse or stdio, not \"carrier-pigeon\"",
            ),
            (
                SOURCE,
                shown(header("X-Key", "DISCOVERED_BAD")),
                "headerInjection.valueSecretRef of the MCPExternalAuthConfig auth: the key bad of the Secret s holds a character that no header may have",
            ),
            (
                SOURCE,
                shown(
                    json!({"type": "token_exchange", "tokenExchange": {"tokenUrl": "https://idp.test"}}),
                ),
                "type of the MCPExternalAuthConfig auth: \"token_exchange\" needs the token that each caller shows, and incomingAuth takes none; set \
                 incomingAuth.type: oidc, or show the backend a token of vmcp's own (type: client_credentials)",
            ),
            (
                "passthroughHeaders: [X-Tenant]\noutgoingAuth: {source: discovered}",
                shown(header("X-Tenant", "DISCOVERED_S_K")),
                "passthroughHeaders[0]: \"X-Tenant\" is set by outgoingAuth as well; keep one of the two",
            ),
        ];
        for (outgoing, bad, why) in cases {
            let told = out(outgoing, vec![bad, backend("good")]);
            assert_eq!(told, [("a".to_owned(), why.to_owned())]);
        }
    }

    #[test]
    fn who_writes_an_object_gets_at_no_variable_of_this_process() {
        let mut curious = backend("a");
        curious.entry["url"] = "http://a.test/${TOKEN}".into();
        curious.entry["metadata"]["group"] = "${TOKEN}".into();
        let told = format!("{:?}", outcome::rendered(&read(SOURCE, vec![curious]).unwrap()));
        assert!(!told.contains("s3cret"), "{told}");
    }

    #[test]
    fn what_the_file_says_about_one_goes_first() {
        check(
            "
outgoingAuth:
  source: discovered
  default: {type: header_injection, headerInjection: {headerName: X-Default, headerValueEnv: TOKEN}}
  backends:
    a: {type: unauthenticated}
    who-may-come: {type: unauthenticated}",
            vec![shown(header("X-Key", "DISCOVERED_S_K")), backend("b")],
            "a: http://a.test/mcp unauthenticated ca 0 {\"group\": \"tools\"}
             b: http://b.test/mcp x-default=\"s3cret-token\" ca 0 {\"group\": \"tools\"}",
        );
    }

    #[test]
    fn authorities_reach_their_place() {
        let mut vouched = backend("a");
        vouched.authorities = Some(CERTIFICATE.to_vec());
        check(
            SOURCE,
            vec![vouched],
            "a: http://a.test/mcp unauthenticated ca 28 {\"group\": \"tools\"}",
        );
    }

    #[test]
    fn the_file_may_speak_of_those_that_are_not_there_yet() {
        let of_others = "\
operational: {timeouts: {perWorkload: {who-may-come: 5s}}}
outgoingAuth: {source: discovered}";
        assert!(read(of_others, vec![backend("a")]).is_ok());
    }

    #[test]
    fn a_name_that_leads_nowhere_is_told_once_it_is_known_who_is_there() {
        let of_others = "\
operational: {timeouts: {perWorkload: {nobody: 5s}}}
aggregation:
  conflictResolution: priority
  conflictResolutionConfig: {priorityOrder: [first, firts]}
  tools: [{workload: none, filter: [x]}]
outgoingAuth: {source: discovered, backends: {absent: {type: unauthenticated}}}
";
        let (head, _) = FILE.split_once("aggregation").unwrap();
        let text = format!("{head}{of_others}");
        let warnings = |found: &[&str]| {
            let backends = found.iter().map(|name| backend(name)).collect();
            let found = Discovered { backends, has_group: true, ..Discovered::default() };
            let read = parse(&text, "vmcp.yaml", &environment, &|_path| {}, &found).unwrap();
            read.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let of = |place: &str, name: &str, hint: &str| {
            format!(
                "vmcp.yaml:{place}: no backend is called {name:?} now, so this has no effect until one is{hint}"
            )
        };
        let others = [
            of("4:48: operational.timeouts.perWorkload.nobody", "nobody", ""),
            of(
                "7:53: aggregation.conflictResolutionConfig.priorityOrder[1]",
                "firts",
                "; did you mean \"first\"?",
            ),
            of("8:22: aggregation.tools[0].workload", "none", ""),
            of("9:55: outgoingAuth.backends.absent", "absent", ""),
        ];
        assert_eq!(warnings(&["first"]), others);
        assert_eq!(warnings(&[]).len(), 5, "{:?}", warnings(&[]));
        assert!(warnings(&["first", "firts", "nobody", "none", "absent"]).is_empty());
        let alone = parse_alone(&text, "vmcp.yaml", &environment).unwrap();
        assert!(alone.warnings.is_empty(), "nobody knows yet who is there");
    }

    #[test]
    fn what_anybody_would_get_who_makes_a_backend_is_warned_of() {
        let warnings = |default: &str| {
            let text = format!("{FILE}outgoingAuth: {{source: discovered, default: {default}}}");
            let read = parse_alone(&text, "vmcp.yaml", &environment).unwrap();
            read.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(warnings("{type: unauthenticated}").is_empty());
        let header = "{headerName: X-Key, headerValueEnv: TOKEN}";
        let told = warnings(&format!("{{type: header_injection, headerInjection: {header}}}"));
        assert!(
            told.len() == 1 && told[0].contains("outgoingAuth.default: is shown to every"),
            "{told:?}"
        );
    }

    #[test]
    fn what_is_wrong_with_the_file_is_told_as_ever() {
        for (outgoing, expected) in [
            (
                "backends: [{name: a, url: 'http://a'}]\noutgoingAuth: {source: discovered}",
                "vmcp.yaml:5:11: backends: stands beside outgoingAuth.source: discovered, by which backends are looked for \
                 in the cluster; remove it, or write source: inline",
            ),
            (
                "outgoingAuth: {source: discoverd}",
                "vmcp.yaml:5:24: outgoingAuth.source: must be inline or discovered, not \"discoverd\"; did you mean \"discovered\"?",
            ),
        ] {
            let text = format!("{FILE}{outgoing}");
            let problems = parse_alone(&text, "vmcp.yaml", &environment).unwrap_err().to_string();
            assert_eq!(problems, expected);
        }
        for group in ["Tools Team", "tools-", ".", "tools..a", "..", "Tools", &"a".repeat(254)] {
            let text = FILE.replace("tools", &format!("{group:?}")) + SOURCE;
            let problems = parse_alone(&text, "vmcp.yaml", &environment).unwrap_err().to_string();
            assert!(problems.contains("is no name of an MCPGroup"), "{problems}");
            // Elsewhere it is a label.
            let inline = text.replace(SOURCE, "backends: [{name: a, url: 'http://a'}]");
            assert!(parse_alone(&inline, "vmcp.yaml", &environment).is_ok(), "{inline}");
        }
        for group in ["tools", "tools.team-1", "1"] {
            let text = FILE.replace("tools", &format!("{group:?}")) + SOURCE;
            assert!(parse_alone(&text, "vmcp.yaml", &environment).is_ok(), "{group}");
        }
        let ungrouped = FILE.replace("groupRef: tools\n", "");
        let text = format!("{ungrouped}{SOURCE}");
        let problems = parse_alone(&text, "vmcp.yaml", &environment).unwrap_err().to_string();
        assert_eq!(
            problems,
            "vmcp.yaml:1:1: groupRef: is required for outgoingAuth.source: discovered: the MCPGroup whose servers are the backends"
        );
    }
}
