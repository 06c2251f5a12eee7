//! How a backend is reached: `transport`, and the keys that go with each kind of it.
//!
//! No message holds an argument, the value of a header or that of an environment variable.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use http::HeaderName;
use vmcp_backend::{Endpoint, Isolation, Program, Transport};
use vmcp_credentials::Config as Outgoing;

use super::{
    command, file,
    fixed_headers::{self, FixedHeaders},
    forwarded::Forwarded,
    inherited,
    proxy::proxy,
    reader::Reader,
    url,
    value::Value,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Http,
    Sse,
    Stdio,
}

/// How a backend is reached, as far as its own entry says it.
pub(super) struct Draft<'a> {
    /// `None` where the entry does not tell.
    pub(super) kind: Option<Kind>,
    /// What it is shown is not known yet. `None` where something has been reported.
    transport: Option<Transport>,
    headers: FixedHeaders<'a>,
    /// Where the program is named.
    pub(super) command: Option<Value<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    Directly,
}

/// The keys of one kind of transport alone.
pub(super) const OF_HTTP: [&str; 5] = ["url", "headers", "headersFromFile", "type", "caBundlePath"];
pub(super) const OF_STDIO: [&str; 7] =
    ["command", "args", "env", "passEnv", "cwd", "isolation", "processIdle"];

/// Reads the transport of a backend, which a variable gives these headers.
pub(super) fn read<'a>(reader: &Reader<'a>, forwarded: Vec<Forwarded<'a>>) -> Draft<'a> {
    let chosen = reader.choice("transport", &[Kind::Http, Kind::Sse, Kind::Stdio]);
    let kind = chosen.or_else(|| {
        // A misspelt command has company.
        let stdio = reader.has("command")
            || !reader.has("url") && OF_STDIO.iter().any(|key| reader.has(key));
        let by_keys = if stdio { Kind::Stdio } else { Kind::Http };
        // An unknown word has been reported, and says nothing about the other keys.
        (!reader.has("transport")).then_some(by_keys)
    });
    let (foreign, needed) = match kind {
        Some(Kind::Http | Kind::Sse) => (&OF_STDIO[..], "stdio"),
        Some(Kind::Stdio) => (&OF_HTTP[..], "streamable-http or sse"),
        None => (&[][..], ""),
    };
    for value in foreign.iter().filter_map(|key| reader.value(key)) {
        value.problem(format!("only takes effect with transport: {needed}"));
    }
    let headers = match kind {
        Some(Kind::Http | Kind::Sse) => fixed_headers::read(reader, forwarded),
        Some(Kind::Stdio) => {
            for header in forwarded {
                header.problem(
                    "only takes effect with transport: streamable-http or sse; a program gets its \
                     credentials in env",
                );
            }
            FixedHeaders::default()
        }
        None => FixedHeaders::default(),
    };
    let transport = match kind {
        Some(Kind::Http) => endpoint(reader, &headers).map(Transport::Http),
        Some(Kind::Sse) => endpoint(reader, &headers).map(Transport::Sse),
        Some(Kind::Stdio) => program(reader).map(Transport::Stdio),
        None => {
            for key in OF_HTTP.iter().chain(&OF_STDIO) {
                reader.leave(key);
            }
            None
        }
    };
    let command = reader.value("command");
    Draft { kind, transport, headers, command }
}

impl Draft<'_> {
    /// Puts a place that nothing is sent to where the real one is not known, or is a program that lacks what it is to
    /// be given.
    pub(super) fn stand_in(&mut self) {
        if !matches!(self.transport, Some(Transport::Http(_) | Transport::Sse(_))) {
            self.transport = Some(Transport::Http(Endpoint::nowhere()));
        }
    }

    /// Completes the transport by what the backend is shown.
    pub(super) fn finish(
        self,
        outgoing: Outgoing,
        passthrough: &Arc<[HeaderName]>,
    ) -> Option<Transport> {
        let mut transport = self.transport?;
        match &mut transport {
            Transport::Http(endpoint) | Transport::Sse(endpoint) => {
                self.headers.check(&outgoing, passthrough);
                endpoint.outgoing = outgoing;
                endpoint.passthrough = Arc::clone(passthrough);
            }
            Transport::Stdio(_) => {}
        }
        Some(transport)
    }
}

