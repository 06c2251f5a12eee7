//! Reads the files that a configuration consists of. Each has a bound on its size.

use std::{
    fs::File,
    io::{self, Read},
    path::{Component, Path},
    sync::Arc,
};

use super::value::Value;

/// The largest configuration, and the largest bundle of certificates.
const MAX_BYTES: usize = 1 << 20;

/// Reads the configuration file itself, or says why not.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    let bytes = read(path)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        format!("is not UTF-8 text (line {line})")
    })
}

/// Reads a file that a key names by its absolute path.
pub(super) fn referenced(value: &Value<'_>) -> Option<Vec<u8>> {
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
    value.report().refers_to(path);
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
    let certificate = b"-----BEGIN CERTIFICATE-----";
    if !bytes.windows(certificate.len()).any(|part| part == certificate) {
        value.problem(format!("{} holds no PEM certificate", value.quoted()));
        return None;
    }
    Some(bytes.into())
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
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
