//! Backends that are child processes (specification 2025-11-25, basic/transports, "stdio"): one
//! message a line, on standard input and output.
//!
//! A process leads a group of its own, so that what it starts ends with it. Its environment is what
//! configuration gives it. What it writes to standard error goes to the log.

mod effort;
mod group;
mod lines;
mod overlong;
mod stderr;
mod words;

use std::{io, process::Stdio, sync::Arc, time::Duration};

use bytes::Bytes;
use rustix::process::Signal;
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, ChildStderr, ChildStdin, ChildStdout},
    sync::mpsc,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use vmcp_model::BackendId;

use crate::{
    config::Program,
    error::Error,
    launcher,
    link::{Link, Outbox},
    secrets::Secrets,
};
pub(crate) use effort::{Effort, effort};
use group::Group;
pub(crate) use words::Words;

/// Messages that wait to be written. Who has more to say waits.
const OUTGOING: usize = 16;

/// How long a process has to end after its standard input is closed, and again after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// How long what a process has written is still read after its end: something that it has started
/// may hold the other end.
const REST: Duration = Duration::from_secs(1);

/// A process that runs.
pub(crate) struct Process {
    child: Child,
    group: Group,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
    outgoing: mpsc::Receiver<Bytes>,
    backend: BackendId,
    words: Arc<Words>,
}

/// How a process ended.
pub(crate) struct End {
    /// Whether it ended by itself.
    pub(crate) unasked: bool,
    /// How that was, and what it has said about it.
    pub(crate) why: String,
}

/// What stopped the normal work with a process.
enum Stop {
    /// It ended.
    Ended(io::Result<std::process::ExitStatus>),
    /// It cannot be spoken to any more.
    Unusable(String),
    /// It is not needed any more.
    Asked,
}

/// Starts a process.
pub(crate) async fn start(
    program: &Program,
    backend: &BackendId,
    secrets: &Arc<Secrets>,
) -> Result<(Process, Outbox), Error> {
    let not_started = |error: io::Error| Error::Unreachable(not_started(program, &error));
    let mut command = launcher::command(program).map_err(not_started)?;
    command
        .env_clear()
        .envs(&program.inherited)
        .envs(&program.env)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(directory) = &program.directory {
        command.current_dir(directory);
    }
    let mut child = launcher::spawn(command).await.map_err(not_started)?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(group), (Some(stdin), Some(stdout), Some(stderr))) = (Group::of(&child), pipes)
    else {
        return Err(Error::Unreachable("its program ended at once".to_owned()));
    };
    let (lines, outgoing) = mpsc::channel(OUTGOING);
    let backend = backend.clone();
    let words = Arc::new(Words::new(Arc::clone(secrets)));
    let process = Process { child, group, stdin, stdout, stderr, outgoing, backend, words };
    Ok((process, Outbox::Lines(lines)))
}

impl Process {
    /// The id of the process.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// What it writes that is no message.
    pub(crate) fn words(&self) -> &Arc<Words> {
        &self.words
    }

