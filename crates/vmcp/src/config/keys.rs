//! Every key of the configuration file: the one place that says which there are, what may stand
//! under them, and what they are for.
//!
//! The readers take names, defaults and bounds from here, and fail their tests when a key listed
//! here is read by nobody.

mod limits;
mod storage;

use super::{
    not_yet::{self, Off},
    schema::{Form, Key, OTHERS, Shape, hours},
};

use limits::{BRIDGE, LIMITS};

pub(super) use limits::SESSIONS;
pub(super) use storage::SESSION_STORAGE;

pub(super) const ROOT: &[Key] = &[
    Key::new("name", Shape::Text, "the name under which clients see this server").required(),
    Key::new("groupRef", Shape::Text, "the group of its backends, a label shown in /status"),
    Key::new("metadata", Shape::TextMap, "labels of your own, shown in /status"),
    Key::new("backends", Shape::Sections(BACKEND), "the MCP servers behind this one").required(),
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
    Key::new("sessions", Shape::Section(SESSIONS), "how client sessions are kept"),
    Key::new(
        "bridge",
        Shape::Section(BRIDGE),
        "how clients without sessions use backends that have them",
    ),
    Key::new("limits", Shape::Section(LIMITS), "how much of everything there may be"),
    Key::new("admin", Shape::Section(ADMIN), "the listener for operators"),
    Key::new("allowedHosts", Shape::Texts, "values of Host that are served: host or host:port")
        .form(Form::Host),
    Key::new("allowedOrigins", Shape::Texts, "web origins that are served: scheme://host[:port]")
        .form(Form::Origin),
    Key::not_yet("compositeTools", Off::Empty, not_yet::COMPOSITE),
    Key::not_yet("compositeToolRefs", Off::Empty, not_yet::COMPOSITE),
    Key::not_yet("telemetry", Off::Untold, not_yet::TELEMETRY),
    Key::not_yet("audit", Off::Disabled, not_yet::AUDIT),
    Key::not_yet("optimizer", Off::Null, not_yet::OPTIMIZER),
    Key::not_yet("codeMode", Off::NotEnabled, not_yet::CODE_MODE),
    Key::not_yet("rateLimiting", Off::Hollow, not_yet::RATE_LIMITING),
    Key::not_yet("passthroughHeaders", Off::Empty, not_yet::PASSTHROUGH),
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
    Key::new("headers", Shape::TextMap, "fixed headers that every request to it carries").form(Form::Headers),
    Key::choice("type", &["entry"], &[], "`entry` for a server that is reached directly")
        .or_zero(),
    Key::new(
        "caBundlePath",
        Shape::Text,
        "a PEM file of the authorities that vouch for it, in place of the system's; with type: entry",
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

const INCOMING_AUTH: &[Key] = &[
    Key::choice(
        "type",
        &["anonymous", "local", "oidc"],
        &[],
        "who may call: everybody, everybody as the user who runs vmcp, or whoever shows a token",
    )
    .required(),
    Key::new("oidc", Shape::Section(OIDC), "whose tokens are good; required for type: oidc"),
    Key::new("authz", Shape::Section(AUTHORIZATION), "what callers may do"),
];

const OIDC: &[Key] = &[
    Key::new("issuer", Shape::Text, "the URL of the identity provider, as its tokens say it").form(Form::Issuer)
        .required(),
    Key::new("audience", Shape::Text, "what tokens must be meant for (`aud`)").required(),
    Key::new("jwksUrl", Shape::Text, "where its keys are; if absent, its metadata says it").form(Form::IssuerUrl)
        .or_zero(),
    Key::new(
        "resource",
        Shape::Text,
        "the URL of the MCP endpoint as clients know it; with it, they are told where to get a token",
    ).form(Form::IssuerUrl)
    .or_zero(),
    Key::new("scopes", Shape::Texts, "the scopes that clients are told to ask for").form(Form::Scope)
        .default("openid"),
    Key::new(
        "jwksAllowPrivateIp",
        Shape::Flag,
        "whether the identity provider may have an address that is not public",
    )
    .default("false"),
    Key::new("protectedResourceAllowPrivateIp", Shape::Flag, "the same; either will do")
        .default("false"),
    Key::new(
        "insecureAllowHttp",
        Shape::Flag,
        "whether the identity provider may be asked without TLS",
    )
    .default("false"),
    Key::new(
        "caBundlePath",
        Shape::Text,
        "a PEM file of the authorities that vouch for it, in place of the system's",
    ).form(Form::File)
    .or_zero(),
    Key::without_effect("clientId", not_yet::CLIENT),
    Key::without_effect("clientSecretEnv", not_yet::CLIENT),
    Key::not_yet("introspectionUrl", Off::Empty, not_yet::INTROSPECTION),
];

const AUTHORIZATION: &[Key] = &[
    Key::choice(
        "type",
        &["none"],
        &[("cedar", not_yet::AUTHORIZATION)],
        "how calls are decided upon",
    )
    .required(),
    Key::not_yet("policies", Off::Empty, not_yet::AUTHORIZATION),
    Key::not_yet("entitiesJson", Off::NoEntities, not_yet::OF_CEDAR),
    Key::not_yet("primaryUpstreamProvider", Off::Empty, not_yet::OF_CEDAR),
    Key::not_yet("groupClaimName", Off::Empty, not_yet::OF_CEDAR),
    Key::not_yet("roleClaimName", Off::Empty, not_yet::OF_CEDAR),
    Key::not_yet("groupEntityType", Off::Empty, not_yet::OF_CEDAR),
    // Whoever writes a key here wants calls to be decided upon.
    Key::not_yet(OTHERS, Off::Never, not_yet::AUTHORIZATION),
];

const OUTGOING_AUTH: &[Key] = &[
    Key::choice(
        "source",
        &["inline"],
        &[("discovered", not_yet::DISCOVERED)],
        "where the strategies come from",
    )
    .default("inline"),
    Key::new("default", Shape::Section(STRATEGY), "for backends without an entry of their own"),
    Key::new("backends", Shape::Named(STRATEGY), "for single backends, by name")
        .form(Form::BackendName),
];

const STRATEGY: &[Key] = &[
    Key::choice(
        "type",
        &["unauthenticated", "header_injection"],
        &[
            ("token_exchange", not_yet::STRATEGY),
            ("upstream_inject", not_yet::STRATEGY),
            ("aws_sts", not_yet::STRATEGY),
            ("xaa", not_yet::STRATEGY),
            ("obo", not_yet::STRATEGY),
            ("discovered", not_yet::OWN_STRATEGY),
            ("externalAuthConfigRef", not_yet::OWN_STRATEGY),
        ],
        "what the backend is shown",
    )
    .required(),
    Key::new("headerInjection", Shape::Section(HEADER_INJECTION), "the header to send"),
    Key::not_yet("tokenExchange", Off::Null, not_yet::OF_STRATEGY),
    Key::not_yet("upstreamInject", Off::Null, not_yet::OF_STRATEGY),
    Key::not_yet("awsSts", Off::Null, not_yet::OF_STRATEGY),
    Key::not_yet("xaa", Off::Null, not_yet::OF_STRATEGY),
    Key::not_yet("obo", Off::Null, not_yet::OF_STRATEGY),
    Key::not_yet("externalAuthConfigRef", Off::Null, not_yet::OF_STRATEGY),
];

const HEADER_INJECTION: &[Key] = &[
    Key::new("headerName", Shape::Text, "the name of the header").form(Form::HeaderName).required(),
    Key::new("headerValue", Shape::Text, "its value").form(Form::HeaderValue).or_zero(),
    Key::new("headerValueEnv", Shape::Text, "the environment variable that holds its value")
        .form(Form::VariableName)
        .or_zero(),
    Key::new("headerValueFile", Shape::Text, "the file that holds its value").form(Form::File),
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
        "how many calls must have failed within 10s, and at least half of all",
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

const ADMIN: &[Key] = &[Key::new("listen", Shape::Text, "the IP address and port it listens on")
    .form(Form::Listen)
    .required()];
