//! A configuration as text. Everything is taken apart by name, so that nothing is left out.

mod aws;
mod grants;
mod records;

use std::collections::BTreeMap;

use http::HeaderMap;
use vmcp_auth::{Client, ClientSecret, Introspection, Oidc, OperatorAuth, Roles, TrustedIssuer};
use vmcp_backend::{Endpoint, HealthSettings, Network, Program, Transport};
use vmcp_catalog::{Annotations, Naming, Override, OwnItem, Rules, ToolRules};
use vmcp_core::{Bridge, Denial};
use vmcp_credentials::{Config as Outgoing, HeaderFile};
use vmcp_policy::{Policy, Settings};
use vmcp_store::{Password, Servers};

use super::{
    super::{
        Admin, Authorization, BackendSettings, Configuration, FailureHandling, Limits, Reload,
        Sessions,
    },
    complete, parsed,
};

/// The lines that the bare minimum does not have.
pub(super) fn difference(configuration: &Configuration) -> String {
    let minimum = parsed(&complete("")).expect("the minimum is complete");
    let minimum = rendered(&minimum);
    let lines = rendered(configuration).into_iter();
    lines.filter(|line| !minimum.contains(line)).collect::<Vec<_>>().join("\n")
}

/// Everything, a line for each value.
pub(super) fn rendered(configuration: &Configuration) -> Vec<String> {
    let Configuration {
        name,
        group,
        metadata,
        backends,
        discovers,
        rules,
        incoming,
        authorization: Authorization { policy, denial },
        log_level,
        reload: Reload { watch_file, allow_commands },
        failures,
        storage,
        peer,
        sessions,
        bridge,
        limits,
        admin: Admin { listen, auth },
        allowed_hosts,
        allowed_origins,
        public_url,
        trusted_proxies,
        telemetry,
        audit,
        warnings,
        notes,
    } = configuration;
    let mut lines = vec![
        format!("name {name}"),
        format!("group {group:?}"),
        format!("metadata {}", labels(metadata)),
        format!("log level {log_level:?}"),
        format!("reload watches {watch_file}, allows commands {allow_commands}"),
        format!("admin {listen:?} {}", of_operators(auth)),
        format!("hosts {allowed_hosts:?}"),
        format!("origins {allowed_origins:?}"),
        format!("reached by {}", public_url.as_deref().unwrap_or("-")),
        format!("trusts {:?}", trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>()),
        of_incoming(incoming),
    ];
    lines.extend(telemetry.iter().flat_map(records::of_telemetry));
    lines.extend(audit.iter().map(records::of_audit));
    lines.extend(policy.iter().flat_map(|policy| of_policy(policy)));
    lines.extend((*denial != Denial::default()).then(|| format!("denials {denial:?}")));
    lines.extend(storage.iter().flat_map(of_storage));
    lines.extend(peer.iter().map(|peer| format!("{peer:?}")));
    lines.extend(of_failures(failures));
    lines.extend(of_sessions(sessions));
    lines.extend(of_bridge(bridge));
    lines.extend(of_limits(limits));
    lines.extend(discovers.then(|| "backends are discovered".to_owned()));
    lines.extend(backends.iter().flat_map(of_backend));
    lines.extend(of_rules(rules, backends));
    lines.extend(warnings.iter().map(|warning| format!("warning {warning}")));
    lines.extend(notes.iter().map(|note| format!("note {note}")));
    lines
}

fn of_policy(policy: &Policy) -> Vec<String> {
    let Settings { server, policies, entities, group_claim, role_claim, group_entity_type } =
        policy.settings();
    vec![
        format!("policies of {server} {policies:?}"),
        format!("entities {entities:?}"),
        format!("groups {group_claim:?} roles {role_claim:?} type {group_entity_type}"),
    ]
}

fn of_operators(auth: &OperatorAuth) -> String {
    match auth {
        OperatorAuth::None => "None".to_owned(),
        OperatorAuth::Token(file) => {
            format!("Token({:?})", file.as_ref().and_then(|path| path.file_name()))
        }
        OperatorAuth::Oidc(Roles { claim, any_of }) => format!("one of {any_of:?} in {claim:?}"),
    }
}

fn of_incoming(incoming: &vmcp_auth::Config) -> String {
    let oidc = match incoming {
        vmcp_auth::Config::Anonymous => return "callers anonymous".to_owned(),
        vmcp_auth::Config::Local => return "callers local".to_owned(),
        vmcp_auth::Config::Oidc(oidc) => oidc,
    };
    let Oidc { issuers, resource } = &**oidc;
    let resource = resource.as_deref().unwrap_or("-");
    let issuers: Vec<_> = issuers.iter().map(|issuer| of_issuer(issuer, resource)).collect();
    issuers.join("\n")
}

