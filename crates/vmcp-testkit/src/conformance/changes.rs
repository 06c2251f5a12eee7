//! Who is told when the conformance fixture changes: sessions of the legacy era, and open
//! subscriptions of the modern one.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use rmcp::{
    Peer, RoleServer,
    service::{ServiceError, SubscriptionSendError, SubscriptionSink},
};
use serde_json::json;
use tokio::time::sleep;

use super::{Session, lock, typed};

/// rmcp acknowledges a subscription before its handler runs. A client that makes a change as soon
/// as it has the acknowledgement must still hear of it.
const SETTLING: Duration = Duration::from_millis(20);

const WATCHED: &str = "test://watched-resource";

/// What can change.
#[derive(Clone, Copy)]
pub(super) enum Change {
    Tools,
    Prompts,
    WatchedResource,
}

/// Those who are to be told.
#[derive(Default)]
pub(super) struct Listeners {
    all: Arc<Mutex<Vec<(u64, Listener)>>>,
    next: Mutex<u64>,
}

#[derive(Clone)]
enum Listener {
    Session { peer: Peer<RoleServer>, session: Arc<Session> },
    Subscription(SubscriptionSink),
}

/// An open subscription; it is forgotten when this value is dropped.
pub(super) struct Listening {
    number: u64,
    all: Arc<Mutex<Vec<(u64, Listener)>>>,
}

impl Listeners {
    /// A session that finished `initialize`.
    pub(super) fn add_session(&self, peer: Peer<RoleServer>, session: Arc<Session>) {
        self.add(Listener::Session { peer, session });
    }

    /// A subscription that was acknowledged.
    pub(super) fn add_subscription(&self, sink: SubscriptionSink) -> Listening {
        let number = self.add(Listener::Subscription(sink));
        Listening { number, all: Arc::clone(&self.all) }
    }

    /// Tells everybody who wants to know.
    pub(super) async fn tell(&self, change: Change) {
        sleep(SETTLING).await;
        for listener in self.present() {
            // Whoever left in the meantime need not know.
            match listener {
                Listener::Session { peer, session } => {
                    let _ = tell_session(&peer, &session, change).await;
                }
                Listener::Subscription(sink) => {
                    let _ = tell_subscription(&sink, change).await;
                }
            }
        }
    }

    fn add(&self, listener: Listener) -> u64 {
        let mut next = lock(&self.next);
        *next += 1;
        lock(&self.all).push((*next, listener));
        *next
    }

    fn present(&self) -> Vec<Listener> {
        let mut all = lock(&self.all);
        all.retain(|(_, listener)| match listener {
            Listener::Session { peer, .. } => !peer.is_transport_closed(),
            Listener::Subscription(_) => true,
        });
        all.iter().map(|(_, listener)| listener.clone()).collect()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        lock(&self.all).retain(|(number, _)| *number != self.number);
    }
}

async fn tell_session(
    peer: &Peer<RoleServer>,
    session: &Session,
    change: Change,
) -> Result<(), ServiceError> {
    match change {
        Change::Tools => peer.notify_tool_list_changed().await,
        Change::Prompts => peer.notify_prompt_list_changed().await,
        Change::WatchedResource => {
            if !lock(&session.subscriptions).contains(WATCHED) {
                return Ok(());
            }
            peer.notify_resource_updated(typed(json!({"uri": WATCHED}))).await
        }
    }
}

/// rmcp refuses by itself to send what the client did not ask for.
async fn tell_subscription(
    sink: &SubscriptionSink,
    change: Change,
) -> Result<(), SubscriptionSendError> {
    match change {
        Change::Tools => sink.notify_tool_list_changed().await,
        Change::Prompts => sink.notify_prompt_list_changed().await,
        Change::WatchedResource => sink.notify_resource_updated(WATCHED).await,
    }
}
