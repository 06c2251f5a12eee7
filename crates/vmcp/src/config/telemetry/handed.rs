//! What ToolHive's operator hands over for the collector beside the file: headers that hold secrets, in variables, and the
//! authority that vouches for it, in a folder. No key of the file names either.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use http::HeaderValue;

use super::{
    super::{file, fixed_headers, problem::Problem, secret},
    Otlp,
};

/// What stands before the name of a header, in capitals and with `_` for `-`, in that of its variable.
const HEADER: &str = "TOOLHIVE_OTEL_HEADER_";

/// Where the operator mounts the authority: one file, in a folder that is called after its ConfigMap.
pub(in crate::config) const AUTHORITIES: &str = "/config/certs/otel";

/// Takes what is handed over, and gives what is wrong with it. `variables` are the names of all variables;
/// `authorities` is the folder, in a pod.
pub(in crate::config) fn take(
    otlp: &mut Otlp,
    variables: impl Iterator<Item = String>,
    environment: &dyn Fn(&str) -> Option<String>,
    authorities: Option<&Path>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut variables: Vec<_> = variables.filter(|name| name.starts_with(HEADER)).collect();
    variables.sort();
    for variable in variables {
        let wrong = header(otlp, &variable, environment).err();
        problems.extend(wrong.map(|why| {
            Problem::of_file(format!("telemetry.headers: the variable {variable} {why}"))
        }));
    }
    if otlp.ca_bundle.is_none()
        && let Some(folder) = authorities
    {
        match authority(folder) {
            Ok(bundle) => otlp.ca_bundle = bundle.map(Into::into),
            Err(why) => problems.push(Problem::of_file(format!("telemetry.caCertPath: {why}"))),
        }
    }
    problems
}

/// No message holds what a variable holds.
fn header(
    otlp: &mut Otlp,
    variable: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(), String> {
    let name = variable[HEADER.len()..].to_lowercase().replace('_', "-");
    let name =
        fixed_headers::name(&name).map_err(|_why| "is named after no header that can be set")?;
    let text = environment(variable).and_then(secret::held).ok_or("is empty")?;
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_error| "holds a character that no header may have")?;
    value.set_sensitive(true);
    // It is more particular than what stands for all collectors.
    otlp.headers.insert(name, value);
    Ok(())
}

/// The one authority in a folder of folders, if there is one.
fn authority(folder: &Path) -> Result<Option<Vec<u8>>, String> {
    let folders = inside(folder)?;
    let files =
        folders.iter().map(|folder| inside(folder)).collect::<Result<Vec<_>, _>>()?.concat();
    match &files[..] {
        [] => Ok(None),
        [one] => {
            let path = one.display();
            let bytes = file::read(one).map_err(|why| format!("{path} {why}"))?;
            match file::holds_certificate(&bytes) {
                true => Ok(Some(bytes)),
                false => Err(format!("{path} holds no PEM certificate")),
            }
        }
        [_, _, ..] => {
            let folder = folder.display();
            Err(format!(
                "{folder} holds several files; name the one that vouches for the collector"
            ))
        }
    }
}

/// What is in a folder; nothing if there is no such folder. What begins with two dots is how a volume of a ConfigMap
/// is exchanged as a whole.
fn inside(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let read = |folder: &Path| -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_name().as_encoded_bytes().starts_with(b"..") {
                paths.push(entry.path());
            }
        }
        Ok(paths)
    };
    match read(folder) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(Vec::new())
        }
        read => read.map_err(|error| format!("{} cannot be read: {error}", folder.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;

    use super::*;

    fn otlp(headers: &[(&'static str, &'static str)]) -> Otlp {
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), HeaderValue::from_static(value))
        });
        let headers: HeaderMap = headers.collect();
        let timeout = Duration::from_secs(1);
        Otlp { traces: None, metrics: None, logs: None, headers, ca_bundle: None, timeout }
    }

    fn taken(otlp: &mut Otlp, held: &[(&str, &str)], folder: Option<&Path>) -> Vec<String> {
        let names = held.iter().map(|(name, _)| (*name).to_owned());
        let environment = |wanted: &str| {
            held.iter().find(|(name, _)| *name == wanted).map(|(_, text)| (*text).to_owned())
        };
        take(otlp, names, &environment, folder).into_iter().map(|problem| problem.text).collect()
    }

    #[test]
    fn headers_come_from_variables() {
        let mut otlp = otlp(&[("x-team", "core")]);
        let held = [
            ("TOOLHIVE_OTEL_HEADER_X_OTEL_KEY", "s3cret\n"),
            ("TOOLHIVE_OTEL", "x"),
            ("PATH", "x"),
        ];
        assert_eq!(taken(&mut otlp, &held, None), [""; 0]);
        assert_eq!(otlp.headers["x-otel-key"], "s3cret");
        assert!(otlp.headers["x-otel-key"].is_sensitive());
        assert_eq!(otlp.headers.len(), 2);
    }

    #[test]
    fn what_is_wrong_with_a_variable_is_told_without_what_it_holds() {
        let mut otlp = otlp(&[("x-team", "core")]);
        let held = [
            ("TOOLHIVE_OTEL_HEADER_A", ""),
            ("TOOLHIVE_OTEL_HEADER_B", "s3\ncret"),
            ("TOOLHIVE_OTEL_HEADER_HOST", "s3cret"),
            ("TOOLHIVE_OTEL_HEADER_", "s3cret"),
        ];
        let told = taken(&mut otlp, &held, None);
        assert_eq!(told.len(), 4, "{told:?}");
        for (told, expected) in told.iter().zip([
            "HEADER_ is named after no header that can be set",
            "HEADER_A is empty",
            "HEADER_B holds a character that no header may have",
            "HEADER_HOST is named after no header that can be set",
        ]) {
            assert!(told.contains(expected) && !told.contains("s3cret"), "{told}");
        }
        assert_eq!(otlp.headers.len(), 1);
    }

    /// As a kubelet lays out the volume of a ConfigMap.
    #[test]
    fn the_authority_is_the_one_file_that_is_mounted() {
        let folder = tempfile::tempdir().unwrap();
        let mut otlp = otlp(&[]);
        assert_eq!(taken(&mut otlp, &[], Some(&folder.path().join("none"))), [""; 0]);
        let volume = folder.path().join("otel-ca");
        fs::create_dir_all(volume.join("..2026")).unwrap();
        let pem = include_bytes!("../tests/authority.pem");
        fs::write(volume.join("..2026/ca.crt"), pem).unwrap();
        std::os::unix::fs::symlink("..2026", volume.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/ca.crt", volume.join("ca.crt")).unwrap();
        assert_eq!(taken(&mut otlp, &[], Some(folder.path())), [""; 0]);
        assert_eq!(otlp.ca_bundle.as_deref(), Some(&pem[..]));
        let mut other = self::otlp(&[]);
        fs::write(volume.join("more.crt"), pem).unwrap();
        let told = taken(&mut other, &[], Some(folder.path()));
        assert!(told.len() == 1 && told[0].contains("holds several files"), "{told:?}");
        fs::remove_file(volume.join("more.crt")).unwrap();
        fs::write(volume.join("..2026/ca.crt"), "no certificate").unwrap();
        let told = taken(&mut other, &[], Some(folder.path()));
        assert!(told.len() == 1 && told[0].contains("holds no PEM certificate"), "{told:?}");
    }
}