fn of_issuer(issuer: &TrustedIssuer, resource: &str) -> String {
    let TrustedIssuer {
        issuer,
        audience,
        jwks_url,
        introspection,
        scopes,
        required_scopes,
        allow_private_ip,
        allow_http,
        ca_bundle,
        account,
    } = issuer;
    let keys = jwks_url.as_ref().map_or("-".to_owned(), http::Uri::to_string);
    let ca = ca_bundle.as_ref().map_or(0, |bytes| bytes.len());
    let mut text = format!(
        "callers of {issuer} for {audience} keys {keys} resource {resource} scopes {scopes:?} private {allow_private_ip} http {allow_http} ca {ca}"
    );
    text += &account.as_ref().map(|account| format!(" as {account:?}")).unwrap_or_default();
    if !required_scopes.is_empty() {
        text += &format!(" required {required_scopes:?}");
    }
    if let Some(Introspection { url, client, interval }) = introspection {
        let client = client.as_ref().map_or("nobody".to_owned(), |Client { id, secret }| {
            let secret = secret.as_ref().map_or("-".to_owned(), ClientSecret::now);
            format!("{id} with {secret}")
        });
        text += &format!(" asked at {url} by {client} each {interval:?}");
    }
    text
}

fn of_storage(storage: &vmcp_store::Settings) -> Vec<String> {
    let vmcp_store::Settings {
        servers,
        db,
        username,
        password,
        tls,
        prefix,
        dial_timeout,
        command_timeout,
        validation,
        keys,
    } = storage;
    let login = |username: &Option<String>, password: &Option<Password>| {
        let username = username.as_deref().unwrap_or("-");
        let password = password.as_ref().map_or_else(|| "-".to_owned(), Password::now);
        format!("{username} {password}")
    };
    let mut servers_line = format!("records in {servers}");
    if let Servers::Sentinel { username, password, .. } = servers {
        servers_line += &format!(" as {}", login(username, password));
    }
    let tls = tls.as_ref().map(|tls| tls.authorities.as_ref().map_or(0, Vec::len));
    let keys: Vec<u8> = keys.iter().flat_map(|ring| ring.all().map(|key| key.secret[0])).collect();
    vec![
        servers_line,
        format!("records in db {db} under {prefix}"),
        format!("records as {} tls {tls:?}", login(username, password)),
        format!("records dial {dial_timeout:?} command {command_timeout:?}"),
        format!("records {validation:?} keys {keys:?}"),
    ]
}

fn of_failures(failures: &FailureHandling) -> Vec<String> {
    let FailureHandling { health, reporting_interval, partial } = failures;
    let HealthSettings { check_interval, check_timeout, unhealthy_threshold, breaker } = health;
    vec![
        format!("checks each {check_interval:?} in {check_timeout:?}, {unhealthy_threshold} fail"),
        format!("reports each {reporting_interval:?}, partial failure {partial:?}"),
        format!("breaker {breaker:?}"),
    ]
}

fn of_sessions(sessions: &Sessions) -> Vec<String> {
    let Sessions {
        ttl,
        initialize_wait,
        backend_init,
        max_backend_init_concurrency,
        keep_alive,
        event_log_bytes,
        drain_timeout,
        offer_max_age,
    } = sessions;
    vec![
        format!("ttl {ttl:?}"),
        format!("initialize wait {initialize_wait:?}"),
        format!("backend init {backend_init:?}, {max_backend_init_concurrency} at once"),
        format!("keep alive {keep_alive:?}"),
        format!("event log {event_log_bytes}"),
        format!("drain {drain_timeout:?}"),
        format!("offer max age {offer_max_age:?}"),
    ]
}

fn of_bridge(bridge: &Bridge) -> Vec<String> {
    let Bridge { reuse, concurrency, idle, wait, sessions } = bridge;
    vec![
        format!("bridge reuses {reuse:?}, {concurrency:?} at once"),
        format!("bridge keeps {sessions} for {idle:?}, waits {wait:?}"),
    ]
}

fn of_limits(limits: &Limits) -> Vec<String> {
    let Limits {
        event_bytes: _,
        request_bytes,
        held_request_bytes,
        held_bytes,
        connections,
        sessions,
        sessions_per_client,
        calls_per_session,
        streams,
        views,
        caller_views,
    } = limits;
    vec![
        format!("request {request_bytes}"),
        format!("held {held_bytes}, of requests {held_request_bytes}"),
        format!("connections {connections}"),
        format!("sessions {sessions}, {sessions_per_client} a client"),
        format!("calls per session {calls_per_session}"),
        format!("streams {streams}"),
        format!("views {views}"),
        format!("views of callers {caller_views}"),
    ]
}

fn of_backend(backend: &BackendSettings) -> Vec<String> {
    let BackendSettings { config, metadata, is_undecided: _, command: _ } = backend;
    let vmcp_backend::Config { id, transport, timeouts, limits } = config;
    let vmcp_backend::Timeouts { connect, initialize, idle, absolute } = timeouts;
    let vmcp_backend::Limits {
        response_bytes,
        event_bytes,
        in_flight,
        streams,
        links,
        list_pages,
        list_items,
        list_bytes,
    } = limits;
    let line = |text: String| format!("{id}: {text}");
    vec![
        line(format!("{} {}", of_transport(transport), labels(metadata))),
        line(format!("connect {connect:?} initialize {initialize:?}")),
        line(format!("idle {idle:?} absolute {absolute:?}")),
        line(format!("response {response_bytes} event {event_bytes}")),
        line(format!("in flight {in_flight} streams {streams} links {links}")),
        line(format!("list pages {list_pages} items {list_items} bytes {list_bytes}")),
    ]
}

