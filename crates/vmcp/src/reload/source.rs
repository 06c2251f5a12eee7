//! The configuration file, or the files of editors, and the files they refer to: read again, and looked at for
//! changes.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    cli::Sources,
    cluster::{Discovered, Found},
    config::{Audit, Configuration, Problems},
    sources,
};

/// How long a file must have been left alone: one that is being written is not complete.
const STILL: Duration = Duration::from_millis(100);

/// How often that is waited for.
const PATIENCE: usize = 20;

/// Where the configuration comes from.
#[derive(Debug)]
pub(crate) struct Source {
    sources: Sources,
    /// From the command line, instead of what the file says.
    session_ttl: Option<Duration>,
    /// The command line says that what callers do is recorded.
    is_audited: bool,
    /// The backends that were found in a cluster last.
    discovered: Option<Discovered>,
    /// What the file held when it was read last with such backends.
    read: Option<String>,
    /// What it held when it was used last.
    good: Option<String>,
    /// Every file that was read, as it was before it was read.
    seen: BTreeMap<PathBuf, Option<Trace>>,
}

/// What tells one state of a file from another without reading it. Links are followed, so that one
/// that leads elsewhere now is noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trace {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Source {
    pub(crate) fn new(sources: &Sources) -> Self {
        Self {
            sources: sources.clone(),
            session_ttl: None,
            is_audited: false,
            discovered: None,
            read: None,
            good: None,
            seen: BTreeMap::new(),
        }
    }

    /// The same, with what the command line says in place of the file.
    pub(crate) fn overridden(self, session_ttl: Option<Duration>, is_audited: bool) -> Self {
        Self { session_ttl, is_audited, ..self }
    }

    /// Whether there is a file that can change.
    pub(crate) fn has_file(&self) -> bool {
        sources::has_file(&self.sources)
    }

    /// Takes the backends that are found now for those that a file leaves to the cluster.
    pub(crate) fn take(&mut self, found: Option<&Found>) {
        self.discovered = found.and_then(Found::now);
    }

    /// Whether backends were looked for, and all found that there are.
    pub(crate) fn has_found(&self) -> bool {
        self.discovered.is_some()
    }

    /// Reads the configuration.
    pub(crate) fn load(&mut self) -> Result<Configuration, Problems> {
        // Nothing is known before the first time.
        for path in self.seen.keys() {
            // Reading a pipe would wait for whoever writes, and nothing else would be done meanwhile.
            if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
                let name = path.display().to_string();
                return Err(Problems::of_file(&name, "is not a regular file any more"));
            }
        }
        // Each is looked at before it is read: what changes from then on is a change.
        let seen = RefCell::new(BTreeMap::new());
        let note = |path: &Path| {
            seen.borrow_mut().entry(path.to_owned()).or_insert_with(|| Trace::of(path));
        };
        let loaded = match &self.discovered {
            Some(discovered) => sources::load_discovered(&self.sources, discovered, &note).map(
                |(configuration, text)| {
                    self.read = configuration.discovers.then_some(text);
                    configuration
                },
            ),
            None => sources::load_noting(&self.sources, &note),
        };
        self.seen = seen.into_inner();
        Ok(self.with_command_line(loaded?))
    }

    /// Takes note that what was read last is used.
    pub(crate) fn is_used(&mut self) {
        self.good = self.read.take().or(self.good.take());
    }

    /// Reads what the file held when it was used last, with the backends that are found now. `None` if there is
    /// nothing of that kind.
    pub(crate) fn load_last(&self) -> Option<Result<Configuration, Problems>> {
        let (discovered, text) = (self.discovered.as_ref()?, self.good.as_ref()?);
        let read = sources::reread_discovered(&self.sources, discovered, text);
        Some(read.map(|configuration| self.with_command_line(configuration)))
    }

    fn with_command_line(&self, mut configuration: Configuration) -> Configuration {
        if let Some(ttl) = self.session_ttl {
            configuration.sessions.ttl = ttl;
        }
        if self.is_audited && configuration.audit.is_none() {
            configuration.audit = Some(Audit::default());
        }
        configuration
    }

    /// Whether some file is not as it was when it was last looked at.
    pub(crate) fn has_changed(&mut self) -> bool {
        let before = self.seen.clone();
        self.look();
        self.seen != before
    }

    /// Waits until nobody writes any more, but not for ever.
    pub(crate) async fn settle(&mut self) {
        for _ in 0..PATIENCE {
            tokio::time::sleep(STILL).await;
            if !self.has_changed() {
                return;
            }
        }
    }

    fn look(&mut self) {
        self.seen.iter_mut().for_each(|(path, trace)| *trace = Trace::of(path));
    }
}

impl Trace {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests;
