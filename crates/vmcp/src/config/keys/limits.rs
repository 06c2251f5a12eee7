//! The keys of how sessions are kept, and how much of everything there may be.

use super::super::schema::{Key, Shape};

pub(in super::super) const SESSIONS: &[Key] = &[
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

pub(super) const BRIDGE: &[Key] = &[
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

pub(super) const LIMITS: &[Key] = &[
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
        "client sessions of one caller, or of one address (of IPv6, of one /64)",
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
    Key::count(
        "callerViews",
        30_000,
        1_000_000,
        "catalogs of single callers that are kept, where backends are shown something of each caller's own",
    ),
    Key::count("listPages", 1000, 1_000_000, "pages of a backend's list that are followed"),
    Key::count("listItems", 100_000, 10_000_000, "items of a backend's list that are kept"),
    Key::size("listBytes", 32 << 20, "all lists of a backend, with all their pages"),
];
