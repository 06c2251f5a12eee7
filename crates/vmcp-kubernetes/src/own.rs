//! The Secrets in which stands what vmcp itself lives by: the keys of its sessions, and the passwords of its store. No
//! backend is shown any, whatever its objects say.

use std::{collections::BTreeSet, fmt, sync::Arc};

/// How ToolHive's operator, and vmcp's chart, end the name of a Secret that holds the keys of a server's sessions.
const KEYS_OF_SESSIONS: &str = "-hmac-secret";

/// The secrets that vmcp uses itself, a text each, as they are now.
#[derive(Clone)]
pub struct OwnSecrets(Arc<dyn Fn() -> Vec<String> + Send + Sync>);

/// The Secrets that no backend is shown.
#[derive(Default)]
pub(crate) struct Withheld {
    own: OwnSecrets,
    /// Those that held such a text once, by name. They are exchanged sooner than vmcp knows what they hold then.
    names: BTreeSet<String>,
}

impl OwnSecrets {
    /// Those that are told whenever they are asked for, as they may be exchanged.
    pub fn told_by(now: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }
}

impl Default for OwnSecrets {
    fn default() -> Self {
        Self::told_by(Vec::new)
    }
}

impl Withheld {
    pub(crate) fn new(own: OwnSecrets) -> Self {
        Self { own, names: BTreeSet::new() }
    }

    /// Takes note of which of these Secrets are vmcp's own: a line of a value is one of its secrets. A Secret has
    /// several while they are exchanged.
    pub(crate) fn note<'a>(&mut self, secrets: impl Iterator<Item = (&'a str, &'a [u8])>) {
        let mut own: Option<BTreeSet<String>> = None;
        for (name, value) in secrets {
            let own = own.get_or_insert_with(|| self.texts());
            let mut lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
            if lines.any(|line| str::from_utf8(line).is_ok_and(|line| own.contains(line))) {
                self.names.insert(name.to_owned());
            }
        }
    }

    /// Why a Secret of this name is shown nobody, if it is not.
    pub(crate) fn why(&self, name: &str) -> Option<String> {
        if name.ends_with(KEYS_OF_SESSIONS) {
            return Some(format!(
                "the Secret {name} is shown no backend: by its name it holds the keys of a server's sessions"
            ));
        }
        let holds = self.names.contains(name);
        holds.then(|| {
            format!(
                "the Secret {name} is shown no backend: it holds a key of vmcp's own sessions, or the password of their store"
            )
        })
    }

    fn texts(&self) -> BTreeSet<String> {
        let own = (self.own.0)();
        let lines = own.iter().flat_map(|text| text.lines().map(str::trim));
        lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }
}

// No secret is shown.
impl fmt::Debug for OwnSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnSecrets").finish_non_exhaustive()
    }
}
