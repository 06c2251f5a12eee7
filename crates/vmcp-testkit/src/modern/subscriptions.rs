//! The open subscriptions of a modern server: what each wants to hear, and the ways in which it can
//! be told, ended, and broken.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::{
    META_SERVER_INFO, META_SUBSCRIPTION, SERVER_INFO,
    checks::{Accepted, Refusal, bad},
    state::Shared,
};
use crate::{
    body::{broken_off, fed},
    raw::{Kind, Reply, STREAM, event, member, with_type},
};

/// How many messages wait for a slow client before the server gives it up.
const QUEUE: usize = 1_024;

/// How long a test waits for subscriptions.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a subscription asks for, or what of it is granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Filter {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tools_list_changed: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub prompts_list_changed: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub resources_list_changed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_subscriptions: Vec<String>,
}

/// An open subscription.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The id of its request, as the client wrote it.
    pub id: String,
    /// What was asked for.
    pub asked: Filter,
    /// What was granted.
    pub granted: Filter,
}

#[derive(Default)]
pub(super) struct Subscriptions {
    open: Mutex<Vec<Open>>,
    next: AtomicU64,
    count: watch::Sender<usize>,
}

struct Open {
    number: u64,
    subscription: Subscription,
    queue: mpsc::Sender<Item>,
}

enum Item {
    Event(Bytes),
    KeepAlive,
    /// The result that ends a subscription in good order.
    End,
    /// The connection is closed in the middle.
    Break,
}

impl Filter {
    fn wants(&self, kind: Kind) -> bool {
        match kind {
            Kind::Tools => self.tools_list_changed,
            Kind::Prompts => self.prompts_list_changed,
            Kind::Resources | Kind::Templates => self.resources_list_changed,
        }
    }
}

impl Subscriptions {
    pub(super) fn all(&self) -> Vec<Subscription> {
        self.with(|open| open.iter().map(|one| one.subscription.clone()).collect())
    }

    /// Waits until exactly so many are open.
    pub(super) async fn until(&self, count: usize) -> Result<()> {
        let mut counts = self.count.subscribe();
        let reached = timeout(PATIENCE, counts.wait_for(|now| *now == count)).await;
        reached.with_context(|| format!("{:?} are open, not {count}", self.all()))??;
        Ok(())
    }

    pub(super) fn list_changed(&self, kind: Kind) {
        self.push(kind.list_changed(), &json!({}), |granted| granted.wants(kind));
    }

    pub(super) fn updated(&self, uri: &str) {
        self.push("notifications/resources/updated", &json!({"uri": uri}), |granted| {
            granted.resource_subscriptions.iter().any(|wanted| wanted == uri)
        });
    }

    /// Sends a notification on the subscriptions whose filter is `wanted`.
    pub(super) fn push(&self, method: &str, params: &Value, wanted: impl Fn(&Filter) -> bool) {
        self.with(|open| {
            open.retain(|one| {
                !wanted(&one.subscription.granted)
                    || one.send(Item::Event(notification(&one.subscription.id, method, params)))
            });
        });
    }

    pub(super) fn keep_alive(&self) {
        self.with(|open| open.retain(|one| one.send(Item::KeepAlive)));
    }

    pub(super) fn end(&self) {
        self.with(|open| {
            for one in open.drain(..) {
                one.send(Item::End);
            }
        });
    }

    pub(super) fn break_off(&self) {
        self.with(|open| {
            for one in open.drain(..) {
                one.send(Item::Break);
            }
        });
    }

    fn with<R>(&self, change: impl FnOnce(&mut Vec<Open>) -> R) -> R {
        let mut open = self.open.lock().expect("no code panics while it tells subscribers");
        let result = change(&mut open);
        self.count.send_replace(open.len());
        result
    }
}

impl Open {
    /// `false` if the client is gone or too slow.
    fn send(&self, item: Item) -> bool {
        self.queue.try_send(item).is_ok()
    }
}

/// Opens a subscription: its response begins with the acknowledgement and stays open.
pub(super) fn open(shared: &Arc<Shared>, request: Accepted) -> Result<Reply, Refusal> {
    let asked: Option<Value> = member(&request.params, "notifications");
    let parsed: Option<Filter> =
        asked.filter(Value::is_object).and_then(|asked| serde_json::from_value(asked).ok());
    let Some(asked) = parsed else {
        return Err(bad(-32602, "notifications is no filter").of(&request));
    };
    let granted = grant(shared, &asked);
    let acknowledged = json!({"notifications": granted});
    let id = request.id;
    let acknowledged = notification(&id, "notifications/subscriptions/acknowledged", &acknowledged);
    let (queue, mut items) = mpsc::channel(QUEUE);
    let subscription = Subscription { id: id.clone(), asked, granted };
    let number = shared.subscriptions.next.fetch_add(1, Relaxed);
    shared.subscriptions.with(|open| open.push(Open { number, subscription, queue }));
    let (feed, body) = fed(());
    let serving = Arc::clone(shared);
    shared.life.spawn(async move {
        let mut next = Some(Item::Event(acknowledged));
        loop {
            let sent = match next {
                Some(Item::Event(message)) => feed.send(Ok(event(None, &message))).await,
                Some(Item::KeepAlive) => feed.send(Ok(Bytes::from_static(b":\r\n\r\n"))).await,
                Some(Item::End) => {
                    // The client may have left by now.
                    let _ = feed.send(Ok(event(None, &ended(&id)))).await;
                    break;
                }
                Some(Item::Break) => {
                    let _ = feed.send(Err::<Bytes, io::Error>(broken_off())).await;
                    break;
                }
                None => break,
            };
            if sent.is_err() {
                break;
            }
            next = tokio::select! {
                () = feed.closed() => break,
                next = items.recv() => next,
            };
        }
        serving.subscriptions.with(|open| open.retain(|one| one.number != number));
    });
    let mut response = with_type(STREAM, body);
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// What of a filter this server can honour.
fn grant(shared: &Shared, asked: &Filter) -> Filter {
    let knobs = shared.knobs();
    let mut granted = asked.clone();
    granted.tools_list_changed &= knobs.declared.contains(&Kind::Tools);
    granted.prompts_list_changed &= knobs.declared.contains(&Kind::Prompts);
    granted.resources_list_changed &= knobs.offers_resources();
    if knobs.deaf_to_updates || !knobs.offers_resources() {
        granted.resource_subscriptions.clear();
    }
    granted
}

fn notification(id: &str, method: &str, params: &Value) -> Bytes {
    let rest = params.to_string();
    let rest = rest.strip_prefix('{').unwrap_or_default();
    let comma = if rest == "}" { "" } else { "," };
    format!(
        r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"_meta":{{"{META_SUBSCRIPTION}":{id}}}{comma}{rest}}}"#
    )
    .into()
}

fn ended(id: &str) -> Bytes {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","_meta":{{"{META_SUBSCRIPTION}":{id},"{META_SERVER_INFO}":{SERVER_INFO}}}}}}}"#
    )
    .into()
}
