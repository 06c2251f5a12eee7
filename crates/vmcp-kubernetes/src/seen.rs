//! What objects there are, as far as the API server has told.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kube::{
    api::{DynamicObject, PartialObjectMeta},
    runtime::watcher::Event,
};
use serde_json::Value;
use tokio::sync::Notify;

use crate::kind::Kind;

/// An object, as far as it matters. Of Secrets and ConfigMaps there is the version only.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object {
    /// Differs whenever anything about it does.
    pub(crate) version: String,
    pub(crate) spec: Value,
    pub(crate) status: Value,
}

/// The objects of every kind, by name.
pub(crate) type Objects = BTreeMap<Kind, Arc<BTreeMap<String, Object>>>;

/// What has been seen so far, for those who watch and whoever makes something of it.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    kinds: Mutex<BTreeMap<Kind, Listed>>,
    pub(crate) changed: Notify,
}

/// The objects of one kind.
#[derive(Debug, Default)]
struct Listed {
    objects: Arc<BTreeMap<String, Object>>,
    /// What a list holds so far that is not complete yet. Until then the objects are those seen before.
    coming: Option<BTreeMap<String, Object>>,
    /// They were listed once, or it was told that there is no such kind.
    is_listed: bool,
    /// They were listed once.
    is_known: bool,
}

impl Seen {
    /// Takes up what the API server tells about a kind.
    pub(crate) fn take(&self, kind: Kind, event: Event<(String, Object)>) {
        let mut kinds = self.lock();
        let listed = kinds.entry(kind).or_default();
        match event {
            Event::Init => listed.coming = Some(BTreeMap::new()),
            Event::InitApply((name, object)) => {
                listed.coming.get_or_insert_default().insert(name, object);
                return;
            }
            Event::InitDone => {
                (listed.is_listed, listed.is_known) = (true, true);
                let objects = mem::take(&mut listed.coming).unwrap_or_default();
                if objects != *listed.objects {
                    listed.objects = Arc::new(objects);
                }
            }
            Event::Apply((name, object)) => {
                Arc::make_mut(&mut listed.objects).insert(name, object);
            }
            Event::Delete((name, _)) => {
                Arc::make_mut(&mut listed.objects).remove(&name);
            }
        }
        drop(kinds);
        self.changed.notify_one();
    }

    /// Notes that the cluster does not know this kind.
    pub(crate) fn is_unknown(&self, kind: Kind) {
        self.lock().entry(kind).or_default().is_listed = true;
        self.changed.notify_one();
    }

    /// Whether a kind was listed once.
    pub(crate) fn has_listed(&self, kind: Kind) -> bool {
        self.lock().get(&kind).is_some_and(|listed| listed.is_known)
    }

    /// All objects, once every kind was listed.
    pub(crate) fn all(&self) -> Option<Objects> {
        let kinds = self.lock();
        let of = |kind: &Kind| {
            let listed = kinds.get(kind).filter(|listed| listed.is_listed)?;
            Some((*kind, Arc::clone(&listed.objects)))
        };
        Kind::ALL.iter().map(of).collect()
    }

    /// The kinds that were not listed yet.
    pub(crate) fn missing(&self) -> Vec<Kind> {
        let kinds = self.lock();
        let is_missing = |kind: &Kind| !kinds.get(kind).is_some_and(|listed| listed.is_listed);
        Kind::ALL.into_iter().filter(is_missing).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Kind, Listed>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of an object, and what matters of it.
pub(crate) fn whole(mut object: DynamicObject) -> (String, Object) {
    let mut part = |name: &str| object.data.get_mut(name).map(Value::take).unwrap_or_default();
    let (spec, status) = (part("spec"), part("status"));
    let version = object.metadata.resource_version.unwrap_or_default();
    (object.metadata.name.unwrap_or_default(), Object { version, spec, status })
}

/// The same of one of which only the metadata are watched.
pub(crate) fn metadata<K>(object: PartialObjectMeta<K>) -> (String, Object) {
    let version = object.metadata.resource_version.unwrap_or_default();
    let object_of = Object { version, spec: Value::Null, status: Value::Null };
    (object.metadata.name.unwrap_or_default(), object_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(version: &str) -> Object {
        Object { version: version.to_owned(), spec: Value::Null, status: Value::Null }
    }

    #[test]
    fn nothing_is_known_until_every_kind_was_listed() {
        let seen = Seen::default();
        for kind in Kind::ALL {
            assert!(seen.all().is_none());
            seen.take(kind, Event::Init);
            assert!(seen.missing().contains(&kind));
            seen.take(kind, Event::InitDone);
        }
        assert!(seen.all().is_some());
    }

    #[test]
    fn what_was_seen_stays_until_a_new_list_is_complete() {
        let seen = Seen::default();
        Kind::ALL.into_iter().for_each(|kind| seen.is_unknown(kind));
        let names = || {
            let all = seen.all().unwrap();
            all[&Kind::Server].keys().cloned().collect::<Vec<_>>()
        };
        seen.take(Kind::Server, Event::Apply(("a".to_owned(), object("1"))));
        seen.take(Kind::Server, Event::Init);
        assert_eq!(names(), ["a"]);
        seen.take(Kind::Server, Event::InitApply(("b".to_owned(), object("2"))));
        assert_eq!(names(), ["a"]);
        seen.take(Kind::Server, Event::InitDone);
        assert_eq!(names(), ["b"]);
        seen.take(Kind::Server, Event::Delete(("b".to_owned(), object("3"))));
        assert!(names().is_empty());
    }
}
