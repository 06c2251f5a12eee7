//! The paths that are counted, and one step of each.

use std::{net::SocketAddr, path::Path};

use anyhow::Result;

use super::credentials::Credentials;
use crate::client::{
    Connection, Session, ask_modern,
    message::{Conversation, Request},
};

/// Backends whose tools are listed.
const LISTED: usize = 20;

/// What is counted, hottest first. Opening and ending sessions is not: much of it is done later, by
/// threads that sleep and wake as it happens, and counts differ by several percent.
pub(super) const PATHS: [Route; 16] = [
    Route::plain("tools/call 64 B", Work::Legacy(Request::Echo(64))),
    Route::plain("tools/call 64 KB", Work::Legacy(Request::Echo(64 * 1024))),
    Route::plain("modern tools/call 64 B", Work::Modern(Request::Echo(64))),
    Route { backends: LISTED, ..Route::plain("tools/list of 1000", Work::Legacy(Request::List)) },
    Route::plain("SSE answer 64 B", Work::Legacy(Request::Stream(64))),
    Route {
        policies: Policies::OfNames,
        ..Route::plain("tools/call, 20 policies", Work::Legacy(Request::Echo(64)))
    },
    Route {
        policies: Policies::OfNames,
        ..Route::plain("modern tools/call, 20 policies", Work::Modern(Request::Echo(64)))
    },
    Route {
        policies: Policies::OfArguments,
        ..Route::plain("tools/call, a policy reads arguments", Work::Legacy(Request::Echo(64)))
    },
    Route::shown(Credentials::Header, "tools/call, a fixed header"),
    Route::shown(Credentials::Own, "tools/call, a token of vmcp's own at hand"),
    Route::shown(Credentials::HeaderForCallers, "tools/call by a caller, a fixed header"),
    Route::shown(Credentials::OfCaller, "tools/call by a caller, the caller's token at hand"),
    Route::told(Told::Metrics, "tools/call, metrics on"),
    Route::told(Told::Audit, "tools/call, audit to a file"),
    Route::told(Told::Traces, "tools/call, 1% of traces"),
    Route {
        policies: Policies::OfNames,
        told: Told::All,
        ..Route::shown(Credentials::HeaderForCallers, "tools/call by a caller, everything on")
    },
];

/// A way through vmcp.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub(super) name: &'static str,
    pub(super) work: Work,
    /// In front of how many backends; one of many has tools of its own.
    pub(super) backends: usize,
    pub(super) policies: Policies,
    pub(super) credentials: Credentials,
    pub(super) told: Told,
}

/// What is told of what was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
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
    pub(super) fn sections(self, backend: SocketAddr, dir: &Path) -> String {
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
pub(super) enum Policies {
    None,
    /// Twenty, none of which reads arguments.
    OfNames,
    /// The same and one that does.
    OfArguments,
}

impl Policies {
    pub(super) fn texts(self) -> Vec<String> {
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

impl Route {
    /// A way to one backend, open to everybody.
    const fn plain(name: &'static str, work: Work) -> Self {
        let (policies, credentials) = (Policies::None, Credentials::None);
        Self { name, work, backends: 1, policies, credentials, told: Told::Nothing }
    }

    /// A way to one backend, of which something is told.
    const fn told(told: Told, name: &'static str) -> Self {
        Self { told, ..Self::plain(name, Work::Legacy(Request::Echo(64))) }
    }

    /// A way to one backend, which is shown something.
    const fn shown(credentials: Credentials, name: &'static str) -> Self {
        Self { credentials, ..Self::plain(name, Work::Legacy(Request::Echo(64))) }
    }

    /// Its name as a file's.
    pub(super) fn file(&self) -> String {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        format!("{}.callgrind", self.name.chars().map(letter).collect::<String>())
    }
}

/// What is done again and again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    /// Sends this request on one session.
    Legacy(Request),
    /// Sends this request as a client of the modern era.
    Modern(Request),
}

/// A client on its way.
pub(super) enum Driver {
    Legacy(Session, Conversation),
    Modern(Conversation),
}

impl Driver {
    pub(super) async fn new(work: Work, connection: &mut Connection) -> Result<Self> {
        Ok(match work {
            Work::Legacy(request) => {
                Self::Legacy(Session::open(connection).await?, Conversation::new(request))
            }
            Work::Modern(request) => Self::Modern(Conversation::modern(request)),
        })
    }

    /// One call, and the check of its answer.
    pub(super) async fn step(&mut self, connection: &mut Connection) -> Result<()> {
        match self {
            Self::Legacy(session, conversation) => {
                let answer = session.post(connection, conversation.ask()).await?;
                conversation.check(&answer)
            }
            Self::Modern(conversation) => {
                let answer = ask_modern(connection, conversation).await?;
                conversation.check(&answer)
            }
        }
    }
}
