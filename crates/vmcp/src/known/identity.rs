//! Which file holds what is known of the backends of a command line.

use vmcp_backend::{Config, Program, Transport};
use vmcp_model::Digest;

use crate::config::Configuration;

/// The name of the file. It is a digest of all that decides what is offered: what is run and where, what
/// is connected to, and the credentials that are shown.
///
/// Secrets are among that, and names of files are shown in messages. So the digest is made with a secret
/// key of the user's own: without it nobody can try out what a secret might be.
pub(super) fn name(key: &[u8], configuration: &Configuration) -> String {
    let backends = configuration.backends.iter();
    let backends = backends.map(|backend| of_backend(&backend.config));
    let backends: Vec<Digest> = backends.collect();
    let parts = [b"vmcp known offers".as_slice(), key].into_iter();
    Digest::of_parts(parts.chain(backends.iter().map(|digest| digest.as_bytes().as_slice())))
        .to_string()
}

fn of_backend(config: &Config) -> Digest {
    let (kind, digest) = match &config.transport {
        Transport::Http(endpoint) => ("http", endpoint.identity()),
        Transport::Sse(endpoint) => ("sse", endpoint.identity()),
        Transport::Stdio(program) => ("stdio", of_program(program)),
    };
    Digest::of_parts([config.id.as_str().as_bytes(), kind.as_bytes(), digest.as_bytes()])
}

fn of_program(program: &Program) -> Digest {
    // A program without a directory runs in vmcp's own.
    let directory = program.directory.clone().or_else(|| std::env::current_dir().ok());
    let directory = directory.unwrap_or_default();
    let mut parts: Vec<&[u8]> = vec![b"program", program.command.as_bytes()];
    parts.push(directory.as_os_str().as_encoded_bytes());
    for argument in &program.args {
        parts.extend([b"argument".as_slice(), argument.as_bytes()]);
    }
    // What every program inherits differs from terminal to terminal, and from shell to shell.
    for (name, value) in &program.env {
        parts.extend([b"variable".as_slice(), name.as_bytes(), value.as_bytes()]);
    }
    Digest::of_parts(parts)
}
