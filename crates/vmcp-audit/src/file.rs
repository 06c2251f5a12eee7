//! The file that lines go to: opened, followed when others move it, and begun anew when it is full.

use std::{
    fs::{self, Metadata, OpenOptions},
    io::{self, Write as _},
    os::{
        fd::AsFd as _,
        unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Access, OFlags},
};
use tokio::time::Instant;

use crate::{Output, Settings, auditor::StartError};

/// Where lines go. Whole lines only: what a failed write has left of one is ended before the next.
#[derive(Debug)]
pub(crate) struct File {
    /// `None` for standard output.
    path: Option<PathBuf>,
    open: fs::File,
    /// Which file this is.
    id: (u64, u64),
    /// Its size. `None` for what is no regular file.
    size: Option<u64>,
    /// Whether its last line has no end.
    is_torn: bool,
    rotate_at: Option<u64>,
    keep: usize,
    rotations: u64,
    /// When it was last seen to be the one at its path. `None` if it must be opened anew.
    followed: Option<Instant>,
    /// Not before then is it tried again to begin a new one.
    rotates_from: Option<Instant>,
}

/// A write that has failed after so many bytes.
#[derive(Debug)]
pub(crate) struct Interrupted {
    pub(crate) written: usize,
    pub(crate) error: io::Error,
}

/// How often it is looked whether the file is still the one at its path.
const FOLLOWING: Duration = Duration::from_secs(1);

/// How long a new file is not tried for after that has failed.
const ROTATION_REST: Duration = Duration::from_mins(1);

impl File {
    pub(crate) fn open(settings: &Settings) -> Result<Self, StartError> {
        let (path, opened) = match &settings.output {
            Output::Stdout => (None, stdout().map_err(StartError::Stdout)?),
            Output::Nowhere => {
                (None, Opened::at(Path::new("/dev/null")).map_err(StartError::Stdout)?)
            }
            Output::File(path) => {
                let error = |source| StartError::Open { path: path.clone(), source };
                let opened = Opened::at(path).map_err(error)?;
                if settings.rotate_at.is_some() && opened.size.is_some() {
                    can_begin_another(path)?;
                }
                (Some(path.clone()), opened)
            }
        };
        Ok(Self {
            path,
            open: opened.file,
            id: opened.id,
            size: opened.size,
            is_torn: opened.is_torn,
            rotate_at: settings.rotate_at,
            keep: settings.keep,
            rotations: 0,
            followed: Some(Instant::now()),
            rotates_from: None,
        })
    }

    /// How often a new file was begun because one was full.
    pub(crate) fn rotations(&self) -> u64 {
        self.rotations
    }

