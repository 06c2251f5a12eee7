//! Every key of the configuration file: the one place that says which there are, what may stand
//! under them, and what they are for.
//!
//! The readers take names, defaults and bounds from here, and fail their tests when a key listed
//! here is read by nobody.

use super::schema::{Key, Shape, hours};

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
    Key::new("allowedHosts", Shape::Texts, "values of Host that are served: host or host:port"),
    Key::new("allowedOrigins", Shape::Texts, "web origins that are served: scheme://host[:port]"),
    Key::not_yet("compositeTools"),
    Key::not_yet("compositeToolRefs"),
    Key::not_yet("telemetry"),
    Key::not_yet("audit"),
    Key::not_yet("optimizer"),
    Key::not_yet("codeMode"),
    Key::not_yet("rateLimiting"),
    Key::not_yet("passthroughHeaders"),
];

const BACKEND: &[Key] = &[
    Key::new("name", Shape::Text, "the backend's name").required(),
    Key::choice(
        "transport",
        &["streamable-http", "sse", "stdio"],
        &[],
        "how it is spoken to; if absent, stdio where a command is given, otherwise streamable-http",
    ),
    Key::new("url", Shape::Text, "the URL of its MCP endpoint; required unless it is a program"),
    Key::new("headers", Shape::TextMap, "fixed headers that every request to it carries"),
    Key::choice("type", &["", "entry"], &[], "\"entry\" for a server reached directly"),
    Key::new("caBundlePath", Shape::Text, "a PEM file of the authorities that vouch for it"),
    Key::new("command", Shape::Text, "the program to run: a path, or a name looked up in PATH"),
    Key::new("args", Shape::AnyTexts, "its arguments"),
    Key::new(
        "env",
        Shape::TextMap,
        "variables of its environment, besides those that every program gets",
    ),
    Key::new(
        "passEnv",
        Shape::Texts,
        "variables of vmcp's own environment that it gets as they are, besides those that every program gets",
    ),
    Key::new("cwd", Shape::Text, "its working directory, an absolute path"),
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
    Key::new("issuer", Shape::Text, "the URL of the identity provider, as its tokens say it")
        .required(),
    Key::new("audience", Shape::Text, "what tokens must be meant for (`aud`)").required(),
    Key::new("jwksUrl", Shape::Text, "where its keys are; if absent, its metadata says it"),
    Key::new(
        "resource",
        Shape::Text,
        "the URL of the MCP endpoint as clients know it; with it, they are told where to get a token",
    ),
    Key::new("scopes", Shape::Texts, "the scopes that clients are told to ask for")
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
    ),
    Key::not_yet("clientId"),
    Key::not_yet("clientSecretEnv"),
    Key::not_yet("introspectionUrl"),
];

const AUTHORIZATION: &[Key] = &[
    Key::choice("type", &["none"], &["cedar"], "how calls are decided upon").required(),
    Key::not_yet("policies"),
    Key::not_yet("entitiesJson"),
    Key::not_yet("primaryUpstreamProvider"),
    Key::not_yet("groupClaimName"),
    Key::not_yet("roleClaimName"),
    Key::not_yet("groupEntityType"),
];

const OUTGOING_AUTH: &[Key] = &[
    Key::choice("source", &["inline"], &["discovered"], "where the strategies come from")
        .default("inline"),
    Key::new("default", Shape::Section(STRATEGY), "for backends without an entry of their own"),
    Key::new("backends", Shape::Named(STRATEGY), "for single backends, by name"),
];

const STRATEGY: &[Key] = &[
    Key::choice(
        "type",
        &["unauthenticated", "header_injection"],
        &["token_exchange", "upstream_inject", "aws_sts", "xaa", "obo"],
        "what the backend is shown",
    )
    .required(),
    Key::new("headerInjection", Shape::Section(HEADER_INJECTION), "the header to send"),
    Key::not_yet("tokenExchange"),
    Key::not_yet("upstreamInject"),
    Key::not_yet("awsSts"),
    Key::not_yet("xaa"),
    Key::not_yet("obo"),
];

