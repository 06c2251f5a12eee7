//! How many instructions vmcp executes for one call of each of its hottest paths, held against what
//! was recorded: the guard against getting slower unnoticed.
//!
//! Time on a shared machine is too uncertain to fail a test by; instructions are not. callgrind
//! counts those of the whole process in user space, whatever else the machine does.
//!
//! The parts: [`path`] is what is counted, [`count`] a process that counts, [`baseline`] what was recorded and the comparison.

use std::{fs, io::Write, path::PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use self::{
    baseline::Baseline,
    count::Counter,
    path::{PATHS, Route},
};
use crate::party;

mod baseline;
mod count;
mod path;

/// Where the baseline is, for `--record` as for the check.
const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");

/// What is asked of one run.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A vmcp that was built with the `release` profile.
    #[arg(long, value_name = "PATH")]
    vmcp: PathBuf,
    /// Record what is counted as the new baseline, instead of comparing.
    #[arg(long)]
    record: bool,
    /// Only the paths whose name holds this text.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Keep callgrind's files in this directory, for `callgrind_annotate --inclusive=yes`.
    #[arg(long, value_name = "DIR")]
    profiles: Option<PathBuf>,
}

/// Counts all paths, and compares or records. Gives whether all is as it was recorded.
pub(crate) async fn run(arguments: Arguments) -> Result<bool> {
    let Arguments { vmcp, record, only, profiles } = arguments;
    let vmcp = vmcp.canonicalize().with_context(|| format!("no {}", vmcp.display()))?;
    let paths: Vec<&Route> = PATHS.iter().filter(|path| path.name.contains(&only)).collect();
    ensure!(!paths.is_empty(), "no path's name holds {only:?}");

    let made_with = made_with().await?;
    let dir = TempDir::with_prefix("vmcp-bench-").context("cannot make a directory")?;
    if let Some(dir) = &profiles {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let backend = party::backend(dir.path(), 1).await?;
    let counter = Counter { vmcp, dir: dir.path(), profiles, backend: backend.address };
    let counts = counted(&counter, &paths).await?;
    backend.stop().await?;
    let now = Baseline { made_with, counts };
    if record { recorded(now, &only) } else { compared(&now, &only) }
}

/// Two at a time: counting is slow, and does not depend on what else this machine does.
async fn counted(counter: &Counter<'_>, paths: &[&Route]) -> Result<Vec<(String, u64)>> {
    let count = async |path: &Route| {
        writeln!(std::io::stderr(), "counting {}", path.name)?;
        let count = counter.count(path).await.context(path.name)?;
        anyhow::Ok((path.name.to_owned(), count))
    };
    let mut counts = Vec::new();
    for pair in paths.chunks(2) {
        match pair {
            [one, other] => {
                counts.extend(<[_; 2]>::from(tokio::try_join!(count(one), count(other))?))
            }
            last => {
                for path in last {
                    counts.push(count(path).await?);
                }
            }
        }
    }
    Ok(counts)
}

fn recorded(now: Baseline, only: &str) -> Result<bool> {
    let before = match fs::read_to_string(BASELINE) {
        Ok(text) => Baseline::parse(&text)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Baseline::default(),
        Err(error) => return Err(error).context(BASELINE),
    };
    let text = before.renewed(now, only).to_string();
    fs::write(BASELINE, &text).context(BASELINE)?;
    write!(std::io::stdout(), "{text}")?;
    Ok(true)
}

fn compared(now: &Baseline, only: &str) -> Result<bool> {
    let text = fs::read_to_string(BASELINE).context(BASELINE)?;
    let comparison = Baseline::parse(&text).context(BASELINE)?.compare(now, only);
    write!(std::io::stdout(), "{comparison}")?;
    Ok(comparison.is_good())
}

/// What the counts depend on besides vmcp itself.
async fn made_with() -> Result<String> {
    let mut versions = Vec::new();
    for command in
        [&["rustc", "--version"], &["valgrind", "--version"], &["getconf", "GNU_LIBC_VERSION"]]
    {
        versions.push(first_line(command).await?);
    }
    Ok(versions.join(", "))
}

async fn first_line([program, argument]: &[&str; 2]) -> Result<String> {
    let output = tokio::process::Command::new(program).arg(argument).output().await;
    let output = output.with_context(|| format!("cannot start {program}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}
