//! Metrics of what the server holds, and of what it uses.

super::metrics! {
    ACTIVE_CONNECTIONS: Gauge "toolhive_mcp_active_connections" ["{request}"] {"server", "transport"}
        "HTTP requests to the MCP endpoint that are being answered: messages of clients, and streams to them";
    CONNECTIONS: Gauge "vmcp.connections" ["{connection}"] {}
        "Connections that are open, those of operators and monitors among them";
    STREAMS: Gauge "vmcp.streams" ["{stream}"] {} "Streams to clients that are open";
    CALLS: Gauge "vmcp.calls" ["{call}"] {} "Messages of clients that are being answered";
    SESSIONS: Gauge "vmcp.sessions" ["{session}"] {} "Sessions of legacy clients that are live on this replica";
    LIMIT: Gauge "vmcp.limit" ["{item}"] {"vmcp.resource"}
        "How many there may be: `connections`, `sessions`, `streams` (limits of the configuration)";
    VIEWS: Gauge "vmcp.views" ["{view}"] {}
        "Views of the backends, one for each set of what clients can do and backends tell apart";
    CATALOGS: Gauge "vmcp.catalogs" ["{catalog}"] {}
        "Merged lists that differ, those of sessions among them that are listed something of their own";
    DROPPED: Gauge "vmcp.dropped" ["{capability}"] {}
        "Capabilities that clients are not shown as backends have them, of the view of which most are left out";
    CLIENT_PROFILES: Gauge "vmcp.client.profiles" ["{profile}"] {}
        "Descriptions that legacy clients have given of themselves, each once";
    TASKS: Gauge "vmcp.tasks" ["{task}"] {} "Background tasks that run";
    HELD: Gauge "vmcp.held" ["By"] {"vmcp.budget"}
        "Bytes held of a budget: `request_bodies` that are not whole, `unread_answers` that clients do not read";
    HELD_LIMIT: Gauge "vmcp.held.limit" ["By"] {"vmcp.budget"} "Bytes that may be held of a budget";
    DENIED: Counter "vmcp.policy.denied" ["{request}"] {"mcp.method.name"}
        "Requests that policies do not permit";
    POLICY_FAILURES: Counter "vmcp.policy.failures" ["{failure}"] {}
        "Policies that could not be evaluated for a request, and so did not count";
    STORE_REACHABLE: Gauge "vmcp.store.reachable" ["{store}"] {} "1 if the store of sessions can be reached, else 0";
    STORE_CATALOGS: Gauge "vmcp.store.catalogs" ["{catalog}"] {}
        "Merged lists and lists of single sessions in the store of sessions, if that is in this process";
    STORE_COMMANDS: Counter "vmcp.store.commands" ["{command}"] {}
        "Commands to the store of sessions, if that is Redis";
    STORE_FAILURES: Counter "vmcp.store.failures" ["{command}"] {}
        "Commands to Redis that got no answer or were refused, or not sent because it was known to be away";
    BUS_SENT: Counter "vmcp.bus.sent" ["{message}"] {}
        "Messages to other replicas, heartbeats among them, if replicas share a store";
    BUS_RECEIVED: Counter "vmcp.bus.received" ["{message}"] {}
        "Messages of other replicas that were heard, heartbeats among them";
    BUS_GAPS: Counter "vmcp.bus.gaps" ["{message}"] {}
        "Messages of other replicas that were heard though one before them was not";
    BUS_GENERATIONS: Counter "vmcp.bus.generations" ["{generation}"] {}
        "Times that something may have been missed of what replicas tell each other, so that each session is \
         compared with its record before its next use";
    PEER_CONNECTIONS: Gauge "vmcp.peer.connections" ["{connection}"] {"vmcp.peer.direction"}
        "Connections of the channel between replicas: `dialled` by this one, or `taken`";
    PEER_REQUESTS: Counter "vmcp.peer.requests" ["{request}"] {"vmcp.peer.direction"}
        "Requests on the channel between replicas: `asked` by this one, or `served`";
    PEER_FAILURES: Counter "vmcp.peer.failures" ["{request}"] {"vmcp.reason"}
        "Requests of this replica to others that failed, by reason";
    PEER_REFUSED: Counter "vmcp.peer.refused" ["{connection}"] {"vmcp.reason"}
        "Connections to the channel that were not taken, by reason";
    RELOADS: Counter "vmcp.configuration.reloads" ["{reload}"] {} "Attempts to load the configuration anew";
    RELOAD_FAILURES: Counter "vmcp.configuration.reload.failures" ["{reload}"] {}
        "Attempts to load the configuration anew that failed, so that the last good one is in use";
    CONFIGURATION_CURRENT: Gauge "vmcp.configuration.current" ["{configuration}"] {}
        "1 if the configuration in use is the one that was read last, 0 if that could not be used";
    CONFIGURATION_AGE: Gauge "vmcp.configuration.age" ["s"] {} "Time since the configuration in use was loaded";
    AUDIT_WRITTEN: Counter "vmcp.audit.written" ["{event}"] {} "Audit events written";
    AUDIT_DROPPED: Counter "vmcp.audit.dropped" ["{event}"] {} "Audit events lost, because they could not be written in time";
    OTLP_EXPORTED: Counter "vmcp.otlp.exported" ["{item}"] {"vmcp.signal"}
        "What the OTLP collector has taken; `vmcp.signal` is `traces` (spans), `metrics` (points) or `logs` (records)";
    OTLP_DROPPED: Counter "vmcp.otlp.dropped" ["{item}"] {"vmcp.signal"}
        "Spans, points of metrics and records that did not get to the OTLP collector";
}
