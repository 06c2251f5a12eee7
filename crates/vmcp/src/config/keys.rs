//! Every key of the configuration file: the one place that says which there are, what may stand
//! under them, and what they are for.
//!
//! The readers take names, defaults and bounds from here, and fail their tests when a key listed
//! here is read by nobody.

mod admin;
mod incoming;
mod limits;
mod outgoing;
mod peer;
mod records;
mod storage;

use super::{
    not_yet::{self, Off},
    schema::{Form, Key, Shape, hours},
};

use admin::ADMIN;
use incoming::INCOMING_AUTH;
use limits::{BRIDGE, LIMITS};
use outgoing::OUTGOING_AUTH;
use peer::PEER;
use records::{AUDIT, TELEMETRY};

pub(super) use limits::SESSIONS;
pub(super) use storage::SESSION_STORAGE;

pub(super) const ROOT: &[Key] = &[
    Key::new("name", Shape::Text, "the name under which clients see this server").required(),
    Key::new("groupRef", Shape::Text, "the MCPGroup whose servers are the backends, with outgoingAuth.source: discovered; otherwise a label, shown in /status"),
    Key::new("metadata", Shape::TextMap, "labels of your own, shown in /status"),
    Key::new("backends", Shape::Sections(BACKEND), "the MCP servers behind this one; absent with outgoingAuth.source: discovered").required(),
    Key::new("incomingAuth", Shape::Section(INCOMING_AUTH), "how clients prove who they are")
        .required(),
    Key::new("outgoingAuth", Shape::Section(OUTGOING_AUTH), "what each backend is shown"),
    Key::new("aggregation", Shape::Section(AGGREGATION), "how the backends' offers are merged")
        .required(),
    Key::new(
        "operational",
        Shape::Section(OPERATIONAL),
        "logging, timeouts, reloading and failures",
    ),
    Key::new("sessionStorage", Shape::Section(SESSION_STORAGE), "where session records live"),
    Key::new("peer", Shape::Section(PEER), "the channel between replicas that share a Redis"),
    Key::new("sessions", Shape::Section(SESSIONS), "how client sessions are kept"),
    Key::new(
        "bridge",
        Shape::Section(BRIDGE),
        "how clients without sessions use backends that have them",
    ),
    Key::new("limits", Shape::Section(LIMITS), "how much of everything there may be"),
    Key::new("admin", Shape::Section(ADMIN), "the listener for operators, and who is one"),
    Key::new("allowedHosts", Shape::Texts, "values of Host that are served: host or host:port")
        .form(Form::Host),
    Key::new("allowedOrigins", Shape::Texts, "web origins that are served: scheme://host[:port]")
        .form(Form::Origin),
    Key::new(
        "publicUrl",
        Shape::Text,
        "the URL by which clients reach this server, without the path of the endpoint (/mcp)",
    )
    .form(Form::PublicUrl),
    Key::new(
        "trustedProxies",
        Shape::Texts,
        "networks of proxies that are believed whom they pass requests on for: 10.0.0.0/8, or an address",
    )
    .form(Form::Network),
    Key::new(
        "passthroughHeaders",
        Shape::Texts,
        "headers of clients' requests that every backend with a URL is passed: X-Tenant",
    )
    .form(Form::PassedHeader),
    Key::not_yet("compositeTools", Off::Empty, not_yet::COMPOSITE),
    Key::not_yet("compositeToolRefs", Off::Empty, not_yet::COMPOSITE),
    Key::new("telemetry", Shape::Section(TELEMETRY), "metrics and traces"),
    Key::new("audit", Shape::Section(AUDIT), "the record of what callers do"),
    Key::not_yet("optimizer", Off::Null, not_yet::OPTIMIZER),
    Key::not_yet("codeMode", Off::NotEnabled, not_yet::CODE_MODE),
    Key::not_yet("rateLimiting", Off::Hollow, not_yet::RATE_LIMITING),
];

