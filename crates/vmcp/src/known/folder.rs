//! The folder of the user's that holds known offers, and the key that names its files.
//!
//! What is read is the user's own and closed to everybody else, or it is not used: what stands there is
//! listed to clients as if the backends had said it. What nobody has used for long is removed.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, anyhow, ensure};
use rustix::{fs::OFlags, process::geteuid};

use super::form;
use crate::private::{self, Existing};

/// How long a file is kept that is not used.
const OLD: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How many files are kept.
const FILES: usize = 100;

/// How many entries of the folder are looked at.
const ENTRIES: usize = 10_000;

/// The file with the key.
const KEY: &str = "key";

/// Bytes of the key.
const KEY_BYTES: usize = 32;

/// How the files with offers end.
const SUFFIX: &str = ".json";

/// A folder that nobody else can write to.
pub(super) struct Folder(PathBuf);

/// Where the folder is to be, as the XDG base directories have it. `None` if the user has no place for it.
pub(super) fn path(environment: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    // What is not absolute is to be ignored.
    let absolute = |name| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local").join("state")))?;
    Some(state.join("vmcp").join("offers"))
}

impl Folder {
    /// Makes the folder if there is none.
    pub(super) fn open(path: PathBuf) -> anyhow::Result<Self> {
        let shown = path.display();
        DirBuilder::new().recursive(true).mode(0o700).create(&path).with_context(|| {
            format!("{shown} cannot be made; make it, or let XDG_STATE_HOME name a folder of yours")
        })?;
        let metadata = fs::metadata(&path).with_context(|| shown.to_string())?;
        ensure!(
            metadata.uid() == geteuid().as_raw(),
            "{shown} belongs to another user; remove it, or let XDG_STATE_HOME name a folder of yours"
        );
        ensure!(
            metadata.mode() & 0o022 == 0,
            "{shown} can be written to by others; close it with chmod 700"
        );
        Ok(Self(path))
    }

    /// The secret with which files are named.
    pub(super) fn key(&self) -> anyhow::Result<Vec<u8>> {
        let path = self.0.join(KEY);
        let known = read_own(&path, KEY_BYTES)?;
        let key = match known {
            Some((_, key)) => key,
            None => {
                let made = random().and_then(|key| private::write(&path, &key, Existing::Stays));
                match made {
                    // Another vmcp may have been faster.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    made => {
                        made.with_context(|| format!("{} cannot be written", path.display()))?
                    }
                }
                read_own(&path, KEY_BYTES)?.map(|(_, key)| key).unwrap_or_default()
            }
        };
        ensure!(key.len() == KEY_BYTES, "{} is not as vmcp wrote it; remove it", path.display());
        Ok(key)
    }

    /// What a file holds, if there is one. It counts as used from now.
    pub(super) fn read(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let Some((file, bytes)) = read_own(&self.file(name), form::MOST)? else { return Ok(None) };
        if let Err(error) = file.set_modified(SystemTime::now()) {
            tracing::debug!(%error, "the file of known offers cannot be marked as used");
        }
        Ok(Some(bytes))
    }

    /// Says that a file cannot be used, and what becomes of it.
    pub(super) fn unusable(&self, name: &str, why: &form::Unreadable) -> anyhow::Error {
        unusable(&self.file(name), &why.to_string())
    }

    /// Writes a file anew.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.file(name);
        private::write(&path, bytes, Existing::Replaced)
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Lets a file count as used from now.
    pub(super) fn mark_used(&self, name: &str) {
        let marked =
            File::open(self.file(name)).and_then(|file| file.set_modified(SystemTime::now()));
        if let Err(error) = marked {
            tracing::debug!(%error, "the file of known offers cannot be marked as used");
        }
    }

    /// Removes the files that nobody has used for long, those first that were used longest ago if there
    /// are too many.
    pub(super) fn prune(&self, name: &str) {
        let found = fs::read_dir(&self.0).map(|entries| {
            let files = entries.take(ENTRIES).filter_map(|entry| used(&entry.ok()?.path()));
            files.collect::<Vec<_>>()
        });
        let mut files = found.unwrap_or_else(|error| {
            tracing::debug!(%error, "the folder of known offers cannot be listed");
            Vec::new()
        });
        files.sort_by_key(|(_, used)| std::cmp::Reverse(*used));
        let now = SystemTime::now();
        let own = self.file(name);
        for (index, (path, used)) in files.into_iter().enumerate() {
            // What is used in the future is not old.
            let is_old = now.duration_since(used).is_ok_and(|age| age > OLD);
            if path == own || !(is_old || index >= FILES) {
                continue;
            }
            match fs::remove_file(&path) {
                Ok(()) => {}
                // Another vmcp may have been faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::debug!(path = %path.display(), %error, "not removed"),
            }
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}{SUFFIX}"))
    }
}

/// When a file of vmcp's was used; drafts of one that was killed are among them. `None` if it is
/// something else.
fn used(path: &Path) -> Option<(PathBuf, SystemTime)> {
    let name = path.file_name()?.to_str()?;
    let digest = name.trim_start_matches('.').get(..64)?;
    let is_own = digest.bytes().all(|byte| byte.is_ascii_hexdigit()) && name.contains(SUFFIX);
    let metadata = fs::symlink_metadata(path).ok()?;
    if !is_own || !metadata.is_file() {
        return None;
    }
    Some((path.to_owned(), metadata.modified().ok()?))
}

/// What a file holds if it is the user's own and nobody else's business. `None` if there is none.
fn read_own(path: &Path, most: usize) -> anyhow::Result<Option<(File, Vec<u8>)>> {
    // A link may lead anywhere, and a pipe may never end.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, &format!("cannot be opened ({error})"))),
    };
    let most = most as u64;
    let metadata = file.metadata().with_context(|| path.display().to_string())?;
    let problem = if !metadata.is_file() {
        Some("is not a file")
    } else if metadata.uid() != geteuid().as_raw() {
        Some("belongs to another user")
    } else if metadata.mode() & 0o077 != 0 {
        Some("is open to others")
    } else if metadata.len() > most {
        Some("is too large")
    } else {
        None
    };
    if let Some(problem) = problem {
        return Err(unusable(path, problem));
    }
    let mut bytes = Vec::new();
    let read = (&file).take(most).read_to_end(&mut bytes);
    read.with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(Some((file, bytes)))
}

fn unusable(path: &Path, why: &str) -> anyhow::Error {
    anyhow!("{} {why}; remove it, and vmcp writes it anew", path.display())
}

fn random() -> io::Result<[u8; KEY_BYTES]> {
    let mut bytes = [0; KEY_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::path;

    fn check(variables: &[(&str, &str)], expected: Option<&str>) {
        let environment = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(path(&environment).as_deref(), expected.map(std::path::Path::new));
    }

    #[test]
    fn the_folder_is_where_users_have_their_state() {
        let home = ("HOME", "/home/a");
        check(&[home], Some("/home/a/.local/state/vmcp/offers"));
        check(&[home, ("XDG_STATE_HOME", "/s")], Some("/s/vmcp/offers"));
        check(&[("XDG_STATE_HOME", "/s")], Some("/s/vmcp/offers"));
        check(&[home, ("XDG_STATE_HOME", "s")], Some("/home/a/.local/state/vmcp/offers"));
        check(&[home, ("XDG_STATE_HOME", "")], Some("/home/a/.local/state/vmcp/offers"));
        check(&[("HOME", "")], None);
        check(&[], None);
    }
}