    /// Opens the file anew. If that cannot be done, it is tried again before the next line.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        self.followed = None;
        self.follow()
    }

    /// Writes lines, in one piece as long as they fit into the file.
    pub(crate) fn write(&mut self, lines: &[u8]) -> Result<(), Interrupted> {
        self.follow().map_err(|error| Interrupted { written: 0, error })?;
        let mut written = 0;
        while written < lines.len() {
            let rest = &lines[written..];
            let fitting = self.fitting(rest);
            if fitting == 0 {
                self.rotate();
                continue;
            }
            let piece = self.append(&rest[..fitting]);
            written += piece.as_ref().map_or_else(|failed| failed.written, |()| fitting);
            piece.map_err(|Interrupted { error, .. }| Interrupted { written, error })?;
        }
        Ok(())
    }

    /// How much of these lines goes into this file: all, as many as there is room for, or none. An empty file
    /// takes one line, however long.
    fn fitting(&self, lines: &[u8]) -> usize {
        let (Some(most), Some(size), Some(_)) = (self.rotate_at, self.size, &self.path) else {
            return lines.len();
        };
        if self.rotates_from.is_some_and(|from| Instant::now() < from) {
            return lines.len();
        }
        let room = usize::try_from(most.saturating_sub(size)).unwrap_or(usize::MAX);
        if lines.len() <= room {
            return lines.len();
        }
        let end = |end: usize| end + 1;
        let whole = lines[..room].iter().rposition(|byte| *byte == b'\n').map_or(0, end);
        if whole > 0 || size > 0 {
            return whole;
        }
        lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), end)
    }

    /// Writes lines at the end.
    fn append(&mut self, lines: &[u8]) -> Result<(), Interrupted> {
        if self.is_torn {
            write_all(&mut self.open, b"\n", &mut self.size)?;
            self.is_torn = false;
        }
        let written = write_all(&mut self.open, lines, &mut self.size);
        if let Err(failed) = &written {
            self.is_torn = failed.written > 0 && lines[failed.written - 1] != b'\n';
        }
        written
    }

    /// Makes sure that this is the file at its path.
    fn follow(&mut self) -> io::Result<()> {
        let Some(path) = self.path.clone() else { return Ok(()) };
        let now = Instant::now();
        if let Some(followed) = self.followed {
            if now - followed < FOLLOWING {
                return Ok(());
            }
            match fs::metadata(&path) {
                Ok(found) if id(&found) == self.id => {
                    // Somebody may have emptied it.
                    self.size = self.size.map(|_| found.len());
                    self.followed = Some(now);
                    return Ok(());
                }
                Ok(_) => self.followed = None,
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.followed = None,
                // Whether it is cannot be seen, so it is taken to be.
                Err(_) => return Ok(()),
            }
        }
        match Opened::at(&path) {
            Ok(opened) => self.take(opened),
            // Whoever has renamed it reads it still; what was removed nobody does.
            Err(error) if self.open.metadata()?.nlink() > 0 => {
                tracing::warn!(path = %path.display(), %error, "cannot open the audit log anew");
                self.followed = Some(now);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn take(&mut self, opened: Opened) {
        self.open = opened.file;
        self.size = opened.size;
        // Of the same file it is known better than can be read.
        self.is_torn = opened.is_torn || self.is_torn && opened.id == self.id;
        self.id = opened.id;
        self.followed = Some(Instant::now());
    }

    /// Begins a new file. If that cannot be done, the old one is used for longer.
    fn rotate(&mut self) {
        let Some(path) = self.path.clone() else { return };
        match make_way(&path, self.keep).and_then(|()| Opened::at(&path)) {
            Ok(opened) => {
                self.take(opened);
                self.rotations += 1;
                self.rotates_from = None;
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot begin a new audit log");
                self.rotates_from = Some(Instant::now() + ROTATION_REST);
            }
        }
    }
}

/// A file that was opened.
struct Opened {
    file: fs::File,
    id: (u64, u64),
    size: Option<u64>,
    is_torn: bool,
}

impl Opened {
    /// Opens the file at a path, and creates it if there is none.
    fn at(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).mode(0o600);
        // A pipe that nobody reads is refused, where opening it would wait.
        options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let (file, is_new) = match options.clone().create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (options.create(true).open(path)?, false)
            }
            created => (created?, true),
        };
        let flags = rustix::fs::fcntl_getfl(&file)?;
        rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
        let opened = Self::new(file)?;
        let found = opened.file.metadata()?;
        if !is_new && opened.size.is_some() && found.mode() & 0o044 != 0 {
            let mode = format!("{:03o}", found.mode() & 0o777);
            tracing::warn!(path = %path.display(), mode, "others can read the audit log");
        }
        let is_torn = opened.size.is_some() && has_no_end(path, found.len());
        Ok(Self { is_torn, ..opened })
    }

    fn new(file: fs::File) -> io::Result<Self> {
        let found = file.metadata()?;
        let size = found.is_file().then_some(found.len());
        Ok(Self { file, id: id(&found), size, is_torn: false })
    }
}

fn stdout() -> io::Result<Opened> {
    // Written to without the buffer that the standard library has for it.
    Opened::new(io::stdout().as_fd().try_clone_to_owned()?.into())
}

fn id(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// Whether the last line of a file has no end. Nobody can tell of one that cannot be read.
fn has_no_end(path: &Path, size: u64) -> bool {
    let mut last = [b'\n'];
    let read = size > 0
        && fs::File::open(path).and_then(|file| file.read_exact_at(&mut last, size - 1)).is_ok();
    read && last != *b"\n"
}

/// Makes sure that files can be renamed and made where this one stands. Of a file that is mounted by itself, it shows only when
/// that is tried.
fn can_begin_another(path: &Path) -> Result<(), StartError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| StartError::Rotate { folder: folder.to_owned(), source: error.into() })
}

/// Renames a full file and those before it: `.1` is the newest.
fn make_way(path: &Path, keep: usize) -> io::Result<()> {
    let numbered = |number: usize| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    for number in (1..keep).rev() {
        match fs::rename(numbered(number), numbered(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let moved = if keep == 0 { fs::remove_file(path) } else { fs::rename(path, numbered(1)) };
    // Somebody else may have moved it.
    moved.or_else(|error| (error.kind() == io::ErrorKind::NotFound).then_some(()).ok_or(error))
}

fn write_all(file: &mut fs::File, bytes: &[u8], size: &mut Option<u64>) -> Result<(), Interrupted> {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => {
                let error = io::ErrorKind::WriteZero.into();
                return Err(Interrupted { written, error });
            }
            Ok(count) => {
                written += count;
                *size = size.map(|size| size + count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Standard output is whatever it was made by others.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && is_ready(file) => {}
            Err(error) => return Err(Interrupted { written, error }),
        }
    }
    Ok(())
}

/// Waits a moment until something can be written to.
fn is_ready(file: &fs::File) -> bool {
    let second = Timespec { tv_sec: 1, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(file, PollFlags::OUT)], Some(&second));
    ready.is_ok_and(|count| count > 0)
}
