//! Asks a backend `server/discover`, once however many want to know, and remembers what it says.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use vmcp_model::{Era, Method};
use vmcp_wire::headers::MediaType;

use super::{Discovered, PATIENCE, UnderWay};
use crate::{
    backend::{Answer, Backend, REFUSAL_BYTES, within},
    discovery::{Told, is_unknown, says_nothing},
    error::Error,
    events::Events,
    http::{Http, stream::Stream},
    own::OWN_ANSWER_BYTES,
    session::{Facts, Session},
};

impl Backend {
    /// Asks `server/discover`, or waits for what the backend answers to whoever has asked already, for
    /// at most so long since that began. It goes on when those who wait for it go away.
    pub(super) async fn ask_to_discover_within(
        self: &Arc<Self>,
        asker: &Session,
        limit: Duration,
    ) -> Result<Era, Error> {
        let UnderWay { since, mut outcome } = {
            let mut asking = self.eras.asking();
            let under_way = asking.under_way.as_ref();
            // One whose runtime has ended brings nothing any more.
            match under_way.filter(|under_way| under_way.outcome.has_changed().is_ok()) {
                Some(under_way) => under_way.clone(),
                None => {
                    let (sender, outcome) = watch::channel(None);
                    let begun = UnderWay { since: Instant::now(), outcome };
                    asking.under_way = Some(begun.clone());
                    let (me, asker) = (Arc::clone(self), asker.clone());
                    self.tasks.spawn(async move {
                        let found = me.discover(&asker).await;
                        me.eras.asking().under_way = None;
                        // Nobody may be left to hear of it.
                        sender.send_replace(Some(found.map(|(era, _facts)| era)));
                    });
                    begun
                }
            }
        };
        let found = outcome.wait_for(Option::is_some);
        match tokio::time::timeout_at(since + limit, found).await {
            Err(_elapsed) => Err(Error::Timeout(limit)),
            Ok(found) => {
                let found = found.ok().and_then(|found| found.clone());
                found.unwrap_or_else(|| Err(Error::Broken("the question for its era".to_owned())))
            }
        }
    }

    /// Asks `server/discover`, within the time for opening a session, and remembers what that says.
    pub(crate) async fn discover(
        self: &Arc<Self>,
        asker: &Session,
    ) -> Result<(Era, Option<Arc<Facts>>), Error> {
        let Some(http) = self.http() else { return Ok((Era::Legacy, None)) };
        self.stats.requests.fetch_add(1, Ordering::Relaxed);
        let asking = self.ask_to_discover(http, asker);
        // Less than the time for opening a session: one that never answers this may be a legacy one.
        let told = within(self.timeouts.initialize.min(PATIENCE).div_f64(2.0), asking).await;
        let (era, facts) = match told {
            Err(error) => {
                self.stats.failures.fetch_add(1, Ordering::Relaxed);
                self.note_unanswered(&error);
                return Err(error);
            }
            Ok(Told::Legacy) => (Era::Legacy, None),
            Ok(Told::Modern(None)) => (Era::Modern, None),
            Ok(Told::Modern(Some(facts))) => {
                let facts = self.share(facts);
                let discovered = Discovered {
                    facts: Arc::clone(&facts),
                    capabilities: asker.capabilities.clone(),
                    at: Instant::now(),
                };
                self.eras.last.store(Some(Arc::new(discovered)));
                (Era::Modern, Some(facts))
            }
        };
        self.eras.asking().asked = Some(Instant::now());
        let modern = Some(era == Era::Modern);
        if self.eras.sides().modern != modern {
            self.eras.change(self, |sides, asking| {
                if sides.modern == Some(true) {
                    // It is another server now.
                    sides.legacy = None;
                }
                sides.modern = modern;
                asking.refuted = None;
                asking.unanswered = false;
            });
        }
        Ok((era, facts))
    }

    /// Notes that `server/discover` has brought nothing, if that says that the method is not known. Of a
    /// backend that has answered `initialize`, it says that there is no modern side; otherwise that
    /// is still to be seen.
    fn note_unanswered(&self, error: &Error) {
        let is_unknown = match error {
            Error::Refused { status, .. } => is_unknown(*status),
            Error::Timeout(_)
            | Error::Broken(_)
            | Error::LinkEnded { .. }
            | Error::NotReady { .. }
            | Error::Protocol(_) => true,
            Error::SessionLost
            | Error::SessionGone { .. }
            | Error::Unreachable(_)
            | Error::Held { .. }
            | Error::TooLarge { .. }
            | Error::Excessive(_)
            | Error::Busy { .. }
            | Error::LeftAlone { .. }
            | Error::Unavailable(_)
            | Error::NoCredential(_)
            | Error::Ended => false,
        };
        if !is_unknown || self.eras.sides().modern.is_some() {
            return;
        }
        self.eras.change(self, |sides, asking| {
            asking.unanswered = true;
            if sides.legacy == Some(true) {
                sides.modern = Some(false);
            }
        });
    }

    async fn ask_to_discover(
        self: &Arc<Self>,
        http: &Http,
        session: &Session,
    ) -> Result<Told, Error> {
        let request = self.own_request_on(session, Method::ServerDiscover, None);
        let response =
            http.post(Some(session), request.text, false, request.lines.as_ref()).await?;
        let status = response.status();
        if says_nothing(status.as_u16()) {
            let _ended = response.into_body().collect(REFUSAL_BYTES).await;
            return Err(Error::refused(status.as_u16()));
        }
        let text = match MediaType::of(response.headers()) {
            MediaType::EventStream if status.is_success() => {
                let stream = Stream::new(self, session, response.into_body(), Some(&request.id));
                let answer = Answer::Events(Events::of_stream(Box::new(stream)));
                match self.own_answer(session, answer, &request.id).await {
                    Ok(answer) => answer.into_text(),
                    Err(Error::Protocol(_)) => return Ok(Told::Legacy),
                    Err(error) => return Err(error),
                }
            }
            MediaType::Json | MediaType::EventStream | MediaType::Other => {
                let limit = if status.is_success() { OWN_ANSWER_BYTES } else { REFUSAL_BYTES };
                match response.into_body().collect(limit).await {
                    // However much it has to say, it is nothing that a modern server says.
                    Err(Error::TooLarge { .. }) => return Ok(Told::Legacy),
                    text => text?,
                }
            }
        };
        Told::by(&text, &request.id, self.secrets())
    }
}
