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
    seen::{Object, Seen, metadata, whole},
};

/// How long to wait when something has failed, at first; twice as long each time.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The longest that is waited.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Trouble that comes so long after the last is no part of it: a watch that goes on tells nothing.
const QUIET: Duration = Duration::from_secs(30);

/// How often a kind is asked for that the cluster does not know.
const UNKNOWN_WAIT: Duration = Duration::from_secs(60);

/// How a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lists {
    /// As the beginning of a watch, which costs the API server less.
    Streamed,
    /// By itself, as servers before Kubernetes 1.34 may know it only.
    Whole,
}

/// What went wrong, as far as it decides what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The cluster does not know the kind.
    Unknown,
    /// The server refuses what was asked: lists as streams, it may be.
    Refused,
    /// The service account may not.
    Forbidden,
    /// What was seen last is too old to go on from.
    Over,
    Other,
}

/// Trouble that is not over.
struct Troubles {
    last: Option<Trouble>,
    /// How long to wait next.
    wait: Duration,
    /// Until when it was waited last.
    waited: Instant,
}

/// Watches a kind, and notes what there is. `answered` is told when the API server answers again, so that whoever
/// waits need not wait any longer.
pub(crate) async fn watch(cluster: &Cluster, kind: Kind, seen: &Seen, answered: &Notify) {
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
                follow(cluster, kind, lists, objects, (seen, answered), &mut troubles).await
            }
            Kind::ConfigMap => {
                let objects = names_of::<ConfigMap>(cluster, config);
                follow(cluster, kind, lists, objects, (seen, answered), &mut troubles).await
            }
            Kind::Group | Kind::Server | Kind::RemoteProxy | Kind::Entry | Kind::AuthConfig => {
                let objects = watcher(cluster.objects(kind), config);
                let objects = objects.map(|event| event.map(|event| converted(event, whole)));
                follow(cluster, kind, lists, objects, (seen, answered), &mut troubles).await
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
    cluster: &Cluster,
    kind: Kind,
    lists: Lists,
    objects: impl Stream<Item = watcher::Result<Event<(String, Object)>>>,
    (seen, answered): (&Seen, &Notify),
    troubles: &mut Troubles,
) -> Lists {
    let mut objects = pin!(objects);
    while let Some(event) = objects.next().await {
        let error = match event {
            Ok(event) => {
                // The beginning of a list is told before anything is asked.
                let has_answered = !matches!(event, Event::Init);
                seen.take(kind, event);
                if has_answered && troubles.are_over() {
                    tracing::info!(kind = kind.name(), "the API server answers again");
                    answered.notify_waiters();
                }
                continue;
            }
            Err(error) => error,
        };
        let trouble = match Trouble::of(&error) {
            // A server that is starting may not know it yet.
            Trouble::Unknown if seen.has_listed(kind) => Trouble::Other,
            trouble => trouble,
        };
        if trouble == Trouble::Refused && lists == Lists::Streamed {
            tracing::debug!(kind = kind.name(), "the API server lists no objects in streams");
            return Lists::Whole;
        }
        let (wait, is_new) = troubles.note(trouble);
        if is_new {
            trouble.tell(cluster, kind, &error);
        }
        if trouble == Trouble::Unknown {
            seen.is_unknown(kind);
        }
        tokio::select! {
            () = sleep(wait) => {}
            () = answered.notified() => {}
        }
        troubles.waited = Instant::now();
        if trouble == Trouble::Over {
            return lists;
        }
    }
    lists
}

impl Troubles {
    fn new() -> Self {
        Self { last: None, wait: FIRST_WAIT, waited: Instant::now() }
    }

    /// Notes that all is well. Returns whether there was trouble.
    fn are_over(&mut self) -> bool {
        self.wait = FIRST_WAIT;
        self.last.take().is_some()
    }

    /// Notes trouble. Returns how long to wait, and whether this is another trouble than the last.
    fn note(&mut self, trouble: Trouble) -> (Duration, bool) {
        if self.waited.elapsed() > QUIET + self.wait {
            (self.wait, self.last) = (FIRST_WAIT, None);
        }
        let wait = if trouble == Trouble::Unknown { UNKNOWN_WAIT } else { self.wait };
        self.wait = (wait * 2).min(MAX_WAIT);
        (wait, self.last.replace(trouble) != Some(trouble))
    }
}

impl Trouble {
    fn of(error: &watcher::Error) -> Self {
        let status = match error {
            watcher::Error::WatchError(status) => Some(status.as_ref()),
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => match error {
                kube::Error::Api(status) => Some(status.as_ref()),
                _ => None,
            },
            watcher::Error::NoResourceVersion => None,
        };
        match status.map(|status| status.code) {
            Some(404) => Self::Unknown,
            Some(400 | 422) => Self::Refused,
            Some(401 | 403) => Self::Forbidden,
            Some(410) => Self::Over,
            _ => Self::Other,
        }
    }

    fn tell(self, cluster: &Cluster, kind: Kind, error: &watcher::Error) {
        let (name, plural, namespace) = (kind.name(), kind.plural(), cluster.namespace());
        match self {
            Self::Unknown => tracing::warn!(
                kind = name,
                "the cluster has no such kind, and no backends of it; install ToolHive's CRDs if there are to be some"
            ),
            Self::Forbidden => tracing::error!(
                %error,
                kind = name,
                "the service account may not watch what backends there are; grant it get, list and watch on {plural} \
                 in the namespace {namespace}"
            ),
            Self::Over => tracing::debug!(kind = name, "all are listed again"),
            Self::Refused | Self::Other => tracing::warn!(
                %error,
                kind = name,
                "the API server cannot be asked; what was seen last holds, and it is asked again"
            ),
        }
    }
}
