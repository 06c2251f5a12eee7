//! Makes the metrics of requests out of their series.

use std::{borrow::Cow, collections::BTreeMap};

use vmcp_model::{Method, ProtocolVersion, trail::Via};

use super::{
    Settings,
    cell::{BOUNDS, Durations},
    key::{Key, Named, Sought},
    points::History,
    registry::Reading,
    view::View,
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
    let sums = |view| sums(view, reading, &server);
    let mut families = vec![
        family(&SERVER_DURATION, &sums(View::Operations), histogram),
        family(&CLIENT_DURATION, &sums(View::AtBackends), histogram),
        SERIES.number(reading.count),
        SERIES_DROPPED.number(reading.dropped),
    ];
    if settings.legacy {
        let (requests, sent) = (sums(View::Requests), sums(View::Sent));
        families.extend([
            family(&REQUESTS, &requests, count),
            family(&REQUEST_DURATION, &requests, histogram),
            family(&TOOL_CALLS, &sums(View::Calls), count),
            family(&BACKEND_REQUESTS, &sent, count),
            family(&BACKEND_ERRORS, &sums(View::Failed), count),
            family(&BACKEND_DURATION, &sent, histogram),
        ]);
    }
    families
}

/// All points of a view: what is counted in series, and what points keep of those that are folded.
fn sums<'a>(view: View, reading: &'a Reading, server: &'a str) -> Sums<'a> {
    let mut sums = Sums::new();
    for (key, totals) in &reading.series {
        let durations = view.durations(totals);
        if durations.count_all() > 0 {
            add(&mut sums, view, key, server, durations);
        }
    }
    for History { key, durations, .. } in reading.histories.iter().filter(|kept| kept.view == view)
    {
        add(&mut sums, view, key, server, durations);
    }
    sums
}

fn add<'a>(sums: &mut Sums<'a>, view: View, key: &'a Key, server: &'a str, durations: &Durations) {
    let Some(point) = view.point(&key.sought()) else { return };
    let mut attributes = match view {
        View::Operations => operation(&point),
        View::AtBackends => at_one_backend(&point),
        View::Requests => request(&point, server),
        View::Calls => tool_call(&point, server),
        View::Sent | View::Failed => sent_on(&point),
    };
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
fn operation<'a>(key: &Sought<'a>) -> Attributes<'a> {
    let revision = key.facts.version.map_or("", ProtocolVersion::name);
    let calls_tool = key.facts.method == Some(Method::ToolsCall) && key.facts.named == Named::Tool;
    vec![
        ("mcp.method.name", method(key).into()),
        ("mcp.protocol.version", revision.into()),
        ("network.transport", "tcp".into()),
        ("error.type", error(key).into()),
        ("gen_ai.operation.name", if calls_tool { "execute_tool" } else { "" }.into()),
        ("gen_ai.tool.name", name(key, Named::Tool).into()),
        ("gen_ai.prompt.name", name(key, Named::Prompt).into()),
    ]
}

/// Of `mcp.client.operation.duration`.
fn at_one_backend<'a>(key: &Sought<'a>) -> Attributes<'a> {
    vec![
        ("mcp.method.name", method(key).into()),
        ("error.type", error(key).into()),
        ("target.workload_name", key.backend.into()),
    ]
}

/// Of the metrics of ToolHive about HTTP requests.
fn request<'a>(key: &Sought<'a>, server: &'a str) -> Attributes<'a> {
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

fn tool_call<'a>(key: &Sought<'a>, server: &'a str) -> Attributes<'a> {
    vec![
        ("server", server.into()),
        ("tool", any_name(key).into()),
        ("status", status_of(key).into()),
    ]
}

/// Of the metrics of ToolHive about requests to backends.
fn sent_on<'a>(key: &Sought<'a>) -> Attributes<'a> {
    let (tool, prompt) = (name(key, Named::Tool), name(key, Named::Prompt));
    vec![
        ("target.workload_id", key.backend.into()),
        ("target.workload_name", key.backend.into()),
        ("action", action(key.facts.method).into()),
        ("mcp.method.name", method(key).into()),
        ("tool_name", tool.into()),
        ("gen_ai.tool.name", tool.into()),
        ("prompt_name", prompt.into()),
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

fn method(key: &Sought<'_>) -> &'static str {
    key.facts.method.map_or("", Method::name)
}

fn error(key: &Sought<'_>) -> &'static str {
    key.facts.outcome.error().unwrap_or_default()
}

fn status_of(key: &Sought<'_>) -> &'static str {
    if key.facts.outcome.error().is_some() { "error" } else { "success" }
}

fn name<'a>(key: &Sought<'a>, named: Named) -> &'a str {
    if key.facts.named == named { key.name } else { "" }
}

fn any_name<'a>(key: &Sought<'a>) -> &'a str {
    if key.facts.named == Named::Nothing { "" } else { key.name }
}