const BACKEND: &[Key] = &[
    Key::new("name", Shape::Text, "the backend's name").form(Form::BackendName).required(),
    Key::choice(
        "transport",
        &["streamable-http", "sse", "stdio"],
        &[],
        "how it is spoken to; if absent, stdio where a command is given, otherwise streamable-http",
    ),
    Key::new("url", Shape::Text, "the URL of its MCP endpoint; required unless it is a program").form(Form::Url),
    Key::new("headers", Shape::TextMap, "fixed headers that every request to it carries; secrets as ${NAME}").form(Form::Headers),
    Key::new(
        "headersFromFile",
        Shape::TextMap,
        "the same, each with the file that holds its value",
    )
    .form(Form::HeaderFiles),
    Key::choice("type", &["entry"], &[], "`entry` for a server that is reached directly")
        .or_zero(),
    Key::new(
        "caBundlePath",
        Shape::Text,
        "a PEM file of the authorities that vouch for it, in place of the system's",
    ).form(Form::File)
    .or_zero(),
    Key::new("command", Shape::Text, "the program to run: a path, or a name looked up in PATH"),
    Key::new("args", Shape::AnyTexts, "its arguments"),
    Key::new(
        "env",
        Shape::TextMap,
        "variables of its environment, besides those that every program gets",
    )
    .form(Form::Environment),
    Key::new(
        "passEnv",
        Shape::Texts,
        "variables of vmcp's own environment that it gets as they are, besides those that every program gets",
    )
    .form(Form::VariableName),
    Key::new("cwd", Shape::Text, "its working directory, an absolute path").form(Form::Directory),
    Key::choice(
        "isolation",
        &["session", "shared"],
        &[],
        "whether each client session has a process of its own, or all use one",
    )
    .default("session"),
    Key::time("processIdle", 600_000, 168, "how long a process lives that nobody uses"),
    Key::new("metadata", Shape::TextMap, "labels of your own, shown in /status"),
];

const AGGREGATION: &[Key] = &[
    Key::choice(
        "conflictResolution",
        &["prefix", "priority", "manual"],
        &[],
        "what happens to a name that several backends use",
    )
    .required(),
    Key::new("conflictResolutionConfig", Shape::Section(CONFLICTS), "how exactly"),
    Key::new("excludeAllTools", Shape::Flag, "shows no tool at all").default("false"),
    Key::choice(
        "defaultToolVisibility",
        &["allow", "deny"],
        &[],
        "whether tools of backends without an entry under tools are shown",
    )
    .or_zero()
    .default("allow"),
    Key::new("tools", Shape::Sections(TOOLS), "what holds for the tools of single backends"),
    Key::choice(
        "names",
        &["as-is", "safe"],
        &[],
        "what names consist of: as-is maps what the specification does not let tools have, safe also \
         what the interfaces of models refuse (all but A-Z, a-z, 0-9, _ and -)",
    )
    .default("as-is"),
    Key::new(
        "nameLimit",
        Shape::Count { default: 64, least: 16, most: 128 },
        "the longest name of a tool or prompt, in characters",
    ),
    Key::count("pageSize", 1000, 10_000, "how many items a list result holds"),
    Key::new(
        "statusTool",
        Shape::Flag,
        "gives clients the tool vmcp_status, which tells how the backends fare and what is missing",
    )
    .default("false"),
];

const CONFLICTS: &[Key] = &[
    Key::new("prefixFormat", Shape::AnyText, "what precedes a name; {workload} is the backend"),
    Key::new("priorityOrder", Shape::Texts, "the backends, the one that wins first")
        .form(Form::BackendName),
];

