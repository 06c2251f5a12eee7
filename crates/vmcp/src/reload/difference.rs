//! What lies between two configurations. Decides; changes nothing.

use anyhow::bail;
use vmcp_backend::{Program, Transport};
use vmcp_core::Bridge;

use crate::config::{BackendSettings, Configuration};

/// The settings that hold until the server is started again, and differ.
pub(super) fn later(started: &Configuration, new: &Configuration) -> Vec<&'static str> {
    // Taken apart by name, so that every setting is on one side or the other.
    let Configuration {
        name,
        group: _,
        metadata: _,
        backends,
        rules: _,
        incoming,
        log_level: _,
        reload,
        failures: _,
        storage,
        sessions,
        bridge,
        limits,
        admin_listen,
        allowed_hosts,
        allowed_origins,
        warnings: _,
    } = started;
    let event_bytes = |backends: &[BackendSettings]| {
        backends.first().map(|settings| settings.config.limits.event_bytes)
    };
    let differs = [
        ("name", *name != new.name),
        ("operational.reload.allowCommands", reload.allow_commands != new.reload.allow_commands),
        ("incomingAuth", *incoming != new.incoming),
        ("sessionStorage", *storage != new.storage),
        ("sessions", *sessions != new.sessions),
        ("bridge", Bridge { sessions: new.bridge.sessions, ..*bridge } != new.bridge),
        ("limits.keptSessionsPerBackend", bridge.sessions != new.bridge.sessions),
        ("limits", *limits != new.limits),
        ("limits.eventBytes", event_bytes(backends) != event_bytes(&new.backends)),
        ("admin.listen", *admin_listen != new.admin_listen),
        ("allowedHosts", *allowed_hosts != new.allowed_hosts),
        ("allowedOrigins", *allowed_origins != new.allowed_origins),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// Refuses a configuration that would run something which the present one does not: whoever may
/// write the file need not be somebody who may run programs here.
pub(super) fn refuse_other_programs(
    current: &Configuration,
    new: &Configuration,
) -> anyhow::Result<()> {
    for BackendSettings { config, .. } in &new.backends {
        let Transport::Stdio(program) = &config.transport else { continue };
        let before = current.backends.iter().find(|before| before.config.id == config.id);
        let same = before.is_some_and(|before| match &before.config.transport {
            Transport::Stdio(before) => runs_the_same(before, program),
            Transport::Http(_) | Transport::Sse(_) => false,
        });
        if !same {
            bail!(
                "backend {} would run another program, and a reload may not add or change \
                 command, args, env or cwd unless vmcp was started with \
                 operational.reload.allowCommands: true; restart vmcp instead",
                config.id
            );
        }
    }
    Ok(())
}

fn runs_the_same(before: &Program, now: &Program) -> bool {
    // What does not decide what is run may change.
    let Program { command, args, inherited: _, env, directory, isolation: _, idle: _ } = before;
    *command == now.command && *args == now.args && *env == now.env && *directory == now.directory
}

#[cfg(test)]
mod tests;
