//! What spans are called, and what they tell of a request.

use std::fmt::Write as _;

use vmcp_model::{
    Era, Kind, Method, ProtocolVersion, raw,
    trail::{Asked, Details, End, Trail, Via},
};

use super::{Attribute, AttributeValue, Style};

/// `tools/call add`. A target is part of it only once it is known to exist: there are only so many, while
/// clients may write whatever they like. Resources are no part of it, as the conventions want it.
pub(super) fn span_name(trail: &Trail) -> String {
    let asked = trail.asked();
    let Some(method) = asked.method else { return via(asked.via).to_owned() };
    let capability = trail.target().and_then(|target| target.capability.as_ref());
    match capability {
        Some((Kind::Tool | Kind::Prompt, name)) => {
            format!("{} {}", method.name(), super::cut(name))
        }
        Some((Kind::Resource | Kind::ResourceTemplate, _)) | None => method.name().to_owned(),
    }
}

/// What both spans tell.
pub(super) fn common(trail: &Trail, style: &Style) -> Vec<Attribute> {
    let asked = trail.asked();
    let mut found = Vec::with_capacity(24);
    if let Some(method) = asked.method {
        let name = method_name(asked, method);
        found.push(("rpc.system.name", AttributeValue::Name("jsonrpc")));
        if style.legacy {
            found.push(("mcp.method", name.clone()));
            found.push(("rpc.system", AttributeValue::Name("jsonrpc")));
            found.push(("rpc.service", AttributeValue::Name("mcp")));
        }
        found.push(("mcp.method.name", name));
        named(trail, method, style, &mut found);
    }
    if asked.era == Era::Modern {
        let version = ProtocolVersion::MODERN.name();
        found.push(("mcp.protocol.version", AttributeValue::Name(version)));
    }
    let backend = trail.target().and_then(|target| target.backend.as_ref());
    if let Some(backend) = backend {
        found.push(("target.workload_name", backend.as_str().into()));
    }
    ended(trail.end(), &mut found);
    found
}

/// What only the span at vmcp tells: the client and the exchange with it.
pub(super) fn at_vmcp(trail: &Trail, style: &Style, mut found: Vec<Attribute>) -> Vec<Attribute> {
    let asked = trail.asked();
    let method = AttributeValue::Name(via(asked.via));
    found.push(("mcp.server.name", (&*style.server_name).into()));
    found.push(("network.transport", AttributeValue::Name("tcp")));
    found.push(("network.protocol.name", AttributeValue::Name("http")));
    found.push(("client.address", asked.address.to_string().as_str().into()));
    if style.legacy {
        found.push(("http.method", method.clone()));
        found.push(("mcp.transport", AttributeValue::Name("streamable-http")));
    }
    found.push(("http.request.method", method));
    if let Some(client) = trail.client() {
        found.push(("mcp.client.name", (&*client.name).into()));
    }
    if let Some(status) = trail.status() {
        found.push(("http.response.status_code", AttributeValue::Int(status.into())));
        if style.legacy {
            found.push(("http.status_code", AttributeValue::Int(status.into())));
        }
    }
    if let Some(details) = &asked.details {
        told(details, style, &mut found);
    }
    found
}

/// What only the span at the backend tells.
pub(super) fn at_backend(trail: &Trail, mut found: Vec<Attribute>) -> Vec<Attribute> {
    let backend = trail.target().and_then(|target| target.backend.as_ref());
    if let Some(backend) = backend {
        found.push(("mcp.server.name", backend.as_str().into()));
    }
    found
}

/// What the request names, by what it is; otherwise as the client has it.
fn named(trail: &Trail, method: Method, style: &Style, found: &mut Vec<Attribute>) {
    let asked = trail.asked().details.as_ref().and_then(|details| details.name.as_deref());
    let capability = trail.target().and_then(|target| target.capability.as_ref());
    let known = capability.map(|(_, name)| &**name);
    match method {
        Method::ToolsCall => {
            found.push(("gen_ai.operation.name", AttributeValue::Name("execute_tool")));
            add("gen_ai.tool.name", known.or(asked), found);
            add("mcp.tool.name", known.or(asked).filter(|_| style.legacy), found);
        }
        Method::PromptsGet => {
            add("gen_ai.prompt.name", known.or(asked), found);
            add("mcp.prompt.name", known.or(asked).filter(|_| style.legacy), found);
        }
        Method::ResourcesRead | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => {
            add("mcp.resource.uri", asked, found);
            add("mcp.resource.id", asked.filter(|_| style.legacy), found);
        }
        Method::CompletionComplete => {
            let prompt = capability.filter(|(kind, _)| *kind == Kind::Prompt);
            add("gen_ai.prompt.name", prompt.map(|(_, name)| &**name), found);
        }
        // They name nothing, or something that others name better.
        _ => {}
    }
}

/// How it has ended.
fn ended(end: Option<&End>, found: &mut Vec<Attribute>) {
    match end {
        None | Some(End::Answered) => {}
        Some(End::ToolError) => found.push(("error.type", AttributeValue::Name("tool_error"))),
        Some(End::Error { code, .. }) => {
            let code = code.to_string();
            found.push(("error.type", code.as_str().into()));
            found.push(("rpc.response.status_code", code.as_str().into()));
        }
        Some(End::Failed { why, code, .. }) => {
            found.push(("error.type", AttributeValue::Name(why.name())));
            found.push(("rpc.response.status_code", code.to_string().as_str().into()));
        }
    }
}

/// What the client tells about itself and its request.
fn told(details: &Details, style: &Style, found: &mut Vec<Attribute>) {
    let agent = details.user_agent.as_deref();
    add("user_agent.original", agent, found);
    add("http.user_agent", agent.filter(|_| style.legacy), found);
    if let Some(id) = details.id.as_deref().filter(|id| *id != "null") {
        // A text without its quotes.
        let text = raw::as_string(id.as_bytes());
        let id = text.as_deref().unwrap_or(id);
        add("jsonrpc.request.id", Some(id), found);
        add("mcp.request.id", Some(id).filter(|_| style.legacy), found);
    }
    let session = details.session.as_deref().map(session_digest);
    add("mcp.session.id", session.as_deref(), found);
}

/// A session's id is a secret; this tells sessions apart.
fn session_digest(id: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, id.as_bytes());
    let mut text = String::with_capacity(16);
    for byte in &digest.as_ref()[..8] {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

fn method_name(asked: &Asked, method: Method) -> AttributeValue {
    let own = asked.details.as_ref().and_then(|details| details.method_name.as_deref());
    match own {
        Some(name) if method == Method::Other => name.into(),
        _ => AttributeValue::Name(method.name()),
    }
}

fn add(name: &'static str, text: Option<&str>, found: &mut Vec<Attribute>) {
    found.extend(text.map(|text| (name, text.into())));
}

fn via(via: Via) -> &'static str {
    match via {
        Via::Post => "POST",
        Via::Get => "GET",
        Via::Delete => "DELETE",
    }
}