    /// Carries messages both ways until the process has ended, and its group with it. Once `hurry` is
    /// cancelled it has no time to end by itself.
    pub(crate) async fn drive(
        self,
        link: Arc<Link>,
        line_bytes: usize,
        hurry: CancellationToken,
    ) -> End {
        let Self { mut child, group, stdin, stdout, stderr, outgoing, backend, words } = self;
        let (mut reading, mut chatter, mut writing) =
            (JoinSet::new(), JoinSet::new(), JoinSet::new());
        reading.spawn(lines::read(stdout, Arc::clone(&link), Arc::clone(&words), line_bytes));
        chatter.spawn(stderr::follow(stderr, Arc::clone(&link), Arc::clone(&words)));
        writing.spawn(write(stdin, outgoing));
        let stop = tokio::select! {
            () = link.closing().cancelled() => Stop::Asked,
            why = end_of(&mut reading) => Stop::Unusable(why),
            why = closed(&mut writing) => Stop::Unusable(why),
            status = child.wait() => Stop::Ended(status),
        };
        // No new call begins; its standard input is closed.
        link.close();
        writing.shutdown().await;
        let unasked = !matches!(stop, Stop::Asked);
        let why = match stop {
            Stop::Asked => {
                end(&mut child, &group, &hurry).await;
                "was closed".to_owned()
            }
            Stop::Unusable(why) => {
                end(&mut child, &group, &hurry).await;
                why
            }
            Stop::Ended(Ok(status)) => format!("ended ({status})"),
            Stop::Ended(Err(error)) => format!("was lost: {error}"),
        };
        // What it has started ends with it.
        group.kill().await;
        let rest = async {
            while reading.join_next().await.is_some() {}
            while chatter.join_next().await.is_some() {}
        };
        // Something that left the group may hold the other end for as long as it likes.
        let _cut = tokio::time::timeout(REST, rest).await;
        let said = if unasked { words.reason() } else { None };
        let told = said.as_ref().map_or_else(|| why.clone(), |said| format!("{why}: {said}"));
        if unasked {
            // Of one that has never served, whoever has started it says what came of it.
            if link.has_served() {
                tracing::warn!(%backend, "the program {told}; it is started again when it is needed");
            } else {
                tracing::info!(%backend, "the program {told}; it is started again when it is needed");
            }
        }
        link.end(why, said);
        End { unasked, why: told }
    }
}

/// Writes messages until there are no more, or the process reads no more.
async fn write(mut stdin: ChildStdin, mut outgoing: mpsc::Receiver<Bytes>) {
    while let Some(line) = outgoing.recv().await {
        if stdin.write_all(&line).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}

/// Waits until nothing more can be read, and gives the reason.
async fn end_of(reading: &mut JoinSet<Result<(), String>>) -> String {
    match reading.join_next().await {
        Some(Ok(Err(why))) => why,
        Some(Ok(Ok(())) | Err(_)) | None => {
            // It has most likely ended, which says more.
            tokio::time::sleep(REST).await;
            "closed its standard output".to_owned()
        }
    }
}

/// Waits until nothing more can be written, and gives the reason.
async fn closed(writing: &mut JoinSet<()>) -> String {
    let _written = writing.join_next().await;
    // It has most likely ended, which says more.
    tokio::time::sleep(REST).await;
    "closed its standard input".to_owned()
}

/// Ends a process whose standard input is closed: it has some time to end by itself, some after
/// SIGTERM, and none after SIGKILL, which comes at once in a hurry.
async fn end(child: &mut Child, group: &Group, hurry: &CancellationToken) {
    for signal in [Signal::TERM, Signal::KILL] {
        let in_time = tokio::time::timeout(GRACE, child.wait());
        if let Some(Ok(_ended)) = hurry.run_until_cancelled(in_time).await {
            return;
        }
        group.signal(if hurry.is_cancelled() { Signal::KILL } else { signal });
    }
    if let Err(error) = child.wait().await {
        tracing::warn!(%error, "a process could not be waited for");
    }
}

fn not_started(program: &Program, error: &io::Error) -> String {
    let command = &program.command;
    let hint = match (error.kind(), &program.directory) {
        (io::ErrorKind::NotFound, Some(directory)) if !directory.is_dir() => {
            format!("; the directory {} does not exist", directory.display())
        }
        (io::ErrorKind::NotFound, _) if command.contains(char::is_whitespace) => {
            "; put arguments into args".to_owned()
        }
        (io::ErrorKind::NotFound, _) => "; is it installed, and in PATH?".to_owned(),
        (io::ErrorKind::PermissionDenied, _) => "; is it executable (chmod +x)?".to_owned(),
        _ => String::new(),
    };
    format!("cannot start {command:?}: {error}{hint}")
}
