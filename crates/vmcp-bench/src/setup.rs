//! What a vmcp that is measured has to do beside passing calls on.

use std::{net::SocketAddr, path::Path};

use crate::party::Sections;

mod credentials;

pub(crate) use credentials::Credentials;

/// What is configured beside the backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setup {
    pub(crate) policies: Policies,
    pub(crate) credentials: Credentials,
    pub(crate) told: Told,
}

/// What is told of what was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Nothing,
    Metrics,
    /// A record of each request, in a file.
    Audit,
    /// One request in a hundred.
    Traces,
    /// All of it.
    All,
}

impl Told {
    /// `telemetry` and `audit`. Traces are sent to the backend, which takes none.
    fn sections(self, backend: SocketAddr, dir: &Path) -> String {
        let metrics = "enablePrometheusMetricsPath: true";
        let traces =
            format!("endpoint: 'http://{backend}', tracingEnabled: true, samplingRate: '0.01'");
        let audit = format!("audit: {{logFile: '{}'}}\n", dir.join("audit.log").display());
        match self {
            Self::Nothing => String::new(),
            Self::Metrics => format!("telemetry: {{{metrics}}}\n"),
            Self::Audit => audit,
            Self::Traces => format!("telemetry: {{{traces}}}\n"),
            Self::All => format!("telemetry: {{{metrics}, {traces}}}\n{audit}"),
        }
    }
}

/// What says who may do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policies {
    None,
    /// Twenty, none of which reads arguments.
    OfNames,
    /// The same and one that does.
    OfArguments,
}

impl Policies {
    fn texts(self) -> Vec<String> {
        let of_arguments = "forbid(principal, action, resource == Tool::\"echo\") \
                            when { context has arg_text && context.arg_text like \"*secret*\" };";
        let mut texts = vec!["permit(principal, action, resource in Backend::\"b0\");".to_owned()];
        texts.extend((1..20).map(|n| {
            format!("forbid(principal in THVGroup::\"g{n}\", action, resource == Tool::\"t{n}\");")
        }));
        match self {
            Self::None => Vec::new(),
            Self::OfNames => texts,
            Self::OfArguments => [texts, vec![of_arguments.to_owned()]].concat(),
        }
    }
}

impl Setup {
    /// Open to everybody, and nothing is told of it.
    pub(crate) const PLAIN: Self =
        Self { policies: Policies::None, credentials: Credentials::None, told: Told::Nothing };

    /// All that a company switches on.
    pub(crate) const EVERYTHING: Self = Self {
        policies: Policies::OfNames,
        credentials: Credentials::HeaderForCallers,
        told: Told::All,
    };

    /// The sections of a configuration. Files are written to `dir`.
    pub(crate) fn sections(self, backend: SocketAddr, dir: &Path) -> Sections {
        Sections {
            incoming: self.credentials.incoming(backend),
            policies: self.policies.texts(),
            outgoing: self.credentials.outgoing(backend),
            told: self.told.sections(backend, dir),
        }
    }
}
