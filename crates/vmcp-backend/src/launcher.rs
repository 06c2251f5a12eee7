//! Starts programs so that they end when vmcp does, however it does.
//!
//! On Linux the system sends a process a signal when the thread that has started it ends, if the process
//! asks for that (prctl(2), `PR_SET_PDEATHSIG`). So vmcp starts itself, which asks and then becomes the
//! program; and it does so on a thread that stays.

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    sync::{LazyLock, OnceLock, mpsc},
};

use rustix::{
    fs::{Access, access},
    io::Errno,
    process::{Pid, getpid, getppid},
};
use tokio::{
    process::{Child, Command},
    runtime::Handle,
    sync::oneshot,
};

use crate::config::Program;

/// The first argument of a process that is to become another program. Behind it stand the id of the
/// process that has started it, the program and its arguments.
pub const MARK: &str = "__become";

/// What is started in the place of programs.
static LAUNCHER: OnceLock<PathBuf> = OnceLock::new();

/// What is done on the thread that starts processes.
type Job = Box<dyn FnOnce() + Send>;

/// The way to that thread; `None` if it could not be started.
static THREAD: LazyLock<Option<mpsc::Sender<Job>>> = LazyLock::new(|| {
    let (jobs, todo) = mpsc::channel::<Job>();
    let work = move || todo.into_iter().for_each(|job| job());
    std::thread::Builder::new().name("starts".to_owned()).spawn(work).ok().map(|_stays| jobs)
});

/// Has programs started by this one, which calls [`become_program`] if its first argument is [`MARK`].
pub fn launch_by(launcher: PathBuf) {
    // A second time it is the same.
    let _set = LAUNCHER.set(launcher);
}

/// Becomes the program of these arguments, those behind [`MARK`]. It ends with the process that has
/// started it. Returns only if that fails.
pub fn become_program(mut arguments: impl Iterator<Item = OsString>) -> io::Error {
    let parent = arguments.next().and_then(|id| id.to_str()?.parse().ok()).and_then(Pid::from_raw);
    let Some(program) = arguments.next() else { return io::ErrorKind::InvalidInput.into() };
    if let Err(error) = end_with_parent() {
        return error;
    }
    if getppid() != parent {
        // It has ended before.
        return io::ErrorKind::BrokenPipe.into();
    }
    std::process::Command::new(program).args(arguments).exec()
}

#[cfg(target_os = "linux")]
fn end_with_parent() -> io::Result<()> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// Elsewhere there is no such signal, and vmcp does not start programs in this way.
#[cfg(not(target_os = "linux"))]
fn end_with_parent() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The command that starts a program.
pub(crate) fn command(program: &Program) -> io::Result<Command> {
    let Some(launcher) = LAUNCHER.get() else {
        let mut command = Command::new(&program.command);
        command.args(&program.args);
        return Ok(command);
    };
    find(program)?;
    let mut command = Command::new(launcher);
    let parent = getpid().as_raw_nonzero().to_string();
    command.arg(MARK).arg(parent).arg(&program.command).args(&program.args);
    Ok(command)
}

/// Starts a process, on the thread that stays.
pub(crate) async fn spawn(mut command: Command) -> io::Result<Child> {
    let Some(thread) = &*THREAD else { return command.spawn() };
    let (sender, spawned) = oneshot::channel();
    let runtime = Handle::current();
    let job = move || {
        let _entered = runtime.enter();
        // Whoever waited may be gone: then it ends with its handle.
        drop(sender.send(command.spawn()));
    };
    let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
    thread.send(Box::new(job)).map_err(|_gone| gone())?;
    spawned.await.unwrap_or_else(|_gone| Err(gone()))
}

/// Makes sure that there is such a program, as starting it would: its launcher finds out too late.
fn find(program: &Program) -> io::Result<()> {
    let is_there = |path: &Path| {
        access(path, Access::EXEC_OK)?;
        // Folders can be entered.
        if path.is_dir() { Err(Errno::ISDIR) } else { Ok(()) }
    };
    let found = if program.command.contains('/') {
        let directory = program.directory.as_deref().unwrap_or(Path::new(""));
        is_there(&directory.join(&program.command))
    } else {
        let path = program.variable("PATH").unwrap_or("/bin:/usr/bin");
        let mut found = Err(Errno::NOENT);
        for directory in path.split(':') {
            match is_there(&Path::new(directory).join(&program.command)) {
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => found = Err(error),
                Ok(()) => return Ok(()),
            }
        }
        found
    };
    found.map_err(io::Error::from)
}
