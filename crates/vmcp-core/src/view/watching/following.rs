//! Follows a backend whose lists have been read, until they are to be read again.

use std::time::Duration;

use tokio::time::Instant;
use vmcp_backend::{Advertised, Declined, Due, Error, Events, Session};
use vmcp_wire::Shape;

use super::{COALESCE, Watch, Watched};
use crate::{
    inbound::Inbound,
    view::{fresh::Terms, watching::BACKOFF},
};

/// How often lists are read again while they are in use, whatever is announced.
const USED: Duration = Duration::from_secs(180);

/// How old a list may be of which a modern backend says that it is good for no time at all.
const AT_ANY_TIME: Duration = Duration::from_secs(1);

/// How long after it was shown a list counts as in use.
const IN_USE: Duration = Duration::from_secs(1800);

/// How long a program runs at most whose lists nobody is shown.
const IDLE: Duration = Duration::from_secs(30);

/// How often at most it is looked whether somebody is.
const LOOK: Duration = Duration::from_millis(50);

/// For how long lists that were read may be taken for true.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadTerms {
    read: Instant,
    /// When the first list is over that promises anything.
    over: Option<Instant>,
    /// Some list promises nothing, which says nothing about when to read it again.
    any_without: bool,
}

/// Why the watching of a session ended.
enum End {
    /// The offer is to be asked for again on the same session.
    Changed,
    /// The session is no good any more.
    Failed(Error),
}

impl Watch {
    /// Waits until the offer is to be asked for again. The error says that the session is no good.
    pub(super) async fn follow(
        &self,
        watched: &mut Watched,
        broken: &mut u32,
    ) -> Result<(), Error> {
        if !watched.session.facts().has.list_changes {
            return self.wait_for_demand(watched).await;
        }
        if watched.stream.is_none() {
            match self.backend.listen(&watched.session).await {
                Ok(Some(stream)) => watched.stream = Some(stream),
                // It offers none, whatever it says of list changes.
                Ok(None) | Err(Error::Refused { .. } | Error::Protocol(_)) => {
                    return self.wait_for_demand(watched).await;
                }
                Err(error) => return Err(error),
            }
        }
        let Watched { session, stream: Some(stream), terms, .. } = watched else { return Ok(()) };
        // Some that could announce changes never do.
        let over = self.over(session, terms);
        let began = Instant::now();
        match self.listen(session, stream, over).await {
            End::Changed => Ok(()),
            End::Failed(Error::Broken(_) | Error::LinkEnded { .. }) => {
                // A server may end its streams now and then; one that ends each at once is not
                // asked as often. What has changed while nobody listened is found by asking.
                watched.stream = None;
                *broken = if began.elapsed() > BACKOFF.1 { 1 } else { *broken + 1 };
                tokio::time::sleep(self.backoff(*broken)).await;
                Ok(())
            }
            End::Failed(error) => Err(error),
        }
    }

    /// Listens until a list changes.
    async fn listen(&self, session: &Session, stream: &mut Events, over: Instant) -> End {
        let checking = self.keep_checking(session);
        let outdated = self.outdated(over);
        tokio::pin!(checking, outdated);
        loop {
            let message = tokio::select! {
                message = stream.next() => message,
                () = self.wanted.fresh.notified() => return End::Changed,
                () = &mut outdated => return End::Changed,
                checked = &mut checking => match checked {
                    Ok(()) => return End::Changed,
                    Err(error) => return End::Failed(error),
                },
            };
            match message {
                Ok(Some(message)) if message.shape() == Shape::Request => {
                    if let Err(error) =
                        self.backend.decline(session, &message, Declined::NoClient).await
                    {
                        tracing::debug!(backend = %self.id(), %error, "could not decline what the backend asked");
                    }
                }
                Ok(Some(message)) => {
                    if let Some(Inbound::ListChanged) = Inbound::of(message, self.id()) {
                        self.note_changed();
                        tokio::time::sleep(COALESCE).await;
                        return End::Changed;
                    }
                }
                Ok(None) => return End::Failed(Error::Broken("the stream ended".to_owned())),
                Err(error) => return End::Failed(error),
            }
        }
    }

    /// What was read is not to be taken for true any more.
    fn note_changed(&self) {
        if let Some(view) = self.view.upgrade() {
            view.note_changed(self.id());
        }
    }

    /// When what was read is over.
    pub(super) fn over(&self, session: &Session, terms: &ReadTerms) -> Instant {
        // A modern backend that promises nothing says that it may change at any time.
        let without =
            if session.is_stateless() { self.max_age.min(AT_ANY_TIME) } else { self.max_age };
        terms.over(without)
    }

    /// Waits until somebody is shown lists that are over, or has been lately: what sessions hold that do
    /// not ask again is to be true in the end, too.
    async fn outdated(&self, over: Instant) {
        let shown = self.fresh.asked_since(over);
        let while_used = async {
            tokio::time::sleep(USED).await;
            if !self.fresh.was_asked_within(IN_USE) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = shown => {}
            () = while_used => {}
        }
    }

    /// A backend that announces nothing is asked again when somebody is shown its offer and it is old.
    async fn wait_for_demand(&self, watched: &Watched) -> Result<(), Error> {
        let Watched { session, terms, .. } = watched;
        let checking = self.keep_checking(session);
        let outdated = self.outdated(self.over(session, terms));
        tokio::select! {
            checked = checking => checked,
            () = self.wanted.fresh.notified() => Ok(()),
            () = outdated => Ok(()),
        }
    }

    /// Waits until nobody has been shown the lists of a program for a while. For ever if it is none.
    pub(super) async fn idle(&self) {
        let Some(idle) = self.backend.process_idle() else { return std::future::pending().await };
        let limit = idle.min(IDLE);
        loop {
            let since = self.fresh.since_asked().unwrap_or(Duration::MAX);
            tokio::time::sleep(limit.saturating_sub(since).max(LOOK)).await;
            if self.fresh.since_asked().is_none_or(|since| since >= limit) {
                return;
            }
        }
    }

    /// Checks the backend when it has shown no sign of life for long and nobody else does. Ends
    /// when it can be used again after it could not. The error says that the session is no good.
    async fn keep_checking(&self, session: &Session) -> Result<(), Error> {
        loop {
            let was_out = match self.backend.due().await {
                Due::Recovered => return Ok(()),
                Due::Check => self.backend.is_out(),
            };
            match self.backend.check(session).await {
                Ok(()) if was_out => return Ok(()),
                Ok(()) | Err(Error::LeftAlone { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl ReadTerms {
    /// Of lists that were not read.
    pub(super) fn none() -> Self {
        Self { read: Instant::now(), over: None, any_without: true }
    }

    pub(super) fn of(advertised: &Advertised) -> Self {
        let (read, terms) = (advertised.read, Terms::of(advertised));
        let over = terms.ends().filter(|end| *end > read).min();
        Self { read, over, any_without: terms.ends().any(|end| end <= read) }
    }

    /// When the first list is over. What promises nothing, as those of the legacy era do, is true for
    /// `max_age`.
    fn over(&self, max_age: Duration) -> Instant {
        let without = self.any_without.then(|| self.read + max_age);
        let over = self.over.into_iter().chain(without).min();
        over.unwrap_or(self.read + max_age)
    }
}
