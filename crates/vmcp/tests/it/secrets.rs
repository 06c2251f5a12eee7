//! No secret is in what vmcp writes: its log, its audit log, what operators and metrics are told, and what clients
//! are told of what has failed.
//!
//! Every place where a secret can be configured or sent gets one that is marked, and all that is written is searched
//! for it.

use std::{collections::BTreeMap, fs};

use bytes::Bytes;
use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use vmcp_testkit::{
    CHILD,
    client::{Client, Response},
    gateway::{Gateway, eventually},
    identity::{AUDIENCE, IdentityProvider},
    modern::{self, ModernServer},
    modern_client::ModernClient,
    process::{Process, free_port},
    raw::{self, Answer, Call, Kind, RawServer},
    redis::RedisServer,
    token_endpoint::{Given, TokenEndpoint},
};

const KEYS: &str = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";

/// What is secret at a place.
fn mark(place: &str) -> String {
    format!("s3cret-{place}-7f3a9c1e")
}

/// The places whose secrets are marked, but for those that are made while vmcp runs.
const PLACES: [&str; 20] = [
    "fixed",
    "literal",
    "file",
    "injected",
    "client",
    "obtained",
    "tenant",
    "admin",
    "redis",
    "collector",
    "program",
    "bearer",
    "basic",
    "operator",
    "cookie",
    "query",
    "malformed",
    "odd",
    "argument",
    "result",
];

/// Those that the audit log may have where it is told to.
const DATA: [&str; 2] = ["argument", "result"];

struct Fixture {
    process: Process,
    admin: String,
    provider: IdentityProvider,
    legacy: raw::Running,
    files: TempDir,
    gateway: Gateway,
    _others: (modern::Running, TokenEndpoint, RedisServer, TempDir),
}

fn tool(name: &str) -> String {
    format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#)
}

/// Repeats all that it was shown, and says that this is what is wrong.
fn repeats(call: &Call) -> String {
    let shown = |name: &str| call.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let names = ["x-fixed", "x-literal", "x-file", "x-tenant", "authorization", "mcp-session-id"];
    names.iter().filter_map(|name| shown(name)).collect::<Vec<_>>().join(" ")
}

