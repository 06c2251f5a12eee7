//! What lies between two configurations. Decides; changes nothing.

use vmcp_backend::{Program, Transport};
use vmcp_core::Bridge;
use vmcp_credentials::Config as Outgoing;

use crate::config::{
    Admin, BackendSettings, Complaint, Configuration, Limits, Problem, Problems, Sessions,
};

/// The settings that hold until the server is started again, and differ.
pub(super) fn later(started: &Configuration, new: &Configuration) -> Vec<&'static str> {
    // Taken apart by name, so that every setting is on one side or the other.
    let Configuration {
        name,
        group: _,
        metadata: _,
        backends: _,
        discovers: _,
        rules: _,
        incoming,
        authorization: _,
        log_level: _,
        reload,
        failures: _,
        storage,
        peer,
        sessions,
        bridge,
        limits,
        admin: Admin { listen: admin_listen, auth: admin_auth },
        allowed_hosts,
        allowed_origins,
        public_url,
        trusted_proxies,
        telemetry,
        audit,
        warnings: _,
        notes: _,
    } = started;
    let whole = [
        ("name", *name != new.name),
        ("operational.reload.allowCommands", reload.allow_commands != new.reload.allow_commands),
        ("incomingAuth", *incoming != new.incoming),
        ("sessionStorage", *storage != new.storage),
        ("peer", *peer != new.peer),
        ("admin.listen", *admin_listen != new.admin.listen),
        ("admin.auth", *admin_auth != new.admin.auth),
        ("allowedHosts", *allowed_hosts != new.allowed_hosts),
        ("allowedOrigins", *allowed_origins != new.allowed_origins),
        ("publicUrl", *public_url != new.public_url),
        ("trustedProxies", *trusted_proxies != new.trusted_proxies),
        ("telemetry", *telemetry != new.telemetry),
        ("audit", *audit != new.audit),
    ];
    let differs = whole
        .into_iter()
        .chain(of_sessions(sessions, &new.sessions))
        .chain(of_bridge(bridge, &new.bridge))
        .chain(of_limits(limits, &new.limits));
    differs.filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

