//! What one connection sends, one call after the other, and the check of what comes back.

use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use http::Method;

use crate::client::{
    Answer, Connection, Sender, Session, ask_modern,
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
    /// What each request shows.
    pub(crate) token: Option<&'static str>,
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
        if let Some(token) = load.token {
            connection.show(token)?;
        }
        let kind = match load.work {
            Work::Ask(request) => {
                Kind::Asks(Session::open(&mut connection).await?, Conversation::new(request))
            }
            Work::AskModern(request) => Kind::AsksModern(Conversation::modern(request)),
            Work::Cycle => Kind::Cycles,
            Work::File(path) => Kind::Gets(path, Conversation::new(Request::List)),
        };
        let mut worker = Self { connection, kind };
        // The first answer is read in full, which may take longer than many calls.
        let answer = worker.call().await?;
        worker.check(answer)?;
        Ok(worker)
    }

    /// One call, from the request to the whole answer, which is still to be checked.
    pub(super) async fn call(&mut self) -> Result<Option<Answer>> {
        let connection = &mut self.connection;
        match &mut self.kind {
            Kind::Asks(session, conversation) => {
                session.post(connection, conversation.ask()).await.map(Some)
            }
            Kind::AsksModern(conversation) => ask_modern(connection, conversation).await.map(Some),
            Kind::Cycles => {
                Session::initialize(connection).await?.end(connection).await?;
                Ok(None)
            }
            Kind::Gets(path, conversation) => {
                // The file holds the answer to the one request that a list makes.
                let _request = conversation.ask();
                let nobody = Sender::Stranger;
                connection.exchange(Method::GET, path, nobody, Bytes::new()).await.map(Some)
            }
        }
    }

    /// Checks an answer, where that was not part of the call.
    pub(super) fn check(&mut self, answer: Option<Answer>) -> Result<()> {
        match (&mut self.kind, answer) {
            (
                Kind::Asks(_, conversation)
                | Kind::AsksModern(conversation)
                | Kind::Gets(_, conversation),
                Some(answer),
            ) => conversation.check(&answer),
            (Kind::Cycles, _) | (_, None) => Ok(()),
        }
    }

    pub(super) async fn end(mut self) -> Result<()> {
        match self.kind {
            Kind::Asks(session, _) => session.end(&mut self.connection).await,
            Kind::AsksModern(_) | Kind::Cycles | Kind::Gets(..) => Ok(()),
        }
    }
}
