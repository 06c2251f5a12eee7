//! Makes the metrics of requests out of their series.

use std::{borrow::Cow, collections::BTreeMap};

use vmcp_model::{Method, ProtocolVersion, trail::Via};

use super::{
    Settings,
    cell::{BOUNDS, Durations, Totals},
    key::{Key, Named, Outcome},
    registry::Reading,
};
use crate::{
    catalogue::requests::{
        BACKEND_DURATION, BACKEND_ERRORS, BACKEND_REQUESTS, CLIENT_DURATION, REQUEST_DURATION,
        REQUESTS, SERIES, SERIES_DROPPED, SERVER_DURATION, TOOL_CALLS,
    },
    family::{Family, Histogram, Metric, Point, Value},
    text,
};

type Attributes<'a> = Vec<(&'static str, Cow<'a, str>)>;

/// What several series add up to, for each set of attributes.
type Sums<'a> = BTreeMap<Attributes<'a>, Durations>;

pub(super) fn families(reading: &Reading, settings: &Settings) -> Vec<Family> {
    let server = text::value(&settings.server);
    let [mut operations, mut at_backends, mut requests, mut calls, mut sent, mut failed] =
        [const { Sums::new() }; 6];
    for (key, totals) in &reading.series {
        let Totals { took, at_backend, .. } = totals;
        if let Some(method) = key.facts.method {
            add(&mut operations, operation(key, method), took);
        }
        add(&mut requests, request(key, &server), took);
        if key.facts.method == Some(Method::ToolsCall) && key.facts.named == Named::Tool {
            add(&mut calls, tool_call(key, &server), took);
        }
        if at_backend.count_all() > 0 {
            add(&mut at_backends, at_one_backend(key), at_backend);
            let attributes = sent_on(key, settings.legacy);
            if !matches!(key.facts.outcome, Outcome::Answered | Outcome::ToolError) {
                add(&mut failed, attributes.clone(), at_backend);
            }
            add(&mut sent, attributes, at_backend);
        }
    }
    vec![
        family(&SERVER_DURATION, &operations, histogram),
        family(&CLIENT_DURATION, &at_backends, histogram),
        family(&REQUESTS, &requests, count),
        family(&REQUEST_DURATION, &requests, histogram),
        family(&TOOL_CALLS, &calls, count),
        family(&BACKEND_REQUESTS, &sent, count),
        family(&BACKEND_ERRORS, &failed, count),
        family(&BACKEND_DURATION, &sent, histogram),
        SERIES.number(reading.count),
        SERIES_DROPPED.number(reading.dropped),
    ]
}

fn add<'a>(sums: &mut Sums<'a>, mut attributes: Attributes<'a>, durations: &Durations) {
    attributes.retain(|(_, value)| !value.is_empty());
    sums.entry(attributes).or_default().add(durations);
}

fn family(metric: &'static Metric, sums: &Sums<'_>, value: fn(&Durations) -> Value) -> Family {
    let owned = |(name, value): &(&'static str, Cow<'_, str>)| {
        let value = match value {
            Cow::Borrowed(value) => (*value).to_owned(),
            Cow::Owned(value) => value.clone(),
        };
        (*name, Cow::Owned(value))
    };
    let points = sums.iter().map(|(attributes, durations)| Point {
        attributes: attributes.iter().map(owned).collect(),
        value: value(durations),
    });
    metric.family(points.collect())
}

fn count(durations: &Durations) -> Value {
    Value::Number(durations.count_all())
}

fn histogram(durations: &Durations) -> Value {
    Value::Histogram(Histogram {
        bounds: &BOUNDS,
        counts: durations.buckets.to_vec(),
        sum: seconds(durations.microseconds),
    })
}

fn seconds(microseconds: u64) -> f64 {
    std::time::Duration::from_micros(microseconds).as_secs_f64()
}

/// Of `mcp.server.operation.duration`.
fn operation(key: &Key, method: Method) -> Attributes<'_> {
    let revision = key.facts.version.map_or("", ProtocolVersion::name);
    let calls_tool = method == Method::ToolsCall && key.facts.named == Named::Tool;
    vec![
        ("mcp.method.name", method.name().into()),
        ("mcp.protocol.version", revision.into()),
        ("network.transport", "tcp".into()),
        ("error.type", error(key).into()),
        ("gen_ai.operation.name", if calls_tool { "execute_tool" } else { "" }.into()),
        ("gen_ai.tool.name", name(key, Named::Tool).into()),
        ("gen_ai.prompt.name", name(key, Named::Prompt).into()),
    ]
}

/// Of `mcp.client.operation.duration`.
fn at_one_backend(key: &Key) -> Attributes<'_> {
    vec![
        ("mcp.method.name", method(key).into()),
        ("error.type", error(key).into()),
        ("target.workload_name", (&*key.backend).into()),
    ]
}

/// Of the metrics of ToolHive about HTTP requests.
fn request<'a>(key: &'a Key, server: &'a str) -> Attributes<'a> {
    let via = match key.facts.via {
        Via::Post => "POST",
        Via::Get => "GET",
        Via::Delete => "DELETE",
    };
    let status = key.facts.status;
    let code = if status == 0 { Cow::Borrowed("") } else { status.to_string().into() };
    vec![
        ("method", via.into()),
        ("status_code", code),
        ("status", status_of(key).into()),
        ("mcp_method", method(key).into()),
        ("mcp_resource_id", any_name(key).into()),
        ("server", server.into()),
        ("transport", "streamable-http".into()),
    ]
}

fn tool_call<'a>(key: &'a Key, server: &'a str) -> Attributes<'a> {
    vec![
        ("server", server.into()),
        ("tool", any_name(key).into()),
        ("status", status_of(key).into()),
    ]
}

/// Of the metrics of ToolHive about requests to backends.
fn sent_on(key: &Key, legacy: bool) -> Attributes<'_> {
    let (tool, prompt) = (name(key, Named::Tool), name(key, Named::Prompt));
    let if_legacy = |value| if legacy { value } else { "" };
    vec![
        ("target.workload_id", if_legacy(&*key.backend).into()),
        ("target.workload_name", (&*key.backend).into()),
        ("action", if_legacy(action(key.facts.method)).into()),
        ("mcp.method.name", method(key).into()),
        ("tool_name", if_legacy(tool).into()),
        ("gen_ai.tool.name", tool.into()),
        ("prompt_name", if_legacy(prompt).into()),
        ("gen_ai.prompt.name", prompt.into()),
    ]
}

/// What ToolHive calls it where it does it; what it does not do has no name there.
fn action(method: Option<Method>) -> &'static str {
    match method {
        Some(Method::ToolsCall) => "call_tool",
        Some(Method::ResourcesRead) => "read_resource",
        Some(Method::PromptsGet) => "get_prompt",
        Some(Method::CompletionComplete) => "complete",
        _ => "",
    }
}

fn method(key: &Key) -> &'static str {
    key.facts.method.map_or("", Method::name)
}

fn error(key: &Key) -> &'static str {
    key.facts.outcome.error().unwrap_or_default()
}

fn status_of(key: &Key) -> &'static str {
    if key.facts.outcome.error().is_some() { "error" } else { "success" }
}

fn name(key: &Key, named: Named) -> &str {
    if key.facts.named == named { &key.name } else { "" }
}

fn any_name(key: &Key) -> &str {
    if key.facts.named == Named::Nothing { "" } else { &key.name }
}
