//! Ready-made servers, each with one bad habit or one talent.
//!
//! Those that return a [`RawServer`](crate::raw::RawServer) are not running yet, so a test can add
//! to them. [`Peer`] lists them all for the command line.

mod asking;
mod counting;
mod curious;
mod fidelity;
mod habits;
mod kinds;
mod lists;
mod lying;
mod modern;
mod sockets;
mod tasks;
mod unlocking;

use std::io;

use crate::{
    RmcpServer,
    conformance::{self, Part},
    odd::{odd, odd_modern},
    raw::{Lost, Running},
};

pub use asking::asking;
pub use counting::counting;
pub use curious::{curious, curious_sse};
pub use fidelity::fidelity;
pub use habits::{
    dying, flooding, forgetting, hanging_at_calls, hanging_at_initialize, huge, slow, stateful,
};
pub use kinds::by_kind_sse;
pub use lists::{changing, many_tools};
pub use lying::{lying, lying_about_tools};
pub use modern::{INVALID_HEADERS, modern, turning};
pub use sockets::{SocketPeer, endless_headers};
pub use tasks::tasks;
pub use unlocking::{Unlocking, unlocking, unlocking_rmcp, unlocking_sse};

/// Every server that the command line can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Peer {
    /// What the official conformance suite expects
    Conformance,
    /// rmcp: counts calls in each session, and is slow on demand
    Counting,
    /// Raw: counts calls in each session, and is slow on demand
    Stateful,
    /// Raw: takes `delay_ms` to answer
    Slow,
    /// Forgets its sessions on demand, answers 404
    Forgetting,
    /// Forgets its sessions on demand, answers 400
    ForgettingBadly,
    /// Never answers `initialize`
    HangingAtInitialize,
    /// Never answers a call
    HangingAtCalls,
    /// Closes the connection in mid-answer
    Dying,
    /// Notifications without end, on calls and on GET
    Flooding,
    /// 100 MiB results
    Huge,
    /// Response headers without end
    EndlessHeaders,
    /// Answers that break the protocol
    Lying,
    /// A list of tools that is none
    LyingAboutTools,
    /// Tasks of revision 2025-11-25
    Tasks,
    /// Asks the client, logs, and updates resources
    Asking,
    /// A list of tools that changes
    Changing,
    /// 1,200 tools on pages of 50
    ManyTools,
    /// Numbers, order, unknown fields and escapes that must survive
    Fidelity,
    /// The modern era alone: echoes, counts, asks, logs, reports progress, wants headers
    Modern,
    /// Both eras
    Turning,
    /// Lists and capabilities with items that are not as the specification has them
    Odd,
    /// The same in the modern era
    OddModern,
}

/// Any running peer.
pub enum RunningPeer {
    Rmcp(RmcpServer),
    Raw(Running),
    Modern(crate::modern::Running),
    Socket(SocketPeer),
}

impl Peer {
    /// Starts it on a port; 0 takes any. `part` matters to the conformance fixture only.
    pub async fn start(self, part: Part, port: u16) -> io::Result<RunningPeer> {
        let raw = match self {
            Self::Conformance => {
                return conformance::start(part, port).await.map(RunningPeer::Rmcp);
            }
            Self::Counting => return counting(port).await.map(RunningPeer::Rmcp),
            Self::EndlessHeaders => return endless_headers(port).await.map(RunningPeer::Socket),
            Self::Modern => return modern().port(port).start().await.map(RunningPeer::Modern),
            Self::Turning => return turning().port(port).start().await.map(RunningPeer::Modern),
            Self::OddModern => {
                return odd_modern().port(port).start().await.map(RunningPeer::Modern);
            }
            Self::Odd => odd(),
            Self::Stateful => stateful(),
            Self::Slow => slow(),
            Self::Forgetting => forgetting(Lost::NotFound),
            Self::ForgettingBadly => forgetting(Lost::BadRequest),
            Self::HangingAtInitialize => hanging_at_initialize(),
            Self::HangingAtCalls => hanging_at_calls(),
            Self::Dying => dying(),
            Self::Flooding => flooding(),
            Self::Huge => huge(),
            Self::Lying => lying(),
            Self::LyingAboutTools => lying_about_tools(),
            Self::Tasks => tasks(),
            Self::Asking => asking(),
            Self::Changing => changing(),
            Self::ManyTools => many_tools(1_200, 50),
            Self::Fidelity => fidelity(),
        };
        raw.port(port).start().await.map(RunningPeer::Raw)
    }
}

impl RunningPeer {
    /// The MCP endpoint.
    pub fn url(&self) -> String {
        match self {
            Self::Rmcp(server) => server.url(),
            Self::Raw(server) => server.url(),
            Self::Modern(server) => server.url(),
            Self::Socket(server) => server.url(),
        }
    }
}

/// A tool definition without arguments worth describing.
fn tool(name: &str) -> String {
    format!(r#"{{"name":"{name}","description":"{name}","inputSchema":{{"type":"object"}}}}"#)
}

/// The same for a server on rmcp.
fn rmcp_tool(name: &'static str) -> rmcp::model::Tool {
    let schema = [("type".to_owned(), "object".into())].into_iter().collect();
    rmcp::model::Tool::new(name, name, std::sync::Arc::new(schema))
}
