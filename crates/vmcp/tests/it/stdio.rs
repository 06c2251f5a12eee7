//! Backends that are child processes: what they are given, what becomes of them, and what they
//! cannot do to anybody else.

mod ends;
mod idle;
mod kept;
mod shared;
mod slow_starts;
mod talk;

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
};

use vmcp_testkit::{
    CHILD,
    client::{Client, Message},
    gateway::{Gateway, eventually},
    process::Process,
};

use crate::serve;

/// A gateway in front of one program, called `kid`.
struct Kid {
    process: Process,
    tag: String,
}

/// Starts a gateway. `habits` are arguments of the program, `keys` more keys of the backend.
async fn kid(habits: &str, keys: &str, sections: &str) -> Kid {
    let (gateway, tag) = gateway(habits, keys);
    let process = serve(&gateway.with(sections)).await;
    Kid { process, tag }
}

/// The configuration, and what marks the processes of this test among all others.
fn gateway(habits: &str, keys: &str) -> (Gateway, String) {
    static TESTS: AtomicUsize = AtomicUsize::new(0);
    let number = TESTS.fetch_add(1, Ordering::Relaxed);
    let tag = format!("--of-test={}-{number}", std::process::id());
    let backend = format!("name: kid, command: python3, args: ['{CHILD}', {habits}'{tag}']{keys}");
    (Gateway::before(&[]).backend(&backend), tag)
}

impl Kid {
    async fn client(&self) -> Client {
        Client::connect(&self.process.url()).await.unwrap()
    }

    /// The processes that run, zombies included.
    fn processes(&self) -> Vec<i32> {
        processes(&self.tag)
    }

    async fn until_processes(&self, count: usize) {
        let what = format!("{count} processes");
        eventually(&what, async || (self.processes().len() == count).then_some(())).await;
    }

    /// A process of its own for each session, and one for each kind of client.
    async fn status(&self) -> serde_json::Value {
        let (_, body) = vmcp_testkit::client::fetch(&self.process.url_of("/status")).await.unwrap();
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()["backends"][0].clone()
    }
}

/// The processes with this argument. A zombie has lost its arguments: the children of a gateway are
/// looked at by [`zombies`].
pub(crate) fn processes(tag: &str) -> Vec<i32> {
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let entry = entry.ok()?;
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let arguments = fs::read(entry.path().join("cmdline")).ok()?;
        let own = arguments.split(|byte| *byte == 0).any(|argument| argument == tag.as_bytes());
        own.then_some(pid)
    });
    all.collect()
}

/// The children of a process that have ended and were not waited for.
fn zombies(parent: i32) -> usize {
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let stat = fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_whitespace();
        let zombie = fields.next() == Some("Z");
        (zombie && fields.next()?.parse() == Ok(parent)).then_some(())
    });
    all.count()
}

fn is_running(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z")))
}

/// The text of a tool's result.
fn text(answer: &Message) -> String {
    let json = answer.json();
    let text = json["result"]["content"][0]["text"].as_str();
    text.unwrap_or_else(|| panic!("no text: {json}")).to_owned()
}

/// The message of an error.
fn error(answer: &Message) -> String {
    let json = answer.json();
    let text = json["error"]["message"].as_str();
    text.unwrap_or_else(|| panic!("no error: {json}")).to_owned()
}
