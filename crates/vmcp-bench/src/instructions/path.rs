//! The paths that are counted, and one step of each.

use anyhow::Result;

use crate::client::{
    Connection, Session, ask_modern,
    message::{Conversation, Request},
};

/// Backends whose tools are listed.
const LISTED: usize = 20;

/// What is counted, hottest first. Opening and ending sessions is not: much of it is done later, by
/// threads that sleep and wake as it happens, and counts differ by several percent.
pub(super) const PATHS: [Route; 5] = [
    Route { name: "tools/call 64 B", work: Work::Legacy(Request::Echo(64)), backends: 1 },
    Route { name: "tools/call 64 KB", work: Work::Legacy(Request::Echo(64 * 1024)), backends: 1 },
    Route { name: "modern tools/call 64 B", work: Work::Modern(Request::Echo(64)), backends: 1 },
    Route { name: "tools/list of 1000", work: Work::Legacy(Request::List), backends: LISTED },
    Route { name: "SSE answer 64 B", work: Work::Legacy(Request::Stream(64)), backends: 1 },
];

/// A way through vmcp.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub(super) name: &'static str,
    pub(super) work: Work,
    /// In front of how many backends; one of many has tools of its own.
    pub(super) backends: usize,
}

impl Route {
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
