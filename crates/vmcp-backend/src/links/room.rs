//! Finds a place for one more link where there are as many as there may be.

use std::{
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use super::{FAREWELL, Links, ending::Why};
use crate::{error::Error, gauge::Permit, session::Session};

/// How long a link must have been idle before it may end to make room for a new one.
const LEAST_IDLE: Duration = Duration::from_secs(60);

/// How long a place is waited for while nobody seems to be giving one up, and how often it is looked.
const GIVING_UP: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(50);

impl Links {
    /// A place for one more link, if need be when another has ended: one that is about to, the watch's, or
    /// the one that is idle longest.
    pub(super) async fn place(&self) -> Result<Permit, Error> {
        let began = Instant::now();
        loop {
            let ended = self.ending.ended();
            tokio::pin!(ended);
            ended.as_mut().enable();
            let full = match self.places.enter() {
                Ok(place) => return Ok(place),
                Err(full) => full,
            };
            // Whoever has just given a session up may be about to end it.
            let (wait, most) =
                if self.make_room() { (FAREWELL, FAREWELL) } else { (LOOK, GIVING_UP) };
            let until = (Instant::now() + wait).min(began + most);
            if timeout_at(until, ended).await.is_err() && began.elapsed() >= most {
                return Err(full);
            }
        }
    }

    /// Whether a place will be free before long.
    fn make_room(&self) -> bool {
        if self.ending.is_any() {
            return true;
        }
        let mut kept = self.kept();
        let watch = kept.iter().find(|(_, link)| link.is_watch());
        let name = match watch.map(|(name, link)| (name.clone(), link)) {
            // Before it has been read, nobody knows what there is to call.
            Some((_, link)) if !link.may_give_way() => return true,
            Some((name, link)) => {
                link.close();
                *self.given_way() = Some(name.clone());
                name
            }
            None => {
                let longest = kept.iter().max_by_key(|(_, link)| link.idle());
                match longest.filter(|(_, link)| link.close_if_idle(LEAST_IDLE)) {
                    Some((name, _)) => name.clone(),
                    None => return false,
                }
            }
        };
        self.ending.begin(&name, Why::Done);
        kept.remove(&name);
        true
    }

    /// Lets the watch's program end as soon as a client needs its place: what it offers is known.
    pub(crate) fn let_give_way(&self, session: &Session) {
        if let Ok((link, _member)) = self.find(session) {
            link.let_give_way();
            self.ending.wake();
        }
    }

    /// Whether it was this session that had to end for a client's.
    pub(crate) fn has_given_way(&self, session: &Session) -> bool {
        self.given_way().take_if(|name| session.id() == Some(name)).is_some()
    }

    fn given_way(&self) -> MutexGuard<'_, Option<Box<str>>> {
        self.given_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