fn endpoint<'a>(reader: &Reader<'a>, headers: &FixedHeaders<'_>) -> Option<Endpoint> {
    let url = reader.value("url");
    if url.is_none() && reader.is_present() {
        reader.missing("url", "is required: the URL of its MCP endpoint");
    }
    let proxied = |value: Value<'a>| {
        let url = url::of_backend(&value)?;
        let proxy = proxy(&url, &|name| value.report().variable(name));
        Some((url, proxy.map_err(|why| value.problem(why)).ok()?))
    };
    let url = url.and_then(proxied);
    let ca_bundle = ca_bundle(reader);
    let (url, proxy) = url?;
    Some(Endpoint { headers: headers.map(), ca_bundle, proxy, ..Endpoint::plain(url) })
}

fn program(reader: &Reader<'_>) -> Option<Program> {
    let command = reader.value("command");
    if command.is_none() {
        reader.missing("command", "is required for transport: stdio");
    }
    let inherited = command.as_ref().map(|value| inherited::variables(value.report()));
    let inherited = inherited.into_iter().flatten().collect();
    let passed: Vec<_> = reader.texts("passEnv").iter().filter_map(passed).collect();
    let named = command.as_ref().and_then(|value| without_nul(value, value.text()?));
    let args = reader.items("args");
    let secrets = args.iter().flat_map(Value::variables).collect();
    let args: Vec<_> = args.iter().map(argument).collect();
    let env: Vec<_> =
        reader.pairs("env").iter().map(|(name, value)| variable(name, value)).collect();
    let isolation = reader.choice("isolation", &[Isolation::Session, Isolation::Shared]);
    let (cwd, idle) = (reader.value("cwd"), reader.time("processIdle"));
    let directory = match cwd {
        Some(value) => Some(directory(&value)?),
        None => None,
    };
    if let (Some(value), Some(name)) = (&command, &named) {
        command::check(value, name, directory.as_deref());
    }
    let mut environment: BTreeMap<_, _> = passed.into_iter().collect();
    environment.extend(env.into_iter().collect::<Option<Vec<_>>>()?);
    Some(Program {
        command: named?,
        args: args.into_iter().collect::<Option<_>>()?,
        secrets,
        inherited,
        env: environment,
        directory,
        isolation: isolation.unwrap_or(Isolation::Session),
        idle,
    })
}

fn argument(value: &Value<'_>) -> Option<String> {
    without_nul(value, value.any_text()?)
}

fn variable(name: &str, value: &Value<'_>) -> Option<(String, String)> {
    if name.is_empty() || name.contains(['=', '\0']) {
        value.problem("its key is not the name of an environment variable");
        return None;
    }
    value.warn_of_shell_variables();
    Some((name.to_owned(), without_nul(value, value.any_text()?)?))
}

/// A variable of vmcp's own environment, if it has it.
fn passed((value, name): &(Value<'_>, String)) -> Option<(String, String)> {
    if name.contains(['=', '\0']) {
        value.problem("is not the name of an environment variable");
        return None;
    }
    let content = value.report().variable(name);
    if content.is_none() {
        value
            .warning(format!("the environment variable {name} is not set, so it is not passed on"));
    }
    Some((name.clone(), content?))
}

/// The system takes no text with a NUL in it.
fn without_nul(value: &Value<'_>, text: String) -> Option<String> {
    if text.contains('\0') {
        value.problem("holds a NUL; remove it");
        return None;
    }
    Some(text)
}

fn directory(value: &Value<'_>) -> Option<PathBuf> {
    let text = without_nul(value, value.text()?)?;
    let path = Path::new(&text);
    if !path.is_absolute() {
        value.problem(format!("{} is not an absolute path", value.quoted()));
        return None;
    }
    if !path.is_dir() {
        value.problem(format!("{} is not a directory", value.quoted()));
        return None;
    }
    Some(path.to_owned())
}

fn ca_bundle(reader: &Reader<'_>) -> Option<Arc<[u8]>> {
    // It decides nothing here: ToolHive's operator leaves it out where it means it.
    reader.choice("type", &[Reached::Directly]);
    file::certificates(&reader.value("caBundlePath")?)
}