const HEADER_INJECTION: &[Key] = &[
    Key::new("headerName", Shape::Text, "the name of the header").required(),
    Key::new("headerValue", Shape::Text, "its value"),
    Key::new("headerValueEnv", Shape::Text, "the environment variable that holds its value"),
    Key::new("headerValueFile", Shape::Text, "the file that holds its value"),
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
        &["", "allow", "deny"],
        &[],
        "whether tools of backends without an entry under tools are shown",
    )
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
    Key::new("priorityOrder", Shape::Texts, "the backends, the one that wins first"),
];

const TOOLS: &[Key] = &[
    Key::new("workload", Shape::Text, "the backend it is about").required(),
    Key::new("filter", Shape::Texts, "the tools to show, by their names after overrides"),
    Key::new("exclude", Shape::Texts, "the tools not to show, by the same names"),
    Key::new("excludeAll", Shape::Flag, "shows none of them").default("false"),
    Key::new("overrides", Shape::Named(OVERRIDE), "changes, by the backend's own tool names"),
    Key::not_yet("toolConfigRef"),
];

const OVERRIDE: &[Key] = &[
    Key::new("name", Shape::Text, "another name"),
    Key::new("description", Shape::AnyText, "another description"),
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
    ),
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
    Key::new("perWorkload", Shape::TimeMap { most: hours(168) }, "the same for single backends"),
    Key::time("absolute", 3_600_000, 168, "a call as a whole, whatever its progress"),
];

pub(super) const SESSION_STORAGE: &[Key] = &[
    Key::choice("provider", &["memory", "redis"], &[], "the kind of store").required(),
    Key::new("address", Shape::Text, "host:port of a Redis that stands alone"),
    Key::new("sentinel", Shape::Section(SENTINEL), "the Sentinels that name the Redis to use"),
    Key::new("cluster", Shape::Section(CLUSTER), "the Redis cluster to use"),
    Key::new("db", Shape::Count { default: 0, least: 0, most: 1_000_000 }, "the logical database"),
    Key::new("keyPrefix", Shape::Text, "what every key begins with; ends with a colon")
        .default("thv:vmcp:session:"),
    Key::new("username", Shape::Text, "the ACL user"),
    Key::new("passwordEnv", Shape::Text, "the environment variable that holds the password")
        .default("THV_SESSION_REDIS_PASSWORD"),
    Key::new("passwordFile", Shape::Text, "the file that holds the password"),
    Key::new("tls", Shape::Section(REDIS_TLS), "how the servers prove who they are"),
    Key::time("dialTimeout", 5000, 1, "how long a connection may take to be made"),
    Key::time("commandTimeout", 3000, 1, "how long a command may take"),
    Key::choice(
        "validation",
        &["bus", "perRequest"],
        &[],
        "when Redis is asked whether a session still stands: after a silence of the bus, or always",
    )
    .default("bus"),
    Key::time(
        "maxStaleness",
        1000,
        1,
        "how long a replica that hears nothing may serve a session that has ended elsewhere; at least 100ms",
    ),
    Key::new(
        "keysEnv",
        Shape::Text,
        "the environment variable that holds the keys of this deployment: 32 bytes in Base64 a line, the newest first",
    )
    .default("VMCP_SESSION_HMAC_SECRET"),
    Key::new("keysFile", Shape::Text, "the file that holds them; without either they are kept in Redis"),
];

const SENTINEL: &[Key] = &[
    Key::new("addresses", Shape::Texts, "host:port of each").required(),
    Key::new("master", Shape::Text, "the name by which they know the Redis").required(),
    Key::new("username", Shape::Text, "the ACL user for the Sentinels themselves"),
    Key::new("passwordEnv", Shape::Text, "the environment variable that holds their password"),
    Key::new("passwordFile", Shape::Text, "the file that holds their password"),
];

const CLUSTER: &[Key] =
    &[Key::new("addresses", Shape::Texts, "host:port of some nodes, which know the others")
        .required()];

