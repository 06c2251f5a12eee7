//! Secrets that the file names and does not hold. No message quotes one.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use super::{expand, file, reader::Reader, value::Value};

/// The name of an environment variable, and what it holds, without the line break at its end.
pub(super) fn from_variable(value: &Value<'_>) -> Option<(String, String)> {
    let name = value.text()?;
    if !expand::is_name(&name) {
        // It may be the secret itself, in the wrong place.
        value.problem("is not the name of an environment variable");
        return None;
    }
    let text = value.report().variable(&name).and_then(held);
    if text.is_none() {
        value.no_variable(format!("the environment variable {name} is not set or empty"));
    }
    text.map(|text| (name, text))
}

/// What a file holds, without the line break at its end.
pub(super) fn from_file(value: &Value<'_>) -> Option<Vec<u8>> {
    let bytes = without_line_break(file::referenced(value)?);
    if bytes.is_empty() {
        value.problem(format!("{} is empty", value.quoted()));
        return None;
    }
    Some(bytes)
}

/// What a variable holds, if that is something. A secret of Kubernetes that was made out of a file often ends with a
/// line break, which no header can hold.
pub(super) fn held(text: String) -> Option<String> {
    let text = String::from_utf8(without_line_break(text.into())).ok()?;
    (!text.is_empty()).then_some(text)
}

fn without_line_break(mut bytes: Vec<u8>) -> Vec<u8> {
    for end in [b"\n", b"\r"] {
        if bytes.ends_with(end) {
            bytes.pop();
        }
    }
    bytes
}

/// A secret that is named by one of two keys, if it is.
pub(super) enum Named {
    Text(String),
    /// The path of its file, and what that holds.
    Kept(String, Kept),
}

/// Reads a secret that stands in the variable, or in the file, that one of these keys names. If neither stands
/// there, it is the first of the other variables that is set.
pub(super) fn named(
    reader: &Reader<'_>,
    [variable_key, file_key]: [&str; 2],
    others: &[&str],
) -> Option<Named> {
    match (reader.value(variable_key), reader.value(file_key)) {
        (Some(_), Some(file)) => {
            file.problem(format!("stands beside {variable_key}; keep one of them"));
            None
        }
        (Some(variable), None) => from_variable(&variable).map(|(_, text)| Named::Text(text)),
        (None, Some(file)) => {
            let text = String::from_utf8(from_file(&file)?).ok();
            if text.is_none() {
                file.problem(format!("{} does not hold text", file.quoted()));
            }
            let path = file.text()?;
            let kept = Kept::new(&path, text?);
            Some(Named::Kept(path, kept))
        }
        (None, None) => {
            let mut set = others.iter().filter_map(|name| reader.variable(name));
            set.find_map(held).map(Named::Text)
        }
    }
}

/// A text in a file that may be exchanged while vmcp runs.
pub(super) struct Kept {
    path: PathBuf,
    /// What the file held last, while it can be used.
    last: Mutex<String>,
}

impl Kept {
    /// One that has been read once.
    pub(super) fn new(path: &str, text: String) -> Self {
        Self { path: path.into(), last: Mutex::new(text) }
    }

    /// What the file holds now; what it held last if that cannot be used.
    pub(super) fn now(&self) -> String {
        let read = file::read(&self.path).and_then(|bytes| {
            let text = String::from_utf8(without_line_break(bytes)).ok();
            text.filter(|text| !text.is_empty()).ok_or_else(|| "is empty or no text".to_owned())
        });
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(text) => *last = text,
            Err(why) => {
                let path = self.path.display();
                tracing::warn!("{path} {why}; what it held before is used");
            }
        }
        last.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_its_file_holds_now() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        let kept = Kept::new(path.to_str().unwrap(), "first".to_owned());
        assert_eq!(kept.now(), "first", "the file is not there");
        for (held, expected) in [("second\r\n", "second"), ("", "second"), ("third", "third")] {
            std::fs::write(&path, held).unwrap();
            assert_eq!(kept.now(), expected);
        }
    }
}
