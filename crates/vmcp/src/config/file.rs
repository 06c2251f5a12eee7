//! Reads the files that a configuration consists of. Each has a bound on its size.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use super::value::Value;

/// The largest configuration, and the largest bundle of certificates.
const MAX_BYTES: usize = 1 << 20;

/// Reads the configuration file itself, or says why not. It may be a pipe of whoever starts vmcp.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    let bytes = read_any(path)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        format!("is not UTF-8 text (line {line})")
    })
}

/// Reads a file that a key names by its absolute path. When it changes, the configuration has changed.
pub(super) fn referenced(value: &Value<'_>) -> Option<Vec<u8>> {
    let path = path(value)?;
    value.report().refers_to(&path);
    held(value, &path)
}

/// Checks a file that is read again whenever it is needed: its changes are none of the configuration. While it is
/// not good it keeps the configuration from being used, and is looked at until it is.
pub(super) fn checked(
    value: &Value<'_>,
    check: impl Fn(&[u8]) -> Result<(), &'static str>,
) -> Option<PathBuf> {
    let path = path(value)?;
    if read(&path).is_ok_and(|bytes| check(&bytes).is_ok()) {
        return Some(path);
    }
    value.report().refers_to(&path);
    let bytes = held(value, &path)?;
    if let Err(why) = check(&bytes) {
        value.problem(format!("{} {why}", value.quoted()));
    }
    Some(path)
}

/// Reads the absolute path of a file that is not read.
pub(super) fn path(value: &Value<'_>) -> Option<PathBuf> {
    let text = value.text()?;
    let path = Path::new(&text);
    if text.contains('\0') || path.components().any(|part| part == Component::ParentDir) {
        value.problem(format!("{} holds \"..\" or a NUL; write the path itself", value.quoted()));
        return None;
    }
    if !path.is_absolute() {
        value.problem(format!("{} is not an absolute path", value.quoted()));
        return None;
    }
    Some(path.to_owned())
}

fn held(value: &Value<'_>, path: &Path) -> Option<Vec<u8>> {
    if path.try_exists().is_ok_and(|exists| !exists) {
        value.not_here(format!("{} does not exist", value.quoted()));
        return None;
    }
    match read(path) {
        Ok(bytes) => Some(bytes),
        Err(why) => {
            value.problem(format!("{} {why}", value.quoted()));
            None
        }
    }
}

/// Reads a bundle of certificates that a key names.
pub(super) fn certificates(value: &Value<'_>) -> Option<Arc<[u8]>> {
    let bytes = referenced(value)?;
    if !holds_certificate(&bytes) {
        value.problem(format!("{} holds no PEM certificate", value.quoted()));
        return None;
    }
    Some(bytes.into())
}

/// Whether there is a certificate in PEM among what a file holds.
pub(super) fn holds_certificate(bytes: &[u8]) -> bool {
    let certificate = b"-----BEGIN CERTIFICATE-----";
    bytes.windows(certificate.len()).any(|part| part == certificate)
}

/// Reads a regular file. A pipe would be waited for until somebody writes, perhaps for ever.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err("is not a regular file".to_owned());
    }
    read_any(path)
}

fn read_any(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = |bytes: &mut Vec<u8>| -> io::Result<usize> {
        let bound = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
        File::open(path)?.take(bound.saturating_add(1)).read_to_end(bytes)
    };
    let length = read(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if length > MAX_BYTES {
        return Err("is larger than 1MiB".to_owned());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        for path in [pipe.as_path(), &link, dir.path(), Path::new("/dev/null")] {
            assert_eq!(read(path), Err("is not a regular file".to_owned()), "{path:?}");
        }
    }
}
