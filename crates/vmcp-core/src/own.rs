//! Tools of vmcp's own: what they do. They stand in catalogs as others do, and are called as others are.

use bytes::Bytes;
use serde_json::{Value, json};
use vmcp_backend::{Backend, State};
use vmcp_catalog::{Catalog, OwnItem, OwnTool};
use vmcp_model::{BackendId, Era, Kind, raw::Members};
use vmcp_wire::{Fault, Message, Outcome, reply};

use crate::{answering::Whole, caller::Caller, view::BackendState, vmcp::Vmcp};

/// What clients see of the tool that tells how the backends fare.
const STATUS: &str = r#"{"name":"vmcp_status","title":"Status of the servers behind this one","description":"Tells which MCP servers are behind this one, how each of them fares, how many tools, resources, resource templates and prompts it has for you, and which are missing from the lists. Call it when something that should be there is missing, or when calls fail.","inputSchema":{"type":"object","properties":{},"additionalProperties":false},"outputSchema":{"type":"object","properties":{"servers":{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"},"state":{"type":"string"},"sinceSeconds":{"type":"integer"},"problem":{"type":"string"},"tools":{"type":"integer"},"resources":{"type":"integer"},"resourceTemplates":{"type":"integer"},"prompts":{"type":"integer"}},"required":["name","state","sinceSeconds","tools","resources","resourceTemplates","prompts"]}},"missing":{"type":"array","items":{"type":"string"}}},"required":["servers","missing"]},"annotations":{"readOnlyHint":true,"openWorldHint":false}}"#;

/// The tool that tells how the backends fare, as a catalog takes it.
pub fn status_tool() -> OwnItem {
    OwnItem::new(OwnTool::Status, Bytes::from_static(STATUS.as_bytes()))
        .expect("every client can read the definition")
}

impl Vmcp {
    /// Runs a tool of vmcp's own.
    pub(crate) fn run(
        &self,
        tool: OwnTool,
        caller: &Caller<'_>,
        message: &Message,
    ) -> Result<Whole, Fault> {
        let id = message.id().ok_or(Fault::InvalidRequest("a request needs an id".into()))?;
        if message.params().task.is_some() {
            let why = "the tool cannot run as a task; call it without \"task\"";
            return Err(Fault::InvalidParams(why.into()));
        }
        let result = match tool {
            OwnTool::Status => {
                takes_no_arguments(message)?;
                self.status(caller)
            }
        };
        let text = reply::result(id, result.to_string().as_bytes());
        let text = match caller.era {
            Era::Legacy => text,
            Era::Modern => {
                let outcome = Outcome::parse(text).map_err(|why| {
                    Fault::Internal(format!("an answer was written badly: {why}").into())
                })?;
                outcome.modernized(self.server_info(), false)
            }
        };
        Ok(Whole { text, error: None })
    }

    /// How the backends fare, for this caller: nobody learns of one of which nothing is for them.
    fn status(&self, caller: &Caller<'_>) -> Value {
        let (catalog, states) = (caller.catalog, self.backend_states());
        let has_any =
            |id: &BackendId| Kind::ALL.into_iter().any(|kind| catalog.count_of(kind, id) > 0);
        let mut backends = self.backends();
        backends.retain(|backend| caller.grant.is_none() || has_any(backend.id()));
        let servers = backends.iter().map(|backend| {
            let state = states.get(backend.id());
            server_status(backend, state, catalog)
        });
        let servers: Vec<_> = servers.collect();
        let missing = backends.iter().map(|backend| backend.id());
        let missing = missing.filter(|id| catalog.backends().binary_search(id).is_err());
        let missing: Vec<_> = missing.map(|id| id.as_str()).collect();
        let mut lines: Vec<_> = servers.iter().map(line).collect();
        if !missing.is_empty() {
            lines.push(format!("missing from the lists: {}", missing.join(", ")));
        }
        json!({
            "content": [{"type": "text", "text": lines.join("\n")}],
            "structuredContent": {"servers": servers, "missing": missing},
        })
    }
}

fn server_status(backend: &Backend, state: Option<&BackendState>, catalog: &Catalog) -> Value {
    let health = backend.health();
    let count = |kind| catalog.count_of(kind, backend.id());
    let mut status = json!({
        "name": backend.id().as_str(),
        "state": health.state.name(),
        "sinceSeconds": health.state_age.as_secs(),
        "tools": count(Kind::Tool),
        "resources": count(Kind::Resource),
        "resourceTemplates": count(Kind::ResourceTemplate),
        "prompts": count(Kind::Prompt),
    });
    // What went wrong may have been mended since, and be under way.
    let past = health.last_error.filter(|_| health.state != State::Healthy);
    let past = past.map(|(error, age)| format!("{} s ago: {error}", age.as_secs()));
    let present = state.and_then(|state| state.problem(backend.is_program()));
    if let Some(problem) = past.or(present) {
        status["problem"] = problem.into();
    }
    status
}

/// The same in words.
fn line(server: &Value) -> String {
    let text = |name: &str| server[name].as_str().unwrap_or_default();
    let counts = ["tools", "resources", "prompts"].map(|kind| format!("{} {kind}", server[kind]));
    let problem = match text("problem") {
        "" => String::new(),
        problem => format!("; {problem}"),
    };
    format!("{}: {}, {}{problem}", text("name"), text("state"), counts.join(", "))
}

fn takes_no_arguments(message: &Message) -> Result<(), Fault> {
    let arguments = message.params().arguments.clone().map(|span| message.slice(&span));
    let has_none = arguments.is_none_or(|arguments| {
        arguments == b"null"[..]
            || Members::parse(&arguments).is_some_and(|members| members.iter().next().is_none())
    });
    match has_none {
        true => Ok(()),
        false => {
            let name = message.string(message.params().name.as_ref()).unwrap_or_default();
            Err(Fault::InvalidParams(format!("{name} takes no arguments; send {{}}").into()))
        }
    }
}
