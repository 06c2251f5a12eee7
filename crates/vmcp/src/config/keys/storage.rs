//! The keys of where session records live.

use super::super::schema::{Form, Key, Shape};

pub(in super::super) const SESSION_STORAGE: &[Key] = &[
    Key::choice("provider", &["memory", "redis"], &[], "the kind of store").required(),
    Key::new("address", Shape::Text, "host:port of a Redis that stands alone").form(Form::HostPort).or_zero(),
    Key::new("sentinel", Shape::Section(SENTINEL), "the Sentinels that name the Redis to use"),
    Key::new("cluster", Shape::Section(CLUSTER), "the Redis cluster to use"),
    Key::new("db", Shape::Count { default: 0, least: 0, most: 1_000_000 }, "the logical database")
        .or_zero(),
    Key::new("keyPrefix", Shape::Text, "what every key begins with; ends with a colon").form(Form::KeyPrefix)
        .or_zero()
        .default("thv:vmcp:session:"),
    Key::new("username", Shape::Text, "the ACL user"),
    Key::new("passwordEnv", Shape::Text, "the environment variable that holds the password").form(Form::VariableName)
        .default("THV_SESSION_REDIS_PASSWORD"),
    Key::new("passwordFile", Shape::Text, "the file that holds the password").form(Form::File),
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
    ).form(Form::VariableName)
    .default("VMCP_SESSION_HMAC_SECRET"),
    Key::new("keysFile", Shape::Text, "the file that holds them; without either they are kept in Redis").form(Form::File),
];

const SENTINEL: &[Key] = &[
    Key::new("addresses", Shape::Texts, "host:port of each").form(Form::HostPort).required(),
    Key::new("master", Shape::Text, "the name by which they know the Redis").required(),
    Key::new("username", Shape::Text, "the ACL user for the Sentinels themselves"),
    Key::new("passwordEnv", Shape::Text, "the environment variable that holds their password")
        .form(Form::VariableName),
    Key::new("passwordFile", Shape::Text, "the file that holds their password").form(Form::File),
];

const CLUSTER: &[Key] =
    &[Key::new("addresses", Shape::Texts, "host:port of some nodes, which know the others")
        .form(Form::HostPort)
        .required()];

const REDIS_TLS: &[Key] = &[
    Key::new("enabled", Shape::Flag, "whether connections are encrypted").default("true"),
    Key::new(
        "caBundlePath",
        Shape::Text,
        "a PEM file of the authorities that vouch for the servers",
    )
    .form(Form::File),
];