fn legacy_server() -> RawServer {
    RawServer::builder()
        .tool(&tool("fine"), Answer::text(mark("result")))
        .tool(
            &tool("fails"),
            format!(
                r#"{{"content":[{{"type":"text","text":"{}"}}],"isError":true}}"#,
                mark("result")
            ),
        )
        .offer(
            Kind::Tools,
            &tool("repeats"),
            raw::handler(|call: Call| async move {
                let body = repeats(&call).into();
                Answer::Http { status: 500, content_type: Some("text/plain"), body }
            }),
        )
        .offer(
            Kind::Tools,
            &tool("refuses"),
            raw::handler(|call: Call| async move {
                let body = repeats(&call).into();
                Answer::Http { status: 403, content_type: Some("text/plain"), body }
            }),
        )
        .prompt(r#"{"name":"p","arguments":[{"name":"text"}]}"#, r#"{"messages":[]}"#)
}

async fn fixture(data: bool) -> Fixture {
    let files = tempfile::tempdir().unwrap();
    let audit = tempfile::tempdir().unwrap();
    for place in ["file", "admin"] {
        fs::write(files.path().join(place), mark(place)).unwrap();
    }
    let legacy = legacy_server().start().await.unwrap();
    let modern = ModernServer::builder().tool(&tool("fine"), modern::text(mark("result")));
    let modern = modern.start().await.unwrap();
    let endpoint = TokenEndpoint::start().await.unwrap();
    endpoint.set_script(|_asked| Given::token(&mark("obtained"), 3600));
    let provider = IdentityProvider::start().await.unwrap();
    let redis = RedisServer::with(&format!("requirepass {}", mark("redis"))).await.unwrap();
    let (admin, collector) = (free_port().unwrap(), free_port().unwrap());
    let directory = files.path().display();
    let headers = format!(
        "headers: {{X-Fixed: '${{FIXED}}', X-Literal: {}}}, headersFromFile: {{X-File: '{directory}/file'}}",
        mark("literal")
    );
    let gateway = Gateway::before(&[("injected", modern.url()), ("obtained", legacy.url())])
        .backend(&format!("name: legacy, url: '{}', {headers}", legacy.url()))
        // It says what it was given, as programs do that are out of order.
        .backend(&format!(
            "name: kid, command: sh, args: ['-c', 'echo token $API_TOKEN >&2; exec python3 {CHILD}'], \
             env: {{API_TOKEN: {}}}",
            mark("program")
        ))
        .incoming(&format!(
            "type: oidc, oidc: {{issuer: '{}', audience: {AUDIENCE}, resource: 'https://mcp.example/mcp', \
             insecureAllowHttp: true, jwksAllowPrivateIp: true}}",
            provider.issuer()
        ))
        .with(&format!(
            "outgoingAuth:
  backends:
    injected: {{type: header_injection, headerInjection: {{headerName: Authorization, headerValueEnv: INJECTED}}}}
    obtained:
      type: client_credentials
      clientCredentials: {{tokenUrl: '{}', clientId: vmcp, clientSecretEnv: CLIENT}}
operational: {{logLevel: debug}}
passthroughHeaders: [X-Tenant]
sessionStorage: {{provider: redis, address: '{}'}}
admin: {{listen: '127.0.0.1:{admin}', auth: {{type: token, tokenFile: '{directory}/admin'}}}}
telemetry: {{enablePrometheusMetricsPath: true, metricsEnabled: true, tracingEnabled: true, samplingRate: '1', \
             endpoint: 'http://127.0.0.1:{collector}', headers: {{Authorization: '${{COLLECTOR}}'}}}}
audit: {{logFile: '{}/audit.log', includeRequestData: {data}, includeResponseData: {data}}}",
            endpoint.url(),
            redis.address(),
            audit.path().display()
        ));
    let mut program = gateway.program(env!("CARGO_BIN_EXE_vmcp"));
    for (name, place) in [
        ("FIXED", "fixed"),
        ("INJECTED", "injected"),
        ("CLIENT", "client"),
        ("COLLECTOR", "collector"),
        ("THV_SESSION_REDIS_PASSWORD", "redis"),
    ] {
        program = program.environment(name, &mark(place));
    }
    let process = program.environment("VMCP_SESSION_HMAC_SECRET", KEYS).start().await.unwrap();
    let admin = format!("http://127.0.0.1:{admin}");
    // The log is elsewhere than the files that hold secrets.
    let others = (modern, endpoint, redis, audit);
    Fixture { process, admin, provider, legacy, files, gateway, _others: others }
}

/// All that a client is told: the head and the body.
async fn whole(response: Response) -> String {
    let head = format!("{} {:?}", response.status(), response.headers());
    let body = response.bytes().await.unwrap_or_default();
    format!("{head}\n{}\n", String::from_utf8_lossy(&body))
}

impl Fixture {
    fn calling(&self, token: &str) -> Client {
        Client::new(&self.process.url())
            .with_header("authorization", &format!("Bearer {token}"))
            .with_header("x-tenant", &mark("tenant"))
            .with_header("cookie", &format!("session={}", mark("cookie")))
    }

    /// Uses everything as it should be, and gives what is only known now: session ids.
    async fn use_everything(&self, token: &str) -> Vec<String> {
        let mut client = self.calling(token);
        client.initialize().await.unwrap();
        let argument = json!({"text": mark("argument")});
        for tool in ["legacy_fine", "legacy_fails", "injected_fine", "obtained_fine", "kid_echo"] {
            eventually("it can be called", async || {
                let answer = client.call("1", tool, &argument.to_string()).await.unwrap();
                answer.result().is_ok().then_some(())
            })
            .await;
        }
        let prompt = json!({"name": "legacy_p", "arguments": argument});
        client.request("3", "prompts/get", &prompt.to_string()).await.unwrap().result().unwrap();
        let stream = client.listen(None).await.unwrap();
        drop(stream);
        let modern = ModernClient::new(&self.process.url())
            .header("authorization", &format!("Bearer {token}"))
            .header("x-tenant", &mark("tenant"));
        for tool in ["legacy_fine", "injected_fine", "obtained_fine"] {
            modern.call(tool, argument.clone()).await.unwrap().result().unwrap();
        }
        let mut ids: Vec<_> =
            self.legacy.sessions().iter().map(|session| session.id().to_owned()).collect();
        assert!(!ids.is_empty());
        ids.push(client.session().unwrap().to_owned());
        ids
    }

    /// Does whatever fails, and gives all that was told of it.
    async fn fail_everywhere(&self, token: &str) -> String {
        let mut client = self.calling(token);
        client.initialize().await.unwrap();
        let argument = json!({"text": mark("argument")});
        let mut told = String::new();
        for (id, tool) in [
            "legacy_repeats",
            "kid_die",
            "legacy_refuses",
            "obtained_repeats",
            "obtained_refuses",
            "nothing",
        ]
        .into_iter()
        .enumerate()
        {
            let answer = client.open_call(&id.to_string(), tool, &argument.to_string()).await;
            told += &whole(answer.unwrap()).await;
        }
        let odd = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["{}"]}}"#,
            mark("odd")
        );
        for body in [format!("{{\"{}", mark("malformed")), format!("[\"{}\"]", mark("odd")), odd] {
            told += &whole(client.post(body).await.unwrap()).await;
        }
        for value in [
            format!("Bearer {}", mark("bearer")),
            format!("Bearer {}.{}.{0}", mark("bearer"), mark("odd")),
            format!("Basic {}", mark("basic")),
            mark("basic"),
            format!("Bearer {token}x"),
        ] {
            let stranger = client.clone().with_header("authorization", &value);
            told += &whole(stranger.post("{}").await.unwrap()).await;
            told += &whole(stranger.listen(None).await.unwrap()).await;
        }
        for path in ["/mcp", "/elsewhere", "/status"] {
            let url = self.process.url_of(&format!("{path}?access_token={}", mark("query")));
            let asking = Client::new(&url);
            told += &whole(asking.post("{}").await.unwrap()).await;
        }
        let operator = format!("Bearer {}", mark("operator"));
        for path in ["/status", "/metrics", "/api/backends/health"] {
            let asking = Client::new(&format!("{}{path}", self.admin));
            let headers = [("authorization", &*operator)];
            let answer = asking.send(Method::GET, &headers, Bytes::new()).await.unwrap();
            told += &whole(answer).await;
        }
        assert!(
            told.contains("401") && told.contains("500") && told.contains("unknown tool"),
            "{told}"
        );
        told
    }

    /// What operators are told.
    async fn shown(&self) -> String {
        let operator = format!("Bearer {}", mark("admin"));
        let mut told = String::new();
        for path in ["/status", "/metrics", "/api/backends/health", "/readyz"] {
            for base in [self.process.url_of(""), self.admin.clone()] {
                let asking = Client::new(&format!("{base}{path}"));
                let headers = [("authorization", &*operator), ("accept", "*/*")];
                let answer = asking.send(Method::GET, &headers, Bytes::new()).await.unwrap();
                assert_eq!(answer.status(), 200, "{base}{path}");
                told += &whole(answer).await;
            }
        }
        told
    }

    /// Has it read files that are wrong somewhere.
    async fn reload_what_is_wrong(&self) {
        let good = self.gateway.yaml();
        let literal = mark("literal");
        for (turn, bad) in [
            format!("{good}\n\"{literal}: ["),
            good.replace(&literal, &format!("[{literal}]")),
            good.replace(&literal, &format!("\"{literal}\\n\"")),
            good.replace("X-Literal", "X Literal"),
        ]
        .into_iter()
        .enumerate()
        {
            assert_ne!(bad, good);
            self.process.write_config(&bad).unwrap();
            self.process.signal(Signal::HUP).unwrap();
            eventually("it is refused", async || {
                let log = self.process.log();
                (log.matches("was not reloaded").count() > turn).then_some(())
            })
            .await;
        }
    }
}

