//! What one connection sends, one call after the other, and the check of what comes back.

use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use http::Method;

use crate::client::{
    Connection, Sender, Session, ask_modern,
    message::{Conversation, Request},
};

/// What each connection does, again and again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// Sends this request on a session that lasts for the round.
    Ask(Request),
    /// Sends this request as a client of the modern era.
    AskModern(Request),
    /// Opens a session and ends it: two requests.
    Cycle,
    /// Gets a file that holds what [`Request::List`] would be answered with.
    File(&'static str),
}

/// What to send where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) work: Work,
}

/// One connection with all that it needs.
#[derive(Debug)]
pub(super) struct Worker {
    connection: Connection,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Asks(Session, Conversation),
    AsksModern(Conversation),
    Cycles,
    Gets(&'static str, Conversation),
}

impl Worker {
    pub(super) async fn prepare(load: Load) -> Result<Self> {
        let mut connection = Connection::open(load.address).await?;
        let kind = match load.work {
            Work::Ask(request) => {
                Kind::Asks(Session::open(&mut connection).await?, Conversation::new(request))
            }
            Work::AskModern(request) => Kind::AsksModern(Conversation::modern(request)),
            Work::Cycle => Kind::Cycles,
            Work::File(path) => Kind::Gets(path, Conversation::new(Request::List)),
        };
        Ok(Self { connection, kind })
    }

    /// One call, from the request to the checked answer.
    pub(super) async fn step(&mut self) -> Result<()> {
        let connection = &mut self.connection;
        match &mut self.kind {
            Kind::Asks(session, conversation) => {
                let answer = session.post(connection, conversation.ask()).await?;
                conversation.check(&answer)
            }
            Kind::AsksModern(conversation) => {
                let answer = ask_modern(connection, conversation).await?;
                conversation.check(&answer)
            }
            Kind::Cycles => Session::initialize(connection).await?.end(connection).await,
            Kind::Gets(path, conversation) => {
                // The file holds the answer to the one request that a list makes.
                let _request = conversation.ask();
                let answer =
                    connection.exchange(Method::GET, path, Sender::Stranger, Bytes::new()).await?;
                conversation.check(&answer)
            }
        }
    }

    pub(super) async fn end(mut self) -> Result<()> {
        match self.kind {
            Kind::Asks(session, _) => session.end(&mut self.connection).await,
            Kind::AsksModern(_) | Kind::Cycles | Kind::Gets(..) => Ok(()),
        }
    }
}
