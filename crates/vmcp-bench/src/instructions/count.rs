//! Counts the instructions of one path.
//!
//! callgrind is told to write down what it has counted so far, and to begin again, whenever vmcp is
//! about to accept a connection. A connection before and one behind the calls thus cut them out of
//! the life of one process. Other ways to tell it need either code in vmcp or ptrace, which is
//! forbidden in many containers.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Method;

use super::path::{Driver, Route};
use crate::{
    client::{Connection, ENDPOINT, Sender},
    party,
};

/// Calls that are not counted: what only the first ones cost is over by then.
const WARM_UP: u64 = 200;
/// Calls that are counted in a round.
const CALLS: u64 = 400;
/// Rounds, of which the middle one counts: how often vmcp is woken depends on what arrives together.
const ROUNDS: usize = 5;
/// The libc function that accepts connections.
const ACCEPT: &str = "accept4";

/// What all paths have in common.
#[derive(Debug)]
pub(super) struct Counter<'a> {
    pub(super) vmcp: PathBuf,
    pub(super) dir: &'a Path,
    /// Where a profile of the calls is left.
    pub(super) profiles: Option<PathBuf>,
    /// The fake backend.
    pub(super) backend: SocketAddr,
}

impl Counter<'_> {
    /// Instructions for one call.
    pub(super) async fn count(&self, path: &Route) -> Result<u64> {
        let parts = Parts { files: self.dir.join(path.file()) };
        let sections = path.setup.sections(self.backend, self.dir);
        let (options, urls) = (parts.options(), self.urls(path));
        let vmcp = party::vmcp_counted(&options, &self.vmcp, self.dir, &urls, &sections).await?;
        let mut connection = Connection::open(vmcp.address).await?;
        if let Some(token) = path.setup.credentials.token() {
            connection.show(token)?;
        }
        let mut driver = Driver::new(path.work, &mut connection).await?;
        for _ in 0..WARM_UP {
            driver.step(&mut connection).await?;
        }
        let mut cuts = vec![parts.cut(vmcp.address).await?];
        for _ in 0..ROUNDS {
            for _ in 0..CALLS {
                driver.step(&mut connection).await?;
            }
            cuts.push(parts.cut(vmcp.address).await?);
        }
        // The last part may still be being written until vmcp has ended.
        vmcp.stop().await?;

        let mut rounds: Vec<(u64, PathBuf)> =
            cuts.windows(2).map(|cuts| parts.sum(cuts[0], cuts[1])).collect::<Result<_>>()?;
        rounds.sort();
        let (total, profile) = &rounds[ROUNDS / 2];
        if let Some(profiles) = &self.profiles {
            fs::copy(profile, profiles.join(path.file()))?;
        }
        Ok(total / CALLS)
    }

    fn urls(&self, path: &Route) -> Vec<String> {
        let address = self.backend;
        match path.backends {
            1 => vec![format!("http://{address}{ENDPOINT}")],
            many => (0..many).map(|n| format!("http://{address}/many/{n}{ENDPOINT}")).collect(),
        }
    }
}

/// What callgrind writes: each part goes to a file of its own, with the part's number at its end.
struct Parts {
    files: PathBuf,
}

impl Parts {
    fn options(&self) -> [String; 2] {
        let files = self.files.display();
        [format!("--callgrind-out-file={files}"), format!("--dump-before={ACCEPT}")]
    }

    /// Connects, so that a part ends. Gives the number of the last one that has.
    async fn cut(&self, vmcp: SocketAddr) -> Result<u32> {
        let mut connection = Connection::open(vmcp).await?;
        // The answer proves that the connection has been accepted.
        connection.exchange(Method::GET, "/readyz", Sender::Stranger, Bytes::new()).await?;
        let mut parts = 0;
        while self.file(parts + 1).exists() {
            parts += 1;
        }
        ensure!(parts > 0, "callgrind sees no call of {ACCEPT}");
        Ok(parts)
    }

    /// The instructions of the parts behind one and up to another, and the file of the largest.
    fn sum(&self, before: u32, after: u32) -> Result<(u64, PathBuf)> {
        let mut totals = Vec::new();
        for part in before + 1..=after {
            totals.push((self.total(part)?, part));
        }
        let (_, largest) = totals.iter().max().context("callgrind has written nothing")?;
        Ok((totals.iter().map(|(total, _)| total).sum(), self.file(*largest)))
    }

    fn file(&self, part: u32) -> PathBuf {
        let mut file = self.files.clone().into_os_string();
        file.push(format!(".{part}"));
        file.into()
    }

    fn total(&self, part: u32) -> Result<u64> {
        let file = self.file(part);
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        total(&text).with_context(|| format!("no total in {}", file.display()))
    }
}

/// The instructions of all threads in one part.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().rev().find_map(|line| line.strip_prefix("totals:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::total;

    #[test]
    fn the_total_stands_at_the_end() {
        let text = "events: Ir\nsummary: 11\n\nfn=(1) main\n1 11\n\ntotals: 1141096\n";
        assert_eq!(total(text), Some(1_141_096));
    }

    #[test]
    fn a_file_that_breaks_off_has_none() {
        for text in ["", "events: Ir\nsummary: 11\n", "totals:\n", "totals: x\n"] {
            assert_eq!(total(text), None, "{text:?}");
        }
    }
}
