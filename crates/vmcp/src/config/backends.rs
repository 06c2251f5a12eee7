//! The backends: `backends`, and the names by which other parts of the file speak of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::{HeaderMap, Uri};
use vmcp_backend::{Config, Endpoint, Limits, Timeouts, Transport};
use vmcp_model::BackendId;

use super::{
    BackendSettings, file, operational::CallTimeouts, outgoing::OutgoingAuth, reader::Reader,
    suggest::did_you_mean, value::Value,
};

/// The labels under `metadata` that vmcp sets itself.
const RESERVED_LABEL: &str = "group";

/// A backend as far as its own entry describes it.
pub(super) struct Draft {
    id: Option<BackendId>,
    url: Option<Uri>,
    ca_bundle: Option<Arc<[u8]>>,
    metadata: BTreeMap<String, String>,
}

/// What the rest of the file says about backends.
pub(super) struct Common {
    pub(super) initialize: Duration,
    pub(super) limits: Limits,
    pub(super) timeouts: CallTimeouts,
    pub(super) outgoing: OutgoingAuth,
}

/// Every name that the file gives to a backend, also those that cannot be used.
pub(super) struct Names(Vec<String>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Entry,
}

/// Reads all backends.
pub(super) fn read(root: &Reader<'_>) -> (Vec<Draft>, Names) {
    let mut names = Names(Vec::new());
    let readers = root.sections("backends");
    if readers.is_empty()
        && let Some(value) = root.value("backends")
        && value.is_bare()
    {
        value.problem("is empty; a virtual server needs at least one backend");
    }
    let drafts = readers.iter().map(|reader| draft(reader, &mut names)).collect();
    (drafts, names)
}

/// Reads the `metadata` of a map.
pub(super) fn labels(reader: &Reader<'_>) -> BTreeMap<String, String> {
    let pairs = reader.pairs("metadata").into_iter();
    pairs.filter_map(|(key, value)| Some((key.to_owned(), value.any_text()?))).collect()
}

impl Draft {
    /// Completes a backend. `None` where something about it has been reported.
    pub(super) fn finish(self, common: &Common) -> Option<BackendSettings> {
        let id = self.id?;
        let outgoing = common.outgoing.of(&id);
        let timeouts = Timeouts {
            initialize: common.initialize,
            idle: common.timeouts.idle(&id),
            absolute: common.timeouts.absolute,
            ..Timeouts::default()
        };
        let (url, ca_bundle) = (self.url?, self.ca_bundle);
        let endpoint = Endpoint { url, outgoing, headers: HeaderMap::new(), ca_bundle };
        let transport = Transport::Http(endpoint);
        let config = Config { id, transport, timeouts, limits: common.limits };
        Some(BackendSettings { config, metadata: self.metadata })
    }
}

impl Names {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The backend that a value names.
    pub(super) fn of_value(&self, value: &Value<'_>) -> Option<BackendId> {
        self.find(&value.text()?, value, &value.quoted())
    }

    /// The backend that the key of a value names.
    pub(super) fn of_key(&self, key: &str, value: &Value<'_>) -> Option<BackendId> {
        self.find(key, value, &format!("{key:?}"))
    }

    fn find(&self, name: &str, value: &Value<'_>, quoted: &str) -> Option<BackendId> {
        if self.0.iter().any(|known| known == name) {
            // A name that cannot be used has been reported where it is given.
            return BackendId::new(name).ok();
        }
        // Without backends, there is one problem, not one for each mention.
        if !self.0.is_empty() {
            let hint = did_you_mean(name, self.0.iter().map(String::as_str));
            value.problem(format!("no backend is called {quoted}{hint}"));
        }
        None
    }
}

fn draft(reader: &Reader<'_>, names: &mut Names) -> Draft {
    let draft = Draft {
        id: reader.value("name").and_then(|value| id(&value, names)),
        url: reader.value("url").and_then(|value| url(&value)),
        ca_bundle: ca_bundle(reader),
        metadata: labels(reader),
    };
    reader.choice("transport", &[()]);
    for (_, value) in reader.pairs("metadata").iter().filter(|(key, _)| *key == RESERVED_LABEL) {
        value.problem("is set by vmcp itself, to groupRef; remove it");
    }
    draft
}

fn id(value: &Value<'_>, names: &mut Names) -> Option<BackendId> {
    let name = value.text()?;
    if names.0.contains(&name) {
        value.problem(format!("{} is the name of another backend already", value.quoted()));
        return None;
    }
    names.0.push(name.clone());
    if BackendId::new(&name).is_err() {
        value.problem(format!(
            "{} is not a backend name: use 1 to {} of the characters A-Z a-z 0-9 . _ -",
            value.quoted(),
            BackendId::MAX_LENGTH
        ));
    }
    BackendId::new(&name).ok()
}

fn url(value: &Value<'_>) -> Option<Uri> {
    let text = value.text()?;
    if text.contains('#') {
        value.problem("has a fragment (#), which is never sent; remove it");
        return None;
    }
    let url = text.parse::<Uri>().ok();
    let authority = url.as_ref().and_then(Uri::authority);
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        value.problem("holds credentials; move them to outgoingAuth");
        return None;
    }
    // What follows the colon after the host is no port if the library makes nothing of it.
    let port_is_fine = authority.is_some_and(|authority| {
        let port = authority.as_str().strip_prefix(authority.host());
        port == Some("") || authority.port_u16().is_some_and(|port| port > 0)
    });
    let fine = |url: &Uri| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.host().is_some_and(|host| !host.is_empty())
            && port_is_fine
    };
    let url = url.filter(fine);
    if url.is_none() {
        // Whatever precedes an @ may be a password.
        let quoted = if text.contains('@') { "the value".to_owned() } else { value.quoted() };
        value.problem(format!("{quoted} is not an http or https URL"));
    }
    url
}

fn ca_bundle(reader: &Reader<'_>) -> Option<Arc<[u8]>> {
    let kind = reader.choice("type", &[Kind::Plain, Kind::Entry]);
    let value = reader.value("caBundlePath")?;
    if kind != Some(Kind::Entry) {
        // An unknown type has been reported.
        if kind.is_some() || !reader.has("type") {
            value.problem("only takes effect with type: entry");
        }
        return None;
    }
    let bytes = file::referenced(&value)?;
    let certificate = b"-----BEGIN CERTIFICATE-----";
    if !bytes.windows(certificate.len()).any(|part| part == certificate) {
        value.problem(format!("{} holds no PEM certificate", value.quoted()));
        return None;
    }
    Some(bytes.into())
}
