//! Who may do what: every way to use something, judged by policies.

mod around;
mod live;
mod ways;

use http::StatusCode;
use serde_json::{Value, json};
use vmcp_testkit::{
    client::{Client, fetch},
    gateway::Gateway,
    modern_client::ModernClient,
    process::Process,
    raw::{Form, Kind, RawServer, Running, fixed},
};

use crate::serve;

/// What is called `free` is allowed, what is called `judged` with the right key only, all else is not.
const POLICIES: &str = r#"
      permit(principal, action, resource) when { resource.name like "*free*" };
      permit(principal, action, resource) when {
        resource.name like "*judged*" && context has arg_key && context.arg_key == "yes"
      };"#;

/// `incomingAuth` of callers who prove nothing, with policies.
fn by_policies(policies: &str) -> String {
    format!("type: anonymous, authz: {{type: cedar, policies: [{}]}}", json!(policies))
}

/// A gateway with these policies.
fn limited(backends: &[(&str, String)], policies: &str) -> Gateway {
    Gateway::before(backends).incoming(&by_policies(policies))
}

/// A server of everything, in all three names.
fn server() -> RawServer {
    let mut server = RawServer::builder().form(Form::Json);
    for name in ["free", "judged", "closed"] {
        let tool = format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#);
        let linked = r#"{"content":[{"type":"resource_link","uri":"odd://free","name":"x"},{"type":"resource_link","uri":"odd://closed","name":"x"}]}"#;
        let prompt = format!(r#"{{"name":"{name}","arguments":[{{"name":"key"}}]}}"#);
        server = server
            .tool(&tool, linked)
            .prompt(&prompt, r#"{"messages":[]}"#)
            .offer(Kind::Resources, &format!(r#"{{"uri":"x:{name}","name":"{name}"}}"#), read())
            .script(&format!("odd/{name}"), fixed(r#"{"odd":true}"#));
    }
    server
        .offer(Kind::Templates, r#"{"uriTemplate":"x:t/{name}","name":"t"}"#, read())
        .script("resources/read", read())
        .script("completion/complete", fixed(r#"{"completion":{"values":["v"]}}"#))
}

fn read() -> vmcp_testkit::raw::Handler {
    fixed(r#"{"contents":[]}"#)
}

/// What somebody is answered.
#[derive(Debug, PartialEq)]
struct Answer {
    status: StatusCode,
    body: Value,
}

impl Answer {
    /// The code of the error, if it is one.
    fn error(&self) -> Option<i64> {
        self.body["error"]["code"].as_i64()
    }

    fn is_denied(&self, what: &str) -> bool {
        let message = format!("{what} denied by authorization policy");
        self.status == 403
            && self.body["error"] == json!({"code": 403, "message": message})
            && !self.body["id"].is_null()
    }
}

/// A client of either era.
enum Asker {
    Legacy(Client),
    Modern(ModernClient),
}

impl Asker {
    async fn both(process: &Process) -> [(&'static str, Self); 2] {
        let legacy = Client::connect(&process.url()).await.unwrap();
        [
            ("legacy", Self::Legacy(legacy)),
            ("modern", Self::Modern(ModernClient::new(&process.url()).tolerant())),
        ]
    }

    async fn ask(&self, method: &str, params: Value) -> Answer {
        match self {
            Self::Legacy(client) => {
                let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
                let response = client.post(body.to_string()).await.unwrap();
                let status = response.status();
                let bytes = response.bytes().await.unwrap();
                Answer { status, body: serde_json::from_slice(&bytes).unwrap() }
            }
            Self::Modern(client) => {
                let answered = client.request(method, params).await.unwrap();
                Answer { status: answered.status(), body: answered.message().json() }
            }
        }
    }
}

/// How many requests of a method were denied, as `/status` has it.
async fn denied(process: &Process, method: &str) -> u64 {
    let (_, body) = fetch(&process.url_of("/status")).await.unwrap();
    let status: Value = serde_json::from_slice(&body).unwrap();
    status["authorization"]["denied"][method].as_u64().unwrap_or(0)
}

/// How many requests of a method have reached a backend.
fn reached(backend: &Running, method: &str) -> usize {
    backend.seen().iter().filter(|seen| seen.method == method).count()
}
