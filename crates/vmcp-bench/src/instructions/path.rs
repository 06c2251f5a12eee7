//! The paths that are counted, and one step of each.

use anyhow::Result;

use crate::{
    client::{
        Connection, Session, ask_modern,
        message::{Conversation, Request},
    },
    setup::{Credentials, Policies, Setup, Told},
};

/// Backends whose tools are listed.
const LISTED: usize = 20;

/// What is counted, hottest first. Opening and ending sessions is not: much of it is done later, by
/// threads that sleep and wake as it happens, and counts differ by several percent.
pub(super) const PATHS: [Route; 16] = [
    Route::plain("tools/call 64 B", CALL),
    Route::plain("tools/call 64 KB", Work::Legacy(Request::Echo(64 * 1024))),
    Route::plain("modern tools/call 64 B", Work::Modern(Request::Echo(64))),
    Route { backends: LISTED, ..Route::plain("tools/list of 1000", Work::Legacy(Request::List)) },
    Route::plain("SSE answer 64 B", Work::Legacy(Request::Stream(64))),
    Route { setup: JUDGED, ..Route::plain("tools/call, 20 policies", CALL) },
    Route {
        setup: JUDGED,
        ..Route::plain("modern tools/call, 20 policies", Work::Modern(Request::Echo(64)))
    },
    Route {
        setup: Setup { policies: Policies::OfArguments, ..Setup::PLAIN },
        ..Route::plain("tools/call, a policy reads arguments", CALL)
    },
    Route::shown(Credentials::Header, "tools/call, a fixed header"),
    Route::shown(Credentials::Own, "tools/call, a token of vmcp's own at hand"),
    Route::shown(Credentials::HeaderForCallers, "tools/call by a caller, a fixed header"),
    Route::shown(Credentials::OfCaller, "tools/call by a caller, the caller's token at hand"),
    Route::told(Told::Metrics, "tools/call, metrics on"),
    Route::told(Told::Audit, "tools/call, audit to a file"),
    Route::told(Told::Traces, "tools/call, 1% of traces"),
    Route {
        setup: Setup::EVERYTHING,
        ..Route::plain("tools/call by a caller, everything on", CALL)
    },
];

const CALL: Work = Work::Legacy(Request::Echo(64));
const JUDGED: Setup = Setup { policies: Policies::OfNames, ..Setup::PLAIN };

/// A way through vmcp.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub(super) name: &'static str,
    pub(super) work: Work,
    /// In front of how many backends; one of many has tools of its own.
    pub(super) backends: usize,
    pub(super) setup: Setup,
}

impl Route {
    /// A way to one backend, open to everybody.
    const fn plain(name: &'static str, work: Work) -> Self {
        Self { name, work, backends: 1, setup: Setup::PLAIN }
    }

    /// A way to one backend, of which something is told.
    const fn told(told: Told, name: &'static str) -> Self {
        Self { setup: Setup { told, ..Setup::PLAIN }, ..Self::plain(name, CALL) }
    }

    /// A way to one backend, which is shown something.
    const fn shown(credentials: Credentials, name: &'static str) -> Self {
        Self { setup: Setup { credentials, ..Setup::PLAIN }, ..Self::plain(name, CALL) }
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