fn of_transport(transport: &Transport) -> String {
    match transport {
        Transport::Http(endpoint) => of_endpoint(endpoint),
        Transport::Sse(endpoint) => format!("sse {}", of_endpoint(endpoint)),
        Transport::Stdio(program) => of_program(program),
    }
}

fn of_endpoint(endpoint: &Endpoint) -> String {
    let Endpoint { url, outgoing, headers, passthrough, ca_bundle, proxy, network } = endpoint;
    assert_eq!(*network, Network::Tcp, "configuration knows no network but TCP");
    let passed = match &**passthrough {
        [] => String::new(),
        names => format!(" passes {names:?}"),
    };
    let ca_bundle = ca_bundle.as_ref().map_or(0, |bytes| bytes.len());
    let proxy = proxy.as_ref().map(|proxy| format!(" through {proxy}")).unwrap_or_default();
    format!("{url} {}{}{passed} ca {ca_bundle}{proxy}", shown(outgoing), fixed(headers))
}

fn of_program(program: &Program) -> String {
    let Program { command, args, secrets: _, inherited, env, directory, isolation, idle } = program;
    let directory = directory.as_ref().and_then(|path| path.file_name());
    let env: BTreeMap<_, _> = inherited.iter().chain(env).collect();
    format!("runs {command} {args:?} {env:?} in {directory:?} {isolation:?} idle {idle:?}")
}

/// The fixed headers.
fn fixed(headers: &HeaderMap) -> String {
    let one = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        assert!(value.is_sensitive());
        format!(" {name}:{:?}", String::from_utf8_lossy(value.as_bytes()))
    };
    headers.iter().map(one).collect()
}

/// What a backend is shown. Values of headers must be hidden from everything but this.
fn shown(outgoing: &Outgoing) -> String {
    match outgoing {
        Outgoing::Missing { why, .. } => format!("missing {why:?}"),
        Outgoing::Unauthenticated => "unauthenticated".to_owned(),
        Outgoing::Header { name, value } => {
            assert!(value.is_sensitive());
            format!("{name}={:?}", String::from_utf8_lossy(value.as_bytes()))
        }
        Outgoing::HeaderFile(HeaderFile { name, path, value }) => {
            assert!(value.is_sensitive());
            let value = String::from_utf8_lossy(value.as_bytes());
            format!("{name}={value:?} from {:?}", path.file_name().unwrap_or_default())
        }
        Outgoing::Token(grant) => grants::shown(grant),
        Outgoing::Aws(role) => aws::shown(role),
    }
}

fn of_rules(rules: &Rules, backends: &[BackendSettings]) -> Vec<String> {
    let Rules {
        naming,
        order,
        names,
        name_limit,
        page_size,
        exclude_all_tools,
        default_visibility,
        tools,
        own,
        keep_hidden,
    } = rules;
    assert!(!keep_hidden, "nothing reaches hidden tools yet");
    assert!(order.iter().eq(backends.iter().map(|backend| &backend.config.id)));
    let naming = match naming {
        Naming::Prefix { format } => format!("prefix {format:?}"),
        Naming::Priority { order, format } => format!("priority {order:?} {format:?}"),
        Naming::Manual { format } => format!("manual {format:?}"),
    };
    let mut lines = vec![
        format!("naming {naming}"),
        format!("name limit {name_limit} page {page_size}"),
        format!("exclude all {exclude_all_tools} default {default_visibility:?}"),
        format!("names {names:?}"),
        format!("own {:?}", own.iter().map(OwnItem::name).collect::<Vec<_>>()),
    ];
    for (id, ToolRules { filter, exclude, exclude_all, overrides }) in tools {
        lines.push(format!("tools of {id}: {filter:?} exclude {exclude:?} all {exclude_all}"));
        for (tool, Override { name, description, annotations }) in overrides {
            let annotations = annotations.as_ref().map(of_annotations);
            lines.push(format!("{id}/{tool}: {name:?} {description:?} {annotations:?}"));
        }
    }
    lines
}

fn of_annotations(annotations: &Annotations) -> String {
    let Annotations { title, read_only_hint, destructive_hint, idempotent_hint, open_world_hint } =
        annotations;
    let hint = |hint: &Option<bool>| match hint {
        None => '-',
        Some(true) => 'y',
        Some(false) => 'n',
    };
    let hints = [read_only_hint, destructive_hint, idempotent_hint, open_world_hint].map(hint);
    format!("{} {}", title.as_deref().unwrap_or("-"), hints.iter().collect::<String>())
}

fn labels(metadata: &BTreeMap<String, String>) -> String {
    format!("{metadata:?}")
}
