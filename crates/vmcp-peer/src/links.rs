//! The connections that were dialled: one for each peer, opened by whoever asks first.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::watch, time::Instant};

use crate::{
    dial::dial,
    error::{Error, Unreachable},
    link::{Link, drive},
    names::Peer,
    peers::Shared,
    traffic::{ConnectionStatus, Direction, State},
};

/// The connections to peers, by their names.
#[derive(Debug, Default)]
pub(crate) struct Links(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    slots: HashMap<String, Slot>,
    /// How many there have ever been.
    made: u64,
}

#[derive(Debug)]
struct Slot {
    number: u64,
    peer: Peer,
    since: Instant,
    state: watch::Receiver<Dialled>,
}

#[derive(Debug, Clone)]
enum Dialled {
    NotYet,
    Up(Arc<Link>),
    Failed(Error),
}

impl Links {
    /// The connection to a peer, dialled if there is none. Whoever else wants it waits for the same one.
    pub(crate) async fn to(peer: &Peer, shared: &Arc<Shared>) -> Result<Arc<Link>, Error> {
        let mut state = Self::slot(peer, shared)?;
        let dialled = state.wait_for(|dialled| !matches!(dialled, Dialled::NotYet)).await;
        match dialled.as_deref() {
            Ok(Dialled::Up(link)) => Ok(Arc::clone(link)),
            Ok(Dialled::Failed(error)) => Err(error.clone()),
            Ok(Dialled::NotYet) | Err(_) => Err(Unreachable::EndingHere.into()),
        }
    }

    /// What stands.
    pub(crate) fn status(&self) -> Vec<ConnectionStatus> {
        self.table().slots.values().map(Slot::status).collect()
    }

    fn slot(peer: &Peer, shared: &Arc<Shared>) -> Result<watch::Receiver<Dialled>, Error> {
        let mut table = shared.links.table();
        if let Some(slot) = table.slots.get(&peer.name) {
            if slot.peer == *peer && slot.is_usable() {
                return Ok(slot.state.clone());
            }
            slot.retire();
        } else if table.slots.len() >= shared.settings.connections {
            return Err(Error::Busy("this replica has too many connections to others"));
        }
        table.made += 1;
        let number = table.made;
        let (report, state) = watch::channel(Dialled::NotYet);
        let slot = Slot { number, peer: peer.clone(), since: Instant::now(), state: state.clone() };
        table.slots.insert(peer.name.clone(), slot);
        drop(table);
        let (peer, owner) = (peer.clone(), Arc::clone(shared));
        shared.spawn(async move {
            keep(&peer, &owner, &report).await;
            owner.links.remove(&peer, number);
        });
        Ok(state)
    }

    fn remove(&self, peer: &Peer, number: u64) {
        let mut table = self.table();
        if table.slots.get(&peer.name).is_some_and(|slot| slot.number == number) {
            table.slots.remove(&peer.name);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The life of a connection, from the dialling on.
async fn keep(peer: &Peer, shared: &Arc<Shared>, report: &watch::Sender<Dialled>) {
    let dialled = shared.stop.run_until_cancelled(dial(peer, shared)).await;
    match dialled.unwrap_or(Err(Unreachable::EndingHere.into())) {
        Ok((link, h2)) => {
            tracing::debug!(%peer, "a peer was dialled");
            report.send_replace(Dialled::Up(Arc::clone(&link)));
            drive(&link, h2, shared.settings.idle, &shared.stop).await;
        }
        Err(error) => {
            tracing::debug!(%peer, %error, "a peer cannot be reached");
            report.send_replace(Dialled::Failed(error));
        }
    }
}

impl Slot {
    /// Whether what it holds can be waited for, or used.
    fn is_usable(&self) -> bool {
        match &*self.state.borrow() {
            Dialled::NotYet => true,
            Dialled::Up(link) => link.is_open(),
            Dialled::Failed(_) => false,
        }
    }

    fn retire(&self) {
        if let Dialled::Up(link) = &*self.state.borrow() {
            link.retire();
        }
    }

    fn status(&self) -> ConnectionStatus {
        let (state, streams) = match &*self.state.borrow() {
            Dialled::NotYet => (State::Dialling, 0),
            Dialled::Up(link) if link.is_open() => (State::Open, link.streams()),
            Dialled::Up(link) => (State::Closing, link.streams()),
            Dialled::Failed(_) => (State::Closing, 0),
        };
        ConnectionStatus {
            name: self.peer.name.clone(),
            epoch: self.peer.epoch,
            address: self.peer.address,
            direction: Direction::Dialled,
            state,
            streams,
            age: self.since.elapsed(),
        }
    }
}
