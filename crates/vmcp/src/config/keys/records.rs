//! The keys of what is told of what was done: `telemetry` and `audit`.

use super::super::schema::{Form, Key, Shape};

pub(super) const TELEMETRY: &[Key] = &[
    Key::new(
        "enablePrometheusMetricsPath",
        Shape::Flag,
        "whether /metrics is served, in Prometheus's text format: where /status is, and on the listener of clients",
    )
    .default("false"),
    Key::new(
        "metricsOnTransportPort",
        Shape::Flag,
        "whether the listener of clients serves it too, to whoever reaches that",
    )
    .default("true"),
    Key::new(
        "prometheusPort",
        Shape::Count { default: 0, least: 1, most: 65535 },
        "a port at the IP address of clients' listener that serves /metrics and nothing else",
    )
    .or_zero(),
    Key::new("serviceName", Shape::Text, "what this server is called; if absent, the name of the file").or_zero(),
    Key::new("serviceVersion", Shape::Text, "its version; if absent, that of vmcp").or_zero(),
    Key::new("customAttributes", Shape::TextMap, "attributes of your own, told of the server as a whole"),
    Key::new(
        "environmentVariables",
        Shape::Texts,
        "environment variables that are told of the server as a whole, under their names",
    )
    .form(Form::VariableName),
    Key::new(
        "useLegacyAttributes",
        Shape::Flag,
        "whether there are also ToolHive's metrics and names of attributes, beside those of OpenTelemetry",
    )
    .default("true"),
    Key::count(
        "maxSeries",
        1000,
        1_000_000,
        "how many tools, prompts and backends, each with its methods and outcomes, are counted apart; the one that \
         was used longest ago is counted with all others from then on",
    ),
    Key::new(
        "endpoint",
        Shape::Text,
        "host:port, or the URL, of an OpenTelemetry collector that takes OTLP over HTTP; if absent, what \
         OTEL_EXPORTER_OTLP_ENDPOINT says",
    )
    .or_zero(),
    Key::new("tracingEnabled", Shape::Flag, "whether it is sent traces").default("false"),
    Key::new("metricsEnabled", Shape::Flag, "whether it is sent metrics").default("false"),
    Key::new(
        "samplingRate",
        Shape::Text,
        "the part of the requests that are traced, of those that no trace has led to: 0 to 1",
    )
    .or_zero()
    .default("0.05"),
    Key::new("headers", Shape::TextMap, "headers of what is sent to it; secrets as ${NAME}").form(Form::Headers),
    Key::new("insecure", Shape::Flag, "whether it is spoken to without TLS, where endpoint is no URL").default("false"),
    Key::new(
        "caCertPath",
        Shape::Text,
        "a PEM file of the authorities that vouch for it, in place of the system's",
    )
    .form(Form::File)
    .or_zero(),
    Key::time("metricsInterval", 60_000, 24, "how often it is sent metrics"),
];

pub(super) const AUDIT: &[Key] = &[
    Key::new("enabled", Shape::Flag, "whether what callers do is recorded").default("true"),
    Key::new("component", Shape::Text, "who records it, as each record says").or_zero().default("vmcp-server"),
    Key::new("logFile", Shape::Text, "the file that records are added to; if absent, standard output")
        .form(Form::File)
        .or_zero(),
    Key::new(
        "otlp",
        Shape::Flag,
        "whether records are sent to telemetry.endpoint, too, as logs; without logFile, they are sent there only",
    )
    .default("false"),
    Key::new("eventTypes", Shape::Texts, "the types of events that are recorded; all if empty"),
    Key::new("excludeEventTypes", Shape::Texts, "those that are not, whatever eventTypes says"),
    Key::new(
        "includeRequestData",
        Shape::Flag,
        "whether the parameters of requests are recorded, arguments included: they may hold secrets",
    )
    .default("false"),
    Key::new(
        "includeResponseData",
        Shape::Flag,
        "whether answers are recorded: they may hold secrets",
    )
    .default("false"),
    Key::new(
        "maxDataSize",
        Shape::Count { default: 1024, least: 0, most: 1 << 20 },
        "bytes that are recorded of a request, and of an answer; what is longer is cut, and 0 is 1024",
    ),
    Key::new(
        "detectApplicationErrors",
        Shape::Flag,
        "whether a tool that says it has failed, and an error that a backend answers with, are told apart from success",
    )
    .default("true"),
    Key::new(
        "maxDelegationDepth",
        Shape::Count { default: 10, least: 1, most: 100 },
        "how many of those who act for each other are recorded (the claim act)",
    ),
    Key::choice(
        "onOverflow",
        &["drop", "block"],
        &[],
        "what happens while records cannot be written as fast as they come: they are dropped and counted, or calls \
         wait, for a second at most",
    )
    .default("drop"),
    Key::count("queue", 10_000, 1_000_000, "records that wait to be written"),
    Key::size("maxFileBytes", 0, "bytes after which a new file is begun, and the old one renamed; 0 for never").or_zero(),
    Key::count("keepFiles", 5, 1000, "old files that are kept then"),
];
