//! What a record says, as a table for readers.

use std::fmt::Write as _;

/// Each field, what it means, and when it is there.
const FIELDS: &[(&str, &str, &str)] = &[
    ("time", "when the request ended: RFC 3339, UTC, milliseconds", ALWAYS),
    ("level", "`AUDIT`", ALWAYS),
    ("msg", "`audit_event`", ALWAYS),
    ("audit_id", "a UUID of this record alone", ALWAYS),
    ("type", "what kind of request it was, see the filters; or `audit_gap`", ALWAYS),
    ("logged_at", "as `time`", ALWAYS),
    (
        "outcome",
        "`success`; `application_error`: the tool failed, or the backend answered with an error; `denied`: \
         the caller may not do this, or has not shown who it is; `failure`: the request could not be \
         understood, exceeded a limit, or its client went away; `error`: vmcp or the backend could not do it",
        ALWAYS,
    ),
    ("component", "`audit.component` of the configuration", ALWAYS),
    ("source.type", "`network`; `local` for `audit_gap`", ALWAYS),
    ("source.value", "the address of the client, as trusted proxies tell it", ALWAYS),
    (
        "source.extra.user_agent",
        "the header `User-Agent`, up to 256 bytes",
        "if the client sent it",
    ),
    (
        "source.extra.request_id",
        "the header `X-Request-Id`, up to 128 bytes",
        "if the client sent it",
    ),
    (
        "subjects.user",
        "the claim `name`, `preferred_username` or `email`, else `anonymous`; as all claims, up to 256 bytes",
        REQUESTS,
    ),
    (
        "subjects.user_id",
        "the claim `sub`",
        "if the caller has shown who it is, or the configuration says so",
    ),
    ("subjects.issuer", "who issued the caller's token", "as `subjects.user_id`"),
    (
        "subjects.client_name",
        "the name in the client's `clientInfo`, else the claim `client_name`; up to 256 bytes",
        "if it is known",
    ),
    ("subjects.client_version", "the version in the same places", "if it is known"),
    (
        "delegation.actors[].sub",
        "who acts for the user, from the claim `act` (RFC 8693): the last one first",
        ACT,
    ),
    ("delegation.actors[].iss", "the issuer of this actor", ACT),
    ("delegation.actors[].client_id", "the client that this actor is", ACT),
    ("delegation.truncated", "`true`", "if there were more actors than `maxDelegationDepth`"),
    ("delegation.omitted", "how many of them are not shown", "with `delegation.truncated`"),
    ("target.endpoint", "the path at which vmcp is reached", REQUESTS),
    ("target.method", "the method of MCP, up to 128 bytes; of HTTP where there is none", REQUESTS),
    ("target.type", "`tool`, `resource` or `prompt`", "if it is about one of these"),
    (
        "target.name",
        "the tool, prompt or URI, as the client wrote it; up to 256 bytes, URIs up to 2048",
        "if the request names one",
    ),
    ("target.backend", "the backend that it led to", "if it led to one"),
    ("metadata.extra.duration_ms", "how long it took, in milliseconds", REQUESTS),
    (
        "metadata.extra.transport",
        "`sse` for a stream that the client opened, and for an answer that was a stream, else `http`",
        REQUESTS,
    ),
    ("metadata.extra.response_size_bytes", "how many bytes the answer had", REQUESTS),
    ("metadata.extra.backend_name", "as `target.backend`", "as `target.backend`"),
    (
        "metadata.extra.jsonrpc_error_code",
        "the code of the JSON-RPC error",
        "if that was the answer",
    ),
    (
        "metadata.extra.jsonrpc_error_message",
        "its message, up to 256 bytes",
        "if that was the answer",
    ),
    (
        "metadata.extra.reason",
        "why vmcp gave no answer: `unauthenticated`, `denied`, `invalid`, `over_bound`, `unavailable`, \
         `backend`, `timeout`, `cancelled`, `internal`; `abandoned`: the client did not wait",
        "if vmcp gave none",
    ),
    ("metadata.extra.http_status", "the HTTP status of the answer", "if there was an answer"),
    ("metadata.extra.trace_id", "the trace that the request belongs to", "if it belongs to one"),
    (
        "metadata.extra.session",
        "the first 16 hexadecimal digits of the SHA-256 of the session's id, which is a secret itself",
        "if it is part of a session",
    ),
    (
        "metadata.extra.dropped",
        "how many records were dropped since the last such line",
        "for `audit_gap` only",
    ),
    (
        "data.request",
        "the `params` of the request: as they are if they fit into `maxDataSize`, else their beginning as a \
         string",
        "with `includeRequestData`",
    ),
    ("data.response", "the answer, in the same way", "with `includeResponseData`"),
    ("data.truncated", "`true`", "if one of these two was cut"),
];

const ALWAYS: &str = "always";
const REQUESTS: &str = "always but for `audit_gap`";
const ACT: &str = "if the token has it";

/// The fields of records as a table in Markdown.
pub fn reference() -> String {
    let mut table = "| field | meaning | when |\n|---|---|---|\n".to_owned();
    for (field, meaning, when) in FIELDS {
        // Writing to a string does not fail.
        let _written = writeln!(table, "| `{field}` | {meaning} | {when} |");
    }
    table
}