const REDIS_TLS: &[Key] = &[
    Key::new("enabled", Shape::Flag, "whether connections are encrypted").default("true"),
    Key::new(
        "caBundlePath",
        Shape::Text,
        "a PEM file of the authorities that vouch for the servers",
    ),
];

pub(super) const SESSIONS: &[Key] = &[
    Key::time("ttl", 1_800_000, 720, "how long a session lives that nobody uses"),
    Key::time("initializeWait", 3000, 1, "how long initialize waits for slow backends"),
    Key::choice("backendInit", &["lazy", "eager"], &[], "when backend sessions are opened")
        .default("lazy"),
    Key::count("maxBackendInitConcurrency", 10, 1000, "backends initialized at once"),
    Key::time(
        "backendInitTimeout",
        30_000,
        1,
        "how long a backend may take to initialize; a program may take 2m unless this is given",
    ),
    Key::time(
        "keepAlive",
        5_000,
        1,
        "how often an idle stream shows that it is alive, and how long a call may be silent before its answer becomes one",
    ),
    Key::size("eventLogBytes", 1 << 20, "what is kept of a stream for clients that resume it"),
    Key::time("drainTimeout", 10_000, 1, "how long calls may go on when the server stops"),
    Key::time("offerMaxAge", 5_000, 24, "how old an offer may be before it is asked for again"),
];

const BRIDGE: &[Key] = &[
    Key::choice(
        "reuse",
        &["principal", "all", "never"],
        &[],
        "whose calls use one backend session: those of one caller by one client, those of all, one at a time, or each its own",
    )
    .default("principal"),
    Key::new(
        "concurrency",
        Shape::Count { default: 0, least: 0, most: 1_000_000 },
        "calls at once on one kept backend session; 0 leaves it to limits.callsPerBackend, 1 is for servers that cannot",
    ),
    Key::time("idle", 600_000, 168, "how long a backend session is kept that no call uses; a process at most for its processIdle"),
    Key::time("wait", 5000, 1, "how long a call waits for a place on a backend session"),
];

const LIMITS: &[Key] = &[
    Key::size("requestBytes", 8 << 20, "the largest request of a client"),
    Key::size("responseBytes", 100 << 20, "the largest response of a backend"),
    Key::size("eventBytes", 16 << 20, "the largest event of a stream"),
    Key::size(
        "heldBytes",
        256 << 20,
        "all streamed answers that clients have not read, or may resume",
    ),
    Key::size(
        "heldRequestBytes",
        256 << 20,
        "all requests over 64 KiB that are coming in or under way; what is sent on may take as much again",
    ),
    Key::count("connections", 20_000, 1_000_000, "connections of clients"),
    Key::count("sessions", 100_000, 10_000_000, "client sessions"),
    Key::count(
        "sessionsPerClient",
        10_000,
        10_000_000,
        "client sessions of one caller, or of one address",
    ),
    Key::count("callsPerSession", 256, 1_000_000, "calls under way in one session"),
    Key::count("callsPerBackend", 1024, 1_000_000, "calls under way to one backend"),
    Key::count("streams", 20_000, 1_000_000, "streams open to clients"),
    Key::count("streamsPerBackend", 10_000, 1_000_000, "streams open to one backend"),
    Key::count("linksPerBackend", 256, 1_000_000, "processes or SSE connections of one backend"),
    Key::count(
        "keptSessionsPerBackend",
        256,
        1_000_000,
        "sessions of one backend that are kept for clients without sessions",
    ),
    Key::count("views", 256, 1_000_000, "kinds of callers whose catalogs are kept"),
    Key::count("listPages", 1000, 1_000_000, "pages of a backend's list that are followed"),
    Key::count("listItems", 100_000, 10_000_000, "items of a backend's list that are kept"),
    Key::size("listBytes", 32 << 20, "all lists of a backend, with all their pages"),
];

const ADMIN: &[Key] =
    &[Key::new("listen", Shape::Text, "the IP address and port it listens on").required()];
