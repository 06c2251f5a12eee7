//! The file with the token of operators, which may be exchanged at any time.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use tokio::{sync::watch, time::timeout};
use vmcp_wire::Fault;

use super::token_in;

/// Bytes of the file.
const MAX_FILE: u64 = 64 << 10;

/// How long an operator waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// A file that holds a token.
pub(super) struct TokenFile {
    path: Arc<Path>,
    /// The last time that it was read, which may still be under way.
    reading: Mutex<watch::Receiver<Option<Outcome>>>,
    /// Why it could not be used last, if it could not.
    problem: Mutex<Option<String>>,
}

type Outcome = Result<String, String>;

impl TokenFile {
    pub(super) fn new(path: &Path) -> Self {
        let (_nobody, none) = watch::channel(None);
        Self { path: path.into(), reading: Mutex::new(none), problem: Mutex::new(None) }
    }

    /// The token as it is now. Why there is none is for the log.
    pub(super) async fn token(&self) -> Result<String, Fault> {
        let read = match self.read() {
            Ok(mut reading) => {
                let read = timeout(PATIENCE, reading.wait_for(Option::is_some)).await;
                match read {
                    Ok(Ok(read)) => read.clone().unwrap_or_else(|| Err(BROKEN_OFF.to_owned())),
                    Ok(Err(_gone)) => Err(BROKEN_OFF.to_owned()),
                    Err(_elapsed) => Err("cannot be read within a second".to_owned()),
                }
            }
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        self.tell(read.as_ref().err());
        read.map_err(|_why| {
            Fault::Unavailable("the token of operators cannot be read now; see the log".into())
        })
    }

    /// Reads the file, or waits with others for who reads it: a file system that does not answer holds one thread,
    /// however many ask. The thread is none of the runtime's, which would wait for it at the end.
    fn read(&self) -> io::Result<watch::Receiver<Option<Outcome>>> {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let is_under_way = reading.borrow().is_none() && reading.has_changed().is_ok();
        if !is_under_way {
            let (sender, receiver) = watch::channel(None);
            let path = Arc::clone(&self.path);
            let read = move || drop(sender.send_replace(Some(token_of(&path))));
            thread::Builder::new().name("token file".to_owned()).spawn(read)?;
            *reading = receiver;
        }
        Ok(reading.clone())
    }

    /// Says once what is wrong with the file, and once that nothing is any more.
    fn tell(&self, problem: Option<&String>) {
        let mut last = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref() == problem {
            return;
        }
        let path = self.path.display();
        match problem {
            Some(why) => {
                tracing::error!(
                    "admin.auth.tokenFile: {path} {why}; operators are refused meanwhile"
                );
            }
            None => tracing::info!("admin.auth.tokenFile: {path} can be read again"),
        }
        *last = problem.cloned();
    }
}

const BROKEN_OFF: &str = "cannot be read: whoever read it has broken off";

/// The token that a file holds, or why it holds none.
pub(super) fn token_of(path: &Path) -> Outcome {
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    // A pipe would be waited for until somebody writes.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    let length = file.map_err(unreadable)?;
    if u64::try_from(length).unwrap_or(u64::MAX) > MAX_FILE {
        return Err("is larger than 64KiB".to_owned());
    }
    token_in(&bytes).map_err(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    /// A file system that does not answer, played by one who reads and never ends.
    #[tokio::test(start_paused = true)]
    async fn a_reading_that_never_ends_is_one_and_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, TOKEN).unwrap();
        let file = TokenFile::new(&path);
        let (hanging, reading) = watch::channel(None);
        *file.reading.lock().unwrap() = reading;
        for _ in 0..3 {
            assert!(matches!(file.token().await, Err(Fault::Unavailable(_))));
        }
        assert_eq!(hanging.receiver_count(), 1, "nobody reads beside it");
        assert!(file.problem.lock().unwrap().as_ref().unwrap().contains("within a second"));
        // One that has broken off is not waited for.
        drop(hanging);
        tokio::time::resume();
        assert_eq!(file.token().await, Ok(TOKEN.to_owned()));
        assert_eq!(*file.problem.lock().unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_wrong_is_kept_until_it_is_something_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let file = TokenFile::new(&path);
        let problem = || file.problem.lock().unwrap().clone().unwrap_or_default();
        assert!(file.token().await.is_err());
        assert!(problem().contains("cannot be read"), "{}", problem());
        fs::create_dir(&path).unwrap();
        assert!(file.token().await.is_err());
        assert_eq!(problem(), "is not a regular file");
        fs::remove_dir(&path).unwrap();
        fs::write(&path, "short").unwrap();
        assert!(file.token().await.is_err());
        assert!(problem().contains("fewer than 16"), "{}", problem());
        fs::write(&path, TOKEN).unwrap();
        assert_eq!(file.token().await, Ok(TOKEN.to_owned()));
        assert_eq!(problem(), "");
    }
}