/// What of this is in one of these texts: where, and what.
fn found<'a>(
    texts: &[(&'a str, &str)],
    secrets: &'a BTreeMap<String, String>,
) -> Vec<(&'a str, &'a str, String)> {
    let mut all = Vec::new();
    for (name, text) in texts {
        for (place, secret) in secrets {
            if let Some(line) = text.lines().find(|line| line.contains(secret.as_str())) {
                all.push((*name, place.as_str(), line.chars().take(600).collect()));
            }
        }
    }
    all
}

#[tokio::test]
async fn what_is_secret_is_in_nothing_that_is_written() {
    for data in [false, true] {
        let fixture = fixture(data).await;
        let tokens = [fixture.provider.token("alice"), fixture.provider.token("bob")];
        let mut ids = Vec::new();
        let mut told = String::new();
        for token in &tokens {
            ids.extend(fixture.use_everything(token).await);
            told += &fixture.fail_everywhere(token).await;
        }
        // Clients have their own ids in what answers `initialize`, which is not among it.
        let shown = fixture.shown().await;
        fixture.reload_what_is_wrong().await;
        let Fixture { process, files, _others: others, .. } = fixture;
        let log_path = process.directory().join("log");
        let log_copy = files.path().join("log");
        // What is written at the end counts, too.
        let hard = fs::hard_link(&log_path, &log_copy);
        hard.unwrap();
        assert!(process.terminate().await.unwrap().success());
        let log = fs::read_to_string(&log_copy).unwrap();
        let audit = fs::read_to_string(others.3.path().join("audit.log")).unwrap();
        assert!(log.contains("DEBUG"), "it logs all it can");

        let mut secrets: BTreeMap<_, _> =
            PLACES.iter().map(|place| ((*place).to_owned(), mark(place))).collect();
        secrets.insert("keys".to_owned(), KEYS.to_owned());
        for (number, token) in tokens.iter().enumerate() {
            let signature = token.rsplit('.').next().unwrap().to_owned();
            secrets.insert(format!("token {number}"), signature);
        }
        for (number, id) in ids.into_iter().enumerate() {
            secrets.insert(format!("session {number}"), id);
        }
        let everywhere = [("log", &*log), ("status and metrics", &shown), ("errors", &told)];
        let mut leaks = found(&everywhere, &secrets);
        let in_audit = found(&[("audit", &audit)], &secrets);
        let (of_data, others): (Vec<_>, Vec<_>) =
            in_audit.into_iter().partition(|(_, place, _)| DATA.contains(place));
        leaks.extend(others);
        assert!(leaks.is_empty(), "{leaks:#?}");
        let expected = if data { DATA.len() } else { 0 };
        assert_eq!(of_data.len(), expected, "{of_data:#?}");
        let records = audit.lines().map(serde_json::from_str::<Value>).filter(Result::is_ok);
        assert!(records.count() > 50);
    }
}