const TOOLS: &[Key] = &[
    Key::new("workload", Shape::Text, "the backend it is about").form(Form::BackendName).required(),
    Key::new("filter", Shape::Texts, "the tools to show, by their names after overrides"),
    Key::new("exclude", Shape::Texts, "the tools not to show, by the same names"),
    Key::new("excludeAll", Shape::Flag, "shows none of them").default("false"),
    Key::new("overrides", Shape::Named(OVERRIDE), "changes, by the backend's own tool names"),
    Key::not_yet("toolConfigRef", Off::Empty, not_yet::TOOL_CONFIG),
];

const OVERRIDE: &[Key] = &[
    Key::new("name", Shape::Text, "another name").or_zero(),
    Key::new("description", Shape::AnyText, "another description").or_zero(),
    Key::new("annotations", Shape::Section(ANNOTATIONS), "annotations to set"),
];

const ANNOTATIONS: &[Key] = &[
    Key::new("title", Shape::AnyText, "the name to show to people"),
    Key::new("readOnlyHint", Shape::Flag, "whether the tool changes nothing"),
    Key::new("destructiveHint", Shape::Flag, "whether it may destroy something"),
    Key::new("idempotentHint", Shape::Flag, "whether repeating it changes nothing more"),
    Key::new("openWorldHint", Shape::Flag, "whether it deals with the world outside"),
];

const OPERATIONAL: &[Key] = &[
    Key::choice("logLevel", &["error", "warn", "info", "debug", "trace"], &[], "what is logged")
        .or_zero()
        .default("info"),
    Key::new("timeouts", Shape::Section(TIMEOUTS), "how long calls may take"),
    Key::new("reload", Shape::Section(RELOAD), "how a running server takes up changes of its file"),
    Key::new(
        "failureHandling",
        Shape::Section(FAILURE_HANDLING),
        "when a backend counts as failed, and what happens then",
    ),
];

const FAILURE_HANDLING: &[Key] = &[
    Key::time(
        "healthCheckInterval",
        30_000,
        24,
        "how long a backend may show no sign of life before it is checked",
    ),
    Key::time(
        "healthCheckTimeout",
        10_000,
        24,
        "how long a check may take, less than the interval; by default, and for 0, 10s or half the interval",
    )
    .or_zero(),
    Key::count("unhealthyThreshold", 3, 1000, "checks in a row that fail until it is unhealthy"),
    Key::time(
        "statusReportingInterval",
        30_000,
        24,
        "how often the health of all backends is logged, at level info where it has changed",
    ),
    Key::choice(
        "partialFailureMode",
        &["best_effort", "fail"],
        &[],
        "what initialize and lists do while backends are out: go on without them, or refuse",
    )
    .default("best_effort"),
    Key::new(
        "circuitBreaker",
        Shape::Section(CIRCUIT_BREAKER),
        "leaves a backend alone that fails too often",
    ),
];

const CIRCUIT_BREAKER: &[Key] = &[
    Key::new("enabled", Shape::Flag, "whether there is one").default("false"),
    Key::count(
        "failureThreshold",
        5,
        100_000,
        "how many calls must have failed within 10s, and at least half of all, or checks in a row",
    ),
    Key::time(
        "timeout",
        60_000,
        24,
        "how long it is left alone, at least 1s, before one call is let through",
    ),
];

const RELOAD: &[Key] = &[
    Key::new(
        "watchFile",
        Shape::Flag,
        "whether changes of the file are taken up at once, or on SIGHUP only",
    )
    .default("true"),
    Key::new(
        "allowCommands",
        Shape::Flag,
        "whether a reload may add or change what a stdio backend runs; holds from the next start",
    )
    .default("false"),
];

const TIMEOUTS: &[Key] = &[
    Key::time("default", 30_000, 168, "a call without a sign of life; progress starts it again"),
    Key::new("perWorkload", Shape::TimeMap { most: hours(168) }, "the same for single backends")
        .form(Form::BackendName),
    Key::time(
        "absolute",
        3_600_000,
        168,
        "a call as a whole, whatever its progress; by default not less than the others",
    ),
];
