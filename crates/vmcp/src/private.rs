//! Files that nobody but the user may read, written whole or not at all.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// What becomes of a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It stays, and nothing is written.
    Stays,
    Replaced,
}

/// Writes a file: nobody else can read it, and nobody sees half of it. One that is to stay is an error
/// of the kind [`io::ErrorKind::AlreadyExists`].
pub(crate) fn write(path: &Path, bytes: &[u8], existing: Existing) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let draft = format!(".{}.{}", name.to_string_lossy(), std::process::id());
    let draft = path.with_file_name(draft);
    let written = write_new(&draft, bytes).and_then(|()| match existing {
        Existing::Replaced => fs::rename(&draft, path),
        // A link is not made where a file exists by now.
        Existing::Stays => fs::hard_link(&draft, path),
    });
    // After a rename, it is gone already.
    let _removed = fs::remove_file(&draft);
    written
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
