//! What the Secrets and ConfigMaps hold that backends name. Each is read by itself: of all the others in the
//! namespace nothing is read but their names.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use tokio::time::timeout;

use crate::{
    cluster::Cluster,
    kind::Kind,
    own::{OwnSecrets, Withheld},
    seen::Objects,
    trouble::cause,
};

/// How many are read at once.
const AT_ONCE: usize = 8;

/// How long it may take to read one.
const PATIENCE: Duration = Duration::from_secs(10);

/// A Secret or ConfigMap, by kind and name.
pub(crate) type Source = (Kind, String);

/// What is held of each that is named, and why where it could not be read.
#[derive(Default)]
pub(crate) struct Contents {
    held: BTreeMap<Source, Result<Content, String>>,
    withheld: Withheld,
}

struct Content {
    version: String,
    data: BTreeMap<String, Vec<u8>>,
}

impl Contents {
    /// Nothing yet, and never what is vmcp's own.
    pub(crate) fn without(own: OwnSecrets) -> Self {
        Self { held: BTreeMap::new(), withheld: Withheld::new(own) }
    }

    /// Reads what is named and not held as it is now, and lets go of what is named no more. Returns whether all
    /// could be read.
    pub(crate) async fn refresh(
        &mut self,
        cluster: &Cluster,
        objects: &Objects,
        named: &BTreeSet<Source>,
    ) -> bool {
        let present = |(kind, name): &Source| Some(objects.get(kind)?.get(name)?.version.as_str());
        self.held.retain(|source, _| named.contains(source) && present(source).is_some());
        let is_stale = |source: &&Source| {
            let held = self.held.get(*source).and_then(|held| held.as_ref().ok());
            present(source).is_some_and(|version| held.is_none_or(|held| held.version != version))
        };
        let stale: Vec<_> = named.iter().filter(is_stale).cloned().collect();
        let read = stream::iter(stale).map(|source| async {
            let content = timeout(PATIENCE, read(cluster, &source)).await;
            let too_slow = |_elapsed| Err(Unread::Failed("it does not answer".to_owned()));
            (source, content.unwrap_or_else(too_slow))
        });
        let read: Vec<_> = read.buffer_unordered(AT_ONCE).collect().await;
        let mut are_all = true;
        for (source, content) in read {
            let (kind, name) = (source.0.name(), &source.1);
            let content = content.map_err(|unread| match unread {
                Unread::Gone => format!("the {kind} {name} does not exist"),
                Unread::Failed(error) => {
                    are_all = false;
                    if !matches!(self.held.get(&source), Some(Err(_))) {
                        tracing::warn!(
                            error,
                            kind,
                            name,
                            "cannot be read; backends that need it are out until it can"
                        );
                    }
                    format!("the {kind} {name} cannot be read now")
                }
            });
            self.held.insert(source, content);
        }
        self.withhold();
        are_all
    }

    /// Looks which of the Secrets are vmcp's own.
    fn withhold(&mut self) {
        let secrets = self.held.iter().filter(|((kind, _), _)| *kind == Kind::Secret);
        let values = secrets.flat_map(|((_, name), held)| {
            let values = held.iter().flat_map(|content| content.data.values());
            values.map(|value| (name.as_str(), value.as_slice()))
        });
        self.withheld.note(values);
    }

    /// Holds something that was read, where this is vmcp's own.
    #[cfg(test)]
    pub(crate) fn hold_beside(&mut self, own: OwnSecrets) {
        self.withheld = Withheld::new(own);
        self.withhold();
    }

    /// Holds something that was read.
    #[cfg(test)]
    pub(crate) fn hold(&mut self, source: Source, key: &str, bytes: &[u8]) {
        let new = || Ok(Content { version: "1".to_owned(), data: BTreeMap::new() });
        if let Ok(content) = self.held.entry(source).or_insert_with(new) {
            content.data.insert(key.to_owned(), bytes.to_vec());
        }
    }

    /// What stands under a key.
    pub(crate) fn get(&self, source: &Source, key: &str) -> Result<&[u8], String> {
        let (kind, name) = source;
        let withheld = self.withheld.why(name).filter(|_| *kind == Kind::Secret);
        if let Some(why) = withheld {
            return Err(why);
        }
        let kind = kind.name();
        match self.held.get(source) {
            None => Err(format!("the {kind} {name} does not exist")),
            Some(Err(why)) => Err(why.clone()),
            Some(Ok(content)) => content
                .data
                .get(key)
                .map(Vec::as_slice)
                .ok_or_else(|| format!("the {kind} {name} has no key {key:?}")),
        }
    }
}

/// Why something could not be read.
enum Unread {
    Gone,
    Failed(String),
}

async fn read(cluster: &Cluster, (kind, name): &Source) -> Result<Content, Unread> {
    let read = match kind {
        Kind::Secret => {
            let api = Api::<Secret>::namespaced(cluster.client(), cluster.namespace());
            api.get_opt(name).await.map(|found| {
                let found = found?;
                let data = found.data.unwrap_or_default().into_iter();
                let data = data.map(|(key, bytes)| (key, bytes.0)).collect();
                Some(Content { version: found.metadata.resource_version.unwrap_or_default(), data })
            })
        }
        _ => {
            let api = Api::<ConfigMap>::namespaced(cluster.client(), cluster.namespace());
            api.get_opt(name).await.map(|found| {
                let found = found?;
                let texts = found.data.unwrap_or_default().into_iter();
                let texts = texts.map(|(key, text)| (key, text.into_bytes()));
                let binary = found.binary_data.unwrap_or_default().into_iter();
                let data = binary.map(|(key, bytes)| (key, bytes.0)).chain(texts).collect();
                Some(Content { version: found.metadata.resource_version.unwrap_or_default(), data })
            })
        }
    };
    read.map_err(|error| Unread::Failed(cause(&error)))?.ok_or(Unread::Gone)
}
