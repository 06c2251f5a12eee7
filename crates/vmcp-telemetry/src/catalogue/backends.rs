//! Metrics of each backend, told apart by its name in the configuration.

super::metrics! {
    DISCOVERED: Gauge "toolhive_vmcp_backends_discovered" ["{backend}"] {} "Backends that are configured";
    BACKENDS: Gauge "vmcp.backends" ["{backend}"] {"vmcp.backend.state"} "Backends in each state";
    STATE: Gauge "vmcp.backend.state" ["{backend}"] {"vmcp.backend", "vmcp.backend.state"}
        "1 for the state that a backend is in, 0 for the others: `healthy`, `degraded`, `unhealthy`, \
         `unauthenticated`, `unknown`";
    FAILING_CHECKS: Gauge "vmcp.backend.failing_checks" ["{check}"] {"vmcp.backend"}
        "Health checks of a backend that have failed in a row";
    BREAKER: Gauge "vmcp.backend.breaker" ["{breaker}"] {"vmcp.backend", "vmcp.breaker.state"}
        "1 for the state that the breaker of a backend is in, 0 for the others: `closed`, `open`, `half_open`";
    SESSIONS_OPENED: Counter "vmcp.backend.sessions.opened" ["{session}"] {"vmcp.backend"}
        "Sessions opened on a backend";
    KEPT_SESSIONS: Gauge "vmcp.backend.kept_sessions" ["{session}"] {"vmcp.backend"}
        "Sessions kept on a legacy backend for modern clients";
    REQUESTS: Counter "vmcp.backend.requests" ["{request}"] {"vmcp.backend"}
        "Requests sent to a backend, those of vmcp's own among them";
    FAILURES: Counter "vmcp.backend.failures" ["{request}"] {"vmcp.backend"}
        "Requests to a backend that got no answer, or one that is none";
    IN_FLIGHT: Gauge "vmcp.backend.in_flight" ["{request}"] {"vmcp.backend"}
        "Requests of clients to a backend that are under way";
    STREAMS: Gauge "vmcp.backend.streams" ["{stream}"] {"vmcp.backend"}
        "Streams of a backend that are listened to";
    STRAY_PROGRESS: Counter "vmcp.backend.stray_progress" ["{notification}"] {"vmcp.backend"}
        "Notifications of progress that nobody had asked a backend for, so that they were dropped";
    POOL: Gauge "vmcp.backend.connections" ["{connection}"] {"vmcp.backend", "vmcp.connection.state"}
        "Connections of HTTP to a backend, `used` or `idle`";
    LINKS: Gauge "vmcp.backend.links" ["{link}"] {"vmcp.backend", "network.transport"}
        "Child processes (`pipe`) and HTTP+SSE channels (`tcp`) of a backend";
    CREDENTIALS: Gauge "vmcp.backend.credentials" ["{credential}"] {"vmcp.backend"}
        "Credentials that were obtained for a backend and are good";
    CREDENTIALS_OBTAINED: Counter "vmcp.backend.credentials.obtained" ["{credential}"] {"vmcp.backend"}
        "Credentials obtained for a backend";
    CREDENTIALS_FAILURES: Counter "vmcp.backend.credentials.failures" ["{credential}"] {"vmcp.backend"}
        "Attempts to obtain a credential for a backend that came to nothing";
}