fn of_sessions(started: &Sessions, new: &Sessions) -> [(&'static str, bool); 8] {
    let Sessions {
        ttl,
        initialize_wait,
        backend_init,
        max_backend_init_concurrency,
        keep_alive,
        event_log_bytes,
        drain_timeout,
        offer_max_age,
    } = started;
    [
        ("sessions.ttl", *ttl != new.ttl),
        ("sessions.initializeWait", *initialize_wait != new.initialize_wait),
        ("sessions.backendInit", *backend_init != new.backend_init),
        (
            "sessions.maxBackendInitConcurrency",
            *max_backend_init_concurrency != new.max_backend_init_concurrency,
        ),
        ("sessions.keepAlive", *keep_alive != new.keep_alive),
        ("sessions.eventLogBytes", *event_log_bytes != new.event_log_bytes),
        ("sessions.drainTimeout", *drain_timeout != new.drain_timeout),
        ("sessions.offerMaxAge", *offer_max_age != new.offer_max_age),
    ]
}

fn of_bridge(started: &Bridge, new: &Bridge) -> [(&'static str, bool); 5] {
    let Bridge { reuse, concurrency, idle, wait, sessions } = started;
    [
        ("bridge.reuse", *reuse != new.reuse),
        ("bridge.concurrency", *concurrency != new.concurrency),
        ("bridge.idle", *idle != new.idle),
        ("bridge.wait", *wait != new.wait),
        ("limits.keptSessionsPerBackend", *sessions != new.sessions),
    ]
}

fn of_limits(started: &Limits, new: &Limits) -> [(&'static str, bool); 11] {
    let Limits {
        event_bytes,
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
    } = started;
    [
        ("limits.eventBytes", *event_bytes != new.event_bytes),
        ("limits.requestBytes", *request_bytes != new.request_bytes),
        ("limits.heldRequestBytes", *held_request_bytes != new.held_request_bytes),
        ("limits.heldBytes", *held_bytes != new.held_bytes),
        ("limits.connections", *connections != new.connections),
        ("limits.sessions", *sessions != new.sessions),
        ("limits.sessionsPerClient", *sessions_per_client != new.sessions_per_client),
        ("limits.callsPerSession", *calls_per_session != new.calls_per_session),
        ("limits.streams", *streams != new.streams),
        ("limits.views", *views != new.views),
        ("limits.callerViews", *caller_views != new.caller_views),
    ]
}

/// Refuses a configuration that looks for its backends where the one does not with which the server was started, or
/// for those of another group: vmcp would have none of them until the next start.
pub(super) fn refuse_other_discovery(
    started: &Configuration,
    new: &Configuration,
) -> Result<(), Problems> {
    let key = if started.discovers != new.discovers {
        "outgoingAuth.source"
    } else if new.discovers && started.group != new.group {
        "groupRef"
    } else {
        return Ok(());
    };
    let text =
        format!("{key} is another than at the start, and counts from a start on; restart vmcp");
    Err(Problems::of_file("the configuration", &text))
}

/// Refuses a configuration for which variables are not set that the present one does not need. A process's
/// environment does not change, so it is a mistake, or meant for the next start.
pub(super) fn refuse_missing(current: &Configuration, new: &Configuration) -> Result<(), Problems> {
    // What discovered ones lack is in the cluster, and may come there.
    if new.discovers {
        return Ok(());
    }
    let is_missing = |settings: &&BackendSettings| missing(settings).is_some();
    let known: Vec<_> =
        current.backends.iter().filter(is_missing).map(|before| &before.config.id).collect();
    let refused: Vec<_> = new
        .backends
        .iter()
        .filter(|settings| !known.contains(&&settings.config.id))
        .filter_map(|settings| {
            let why = missing(settings)?;
            let text =
                format!("backend {} would be out: {why}; restart vmcp with it", settings.config.id);
            Some(Problem::of_file(text).of("the configuration"))
        })
        .collect();
    if refused.is_empty() { Ok(()) } else { Err(refused.into_iter().collect()) }
}

/// Tells which discovered backends are out now, and why.
pub(super) fn tell_of_missing(current: &Configuration, new: &Configuration) {
    for settings in new.backends.iter().filter(|_| new.discovers) {
        let id = &settings.config.id;
        let before = current.backends.iter().find(|before| before.config.id == *id);
        if let Some(why) = missing(settings)
            && before.and_then(missing) != Some(why)
        {
            tracing::warn!(backend = %id, why, "a discovered backend is out");
        }
    }
}

/// What a backend lacks of what it is configured to be shown.
fn missing(settings: &BackendSettings) -> Option<&str> {
    match &settings.config.transport {
        Transport::Http(endpoint) | Transport::Sse(endpoint) => match &endpoint.outgoing {
            Outgoing::Missing { why, .. } => Some(why),
            _ => None,
        },
        Transport::Stdio(_) => None,
    }
}

/// Refuses a configuration that would run something which the present one does not: whoever may
/// write the file need not be somebody who may run programs here.
pub(super) fn refuse_other_programs(
    current: &Configuration,
    new: &Configuration,
) -> Result<(), Problems> {
    let is_other = |settings: &&BackendSettings| {
        let Transport::Stdio(program) = &settings.config.transport else { return false };
        let mut before = current.backends.iter().map(|before| &before.config);
        let before = before.find(|before| before.id == settings.config.id);
        !before.is_some_and(|before| match &before.transport {
            Transport::Stdio(before) => runs_the_same(before, program),
            Transport::Http(_) | Transport::Sse(_) => false,
        })
    };
    let refused = new.backends.iter().filter(is_other).map(|settings| {
        let text = format!(
            "backend {} would run another program, and a reload may not add or change command, args, \
             env or cwd unless vmcp was started with operational.reload.allowCommands: true; restart \
             vmcp instead",
            settings.config.id
        );
        let at = settings.command.clone();
        let at = at.unwrap_or_else(|| Problem::of_file("").of("the configuration"));
        Complaint { problem: Problem { text, ..at.problem }, ..at }
    });
    let mut refused = refused.peekable();
    if refused.peek().is_none() {
        return Ok(());
    }
    Err(refused.collect())
}

fn runs_the_same(before: &Program, now: &Program) -> bool {
    // What does not decide what is run may change.
    let Program { command, args, secrets: _, inherited: _, env, directory, isolation: _, idle: _ } =
        before;
    *command == now.command && *args == now.args && *env == now.env && *directory == now.directory
}

#[cfg(test)]
mod tests;
