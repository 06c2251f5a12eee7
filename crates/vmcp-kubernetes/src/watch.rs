//! Watches one kind of objects for ever, however often the API server goes away.

use std::{fmt::Debug, pin::pin, time::Duration};

use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, Resource,
    api::PartialObjectMeta,
    runtime::watcher::{self, Event, watcher},
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use crate::{
    cluster::{Cluster, WATCH},
    kind::Kind,
    lasting::ANSWER,
    seen::{Object, Seen, metadata, whole},
    told::Telling,
    trouble::Trouble,
};

/// How long to wait when something has failed, at first; twice as long each time.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The longest that is waited.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// When nothing is told for so long after trouble, the server has answered: what it does not answer fails before.
const ANSWERED: Duration = ANSWER.saturating_add(Duration::from_secs(1));

/// Trouble that comes so long after the last is no part of it: a watch that goes on tells nothing.
const QUIET: Duration = Duration::from_secs(30);

/// How often a kind is asked for that the cluster does not know.
const UNKNOWN_WAIT: Duration = Duration::from_secs(30);

/// How long a kind must be unknown that was there, until it is taken for gone.
const ABSENT: Duration = Duration::from_secs(120);

/// How a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lists {
    /// As the beginning of a watch, which costs the API server less.
    Streamed,
    /// By itself, as servers before Kubernetes 1.34 may know it only.
    Whole,
}

/// Trouble that is not over.
struct Troubles {
    /// Since when there is some.
    since: Option<Instant>,
    /// How long to wait next.
    wait: Duration,
    /// Until when it was waited last.
    waited: Instant,
}

/// What all watches of a cluster share.
#[derive(Default)]
pub(crate) struct Watched {
    pub(crate) seen: Seen,
    pub(crate) telling: Telling,
    /// The API server answers again, so that whoever waits need not wait any longer.
    answered: Notify,
}

/// Watches a kind, and notes what there is.
pub(crate) async fn watch(cluster: &Cluster, kind: Kind, watched: &Watched) {
    let mut lists = Lists::Streamed;
    let mut troubles = Troubles::new();
    let seconds = u32::try_from(WATCH.as_secs()).unwrap_or(u32::MAX);
    loop {
        let config = watcher::Config::default().timeout(seconds);
        let config = match lists {
            Lists::Streamed => config.streaming_lists(),
            Lists::Whole => config,
        };
        let next = match kind {
            Kind::Secret => {
                let objects = names_of::<Secret>(cluster, config);
                follow(kind, lists, objects, watched, &mut troubles).await
            }
            Kind::ConfigMap => {
                let objects = names_of::<ConfigMap>(cluster, config);
                follow(kind, lists, objects, watched, &mut troubles).await
            }
            Kind::Group | Kind::Server | Kind::RemoteProxy | Kind::Entry | Kind::AuthConfig => {
                let objects = watcher(cluster.objects(kind), config);
                let objects = objects.map(|event| event.map(|event| converted(event, whole)));
                follow(kind, lists, objects, watched, &mut troubles).await
            }
        };
        lists = next;
    }
}

/// The names and versions of all objects of a kind.
fn names_of<K>(
    cluster: &Cluster,
    config: watcher::Config,
) -> impl Stream<Item = watcher::Result<Event<(String, Object)>>>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + 'static,
{
    let api = Api::<PartialObjectMeta<K>>::namespaced(cluster.client(), cluster.namespace());
    watcher(api, config).map(|event| event.map(|event| converted(event, metadata)))
}

fn converted<K, T>(event: Event<K>, convert: fn(K) -> T) -> Event<T> {
    match event {
        Event::Apply(object) => Event::Apply(convert(object)),
        Event::Delete(object) => Event::Delete(convert(object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(convert(object)),
        Event::InitDone => Event::InitDone,
    }
}

/// Notes what a stream tells. Returns how to go on when that cannot go on this way.
async fn follow(
    kind: Kind,
    lists: Lists,
    objects: impl Stream<Item = watcher::Result<Event<(String, Object)>>>,
    Watched { seen, telling, answered }: &Watched,
    troubles: &mut Troubles,
) -> Lists {
    let mut objects = pin!(objects);
    loop {
        // A watch that goes on where it was tells nothing while nothing changes.
        let has_trouble = troubles.since.is_some();
        let event = tokio::select! {
            event = objects.next() => event,
            () = sleep(ANSWERED), if has_trouble => {
                telling.note(kind, None);
                troubles.are_over();
                answered.notify_waiters();
                continue;
            }
        };
        let Some(event) = event else { return lists };
        let error = match event {
            Ok(event) => {
                // The beginning of a list is told before anything is asked.
                let has_answered = !matches!(event, Event::Init);
                seen.take(kind, event);
                if has_answered {
                    telling.note(kind, None);
                    if troubles.are_over() {
                        answered.notify_waiters();
                    }
                }
                continue;
            }
            Err(error) => error,
        };
        let trouble = Trouble::of(&error);
        if matches!(trouble, Trouble::Refused(_)) && lists == Lists::Streamed {
            tracing::debug!(kind = kind.name(), "the API server lists no objects in streams");
            return Lists::Whole;
        }
        telling.note(kind, Some(&trouble));
        // A server that is starting may not know a kind yet that it has.
        let is_absent =
            trouble == Trouble::Unknown && (!seen.has_listed(kind) || troubles.last() > ABSENT);
        if is_absent {
            seen.is_unknown(kind);
        }
        let wait = troubles.note(is_absent);
        tokio::select! {
            () = sleep(wait) => {}
            () = answered.notified() => {}
        }
        troubles.waited = Instant::now();
        if trouble == Trouble::Over {
            tracing::debug!(kind = kind.name(), "all are listed again");
            return lists;
        }
    }
}

impl Troubles {
    fn new() -> Self {
        Self { since: None, wait: FIRST_WAIT, waited: Instant::now() }
    }

    /// Notes that all is well. Returns whether there was trouble.
    fn are_over(&mut self) -> bool {
        self.wait = FIRST_WAIT;
        self.since.take().is_some()
    }

    /// How long there has been some.
    fn last(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Notes trouble. Returns how long to wait.
    fn note(&mut self, is_absent: bool) -> Duration {
        if self.waited.elapsed() > QUIET + self.wait {
            (self.wait, self.since) = (FIRST_WAIT, None);
        }
        self.since.get_or_insert_with(Instant::now);
        let wait = if is_absent { UNKNOWN_WAIT } else { self.wait };
        self.wait = (wait * 2).min(MAX_WAIT);
        wait
    }
}
