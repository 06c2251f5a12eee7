//! A bounded room for strangers, in which nobody keeps the others out.
//!
//! When it is full, one that is in it makes room for the newcomer: the oldest of those who come from the
//! address that has the most. So whoever opens many connections displaces its own.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// A room for so many.
#[derive(Debug)]
pub(crate) struct Room {
    places: usize,
    /// The oldest first.
    inside: Mutex<Vec<Guest>>,
}

#[derive(Debug)]
struct Guest {
    from: IpAddr,
    displaced: CancellationToken,
}

/// A place in a room, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    room: Arc<Room>,
    displaced: CancellationToken,
}

impl Room {
    pub(crate) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { places, inside: Mutex::new(Vec::with_capacity(places + 1)) })
    }

    pub(crate) fn enter(self: &Arc<Self>, from: IpAddr) -> Place {
        let displaced = CancellationToken::new();
        let mut inside = self.inside();
        inside.push(Guest { from, displaced: displaced.clone() });
        if inside.len() > self.places {
            let at = most_frequent(&inside);
            inside.remove(at).displaced.cancel();
        }
        Place { room: Arc::clone(self), displaced }
    }

    fn inside(&self) -> MutexGuard<'_, Vec<Guest>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the oldest stands of those who come from the address that has the most.
fn most_frequent(inside: &[Guest]) -> usize {
    let count = |of: &Guest| inside.iter().filter(|guest| guest.from == of.from).count();
    let mut most = (0, 0);
    for (at, guest) in inside.iter().enumerate() {
        let count = count(guest);
        if count > most.1 {
            most = (at, count);
        }
    }
    most.0
}

impl Place {
    /// Ready when somebody else has taken this place.
    pub(crate) async fn displaced(&self) {
        self.displaced.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Whoever was displaced is not in it any more.
        if !self.displaced.is_cancelled() {
            self.displaced.cancel();
            self.room.inside().retain(|guest| !guest.displaced.is_cancelled());
        }
    }
}

#[cfg(test)]
mod tests;
