//! A header whose value stands in a file, which may be exchanged while vmcp runs.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use http::{HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::shown::Shown;

/// Bytes of the file.
const MAX_FILE: u64 = 64 << 10;

/// How long what was read is taken for what it holds.
const FRESH: Duration = Duration::from_secs(1);

/// A header whose value stands in a file. Equal ones have the same name and file, whatever that holds.
#[derive(Clone)]
pub struct HeaderFile {
    pub name: HeaderName,
    pub path: PathBuf,
    /// What the file held when the configuration was read.
    pub value: HeaderValue,
}

/// The header as it is now.
pub(crate) struct Watched {
    name: HeaderName,
    path: PathBuf,
    shown: ArcSwap<Shown>,
    since: Instant,
    /// When it was looked at last, in milliseconds after that.
    looked: AtomicU64,
    /// A file system that does not answer holds one thread, however many ask.
    is_reading: AtomicBool,
    problem: Mutex<Option<String>>,
}

impl HeaderFile {
    /// The value that such a file holds: its text without the line break at its end. Or what is wrong with that.
    pub fn value_of(bytes: &[u8]) -> Result<HeaderValue, &'static str> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if bytes.is_empty() {
            return Err("is empty");
        }
        let value = HeaderValue::from_bytes(bytes);
        let mut value = value.map_err(|_error| "holds a character that no header may have")?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl Watched {
    pub(crate) fn new(file: &HeaderFile) -> Arc<Self> {
        let HeaderFile { name, path, value } = file.clone();
        Arc::new(Self {
            shown: ArcSwap::from_pointee(Shown::header(name.clone(), value)),
            name,
            path,
            since: Instant::now(),
            looked: AtomicU64::new(0),
            is_reading: AtomicBool::new(false),
            problem: Mutex::default(),
        })
    }

    /// The header. If the file was not looked at for a while, that is done meanwhile.
    pub(crate) fn shown(self: &Arc<Self>, now: Instant) -> Shown {
        let passed = u64::try_from(now.duration_since(self.since).as_millis()).unwrap_or(u64::MAX);
        let fresh = u64::try_from(FRESH.as_millis()).unwrap_or(u64::MAX);
        let looked = self.looked.load(Relaxed);
        if passed.saturating_sub(looked) >= fresh
            && self.looked.compare_exchange(looked, passed, Relaxed, Relaxed).is_ok()
        {
            self.look();
        }
        Shown::clone(&self.shown.load())
    }

    /// Whether the file holds another value now, as far as that is known.
    pub(crate) fn refused(&self, shown: &Shown) -> bool {
        **self.shown.load() != *shown
    }

    /// Reads the file on a thread of its own, which is none of the runtime's: that would wait for it at the end.
    fn look(self: &Arc<Self>) {
        if self.is_reading.swap(true, Relaxed) {
            return;
        }
        let file = Arc::clone(self);
        let reading = thread::Builder::new().name("header file".to_owned()).spawn(move || {
            file.take(read(&file.path));
            file.is_reading.store(false, Relaxed);
        });
        if let Err(error) = reading {
            self.take(Err(format!("cannot be read: {error}")));
            self.is_reading.store(false, Relaxed);
        }
    }

    fn take(&self, read: Result<HeaderValue, String>) {
        let problem = match read {
            Ok(value) => {
                let shown = Shown::header(self.name.clone(), value);
                if **self.shown.load() != shown {
                    self.shown.store(Arc::new(shown));
                }
                None
            }
            Err(why) => Some(why),
        };
        let mut last = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path.display();
        match (&problem, &*last) {
            (Some(_), Some(_)) | (None, None) => {}
            (Some(why), None) => {
                tracing::warn!("headerValueFile: {path} {why}; what it held before is used");
            }
            (None, Some(_)) => tracing::info!("headerValueFile: {path} can be read again"),
        }
        *last = problem;
    }
}

fn read(path: &Path) -> Result<HeaderValue, String> {
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    // A pipe would be waited for until somebody writes.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    if u64::try_from(file.map_err(unreadable)?).unwrap_or(u64::MAX) > MAX_FILE {
        return Err("is larger than 64KiB".to_owned());
    }
    HeaderFile::value_of(&bytes).map_err(str::to_owned)
}

impl PartialEq for HeaderFile {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.path == other.path
    }
}

impl Eq for HeaderFile {}

impl fmt::Debug for HeaderFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.name, self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks until the file has been looked at again, and gives what is shown then.
    async fn shown(file: &Arc<Watched>) -> Shown {
        tokio::time::advance(FRESH).await;
        file.shown(Instant::now());
        while file.is_reading.load(Relaxed) {
            thread::yield_now();
        }
        file.shown(Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_read_again_and_kept_while_it_cannot_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("value");
        let name = HeaderName::from_static("x-key");
        let value = HeaderValue::from_static("first");
        let of = |text: &str| Shown::header(name.clone(), HeaderValue::from_str(text).unwrap());
        let file = Watched::new(&HeaderFile { name: name.clone(), path: path.clone(), value });
        let problem = || file.problem.lock().unwrap().clone().unwrap_or_default();
        assert!(file.shown(Instant::now()) == of("first"));
        assert!(shown(&file).await == of("first"));
        assert!(problem().starts_with("cannot be read"), "{}", problem());
        for (held, expected, wrong) in [
            ("second\r\n", "second", ""),
            ("", "second", "is empty"),
            ("a\nb", "second", "holds a character that no header may have"),
            ("third", "third", ""),
        ] {
            fs::write(&path, held).unwrap();
            assert!(shown(&file).await == of(expected), "{expected}");
            assert_eq!(problem(), wrong);
        }
        assert!(file.refused(&of("second")) && !file.refused(&of("third")));
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_not_looked_at_with_every_request() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("value");
        fs::write(&path, "second").unwrap();
        let (name, value) = (HeaderName::from_static("x-key"), HeaderValue::from_static("first"));
        let file = Watched::new(&HeaderFile { name, path, value });
        tokio::time::advance(FRESH - Duration::from_millis(1)).await;
        file.shown(Instant::now());
        assert!(!file.is_reading.load(Relaxed) && file.looked.load(Relaxed) == 0);
    }
}
