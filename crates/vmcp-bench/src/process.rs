//! What a process has used, from `/proc`: CPU time and memory, its descendants included.
//!
//! nginx works in children of the process that was started, so every figure is a sum over a tree.
//! Threads need no such care: a process's figures include them.

use std::{collections::HashMap, fs};

use anyhow::{Context, Result};

/// CPU time (user and system) of a process tree so far, in seconds.
pub(crate) fn cpu_seconds(root: u32) -> Result<f64> {
    let ticks: u64 = tree(root)?.iter().map(|stat| stat.ticks).sum();
    #[expect(clippy::cast_precision_loss, reason = "2^53 ticks are three million years")]
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Resident memory of a process tree, in KiB.
pub(crate) fn resident_kib(root: u32) -> Result<u64> {
    let mut sum = 0;
    for stat in tree(root)? {
        // The figure in `stat` is kept per thread and may be off by megabytes; this one is counted.
        let path = format!("/proc/{}/smaps_rollup", stat.pid);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        sum += rss(&text).with_context(|| format!("{path} holds no Rss line"))?;
    }
    Ok(sum)
}

/// The fields of `/proc/<pid>/stat` that are of use here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    pid: u32,
    parent: u32,
    /// User and system time.
    ticks: u64,
}

/// A process and its descendants.
fn tree(root: u32) -> Result<Vec<Stat>> {
    let mut children: HashMap<u32, Vec<Stat>> = HashMap::new();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot list /proc")? {
        let path = entry.context("cannot list /proc")?.path().join("stat");
        // What is no process has no such file, and a process may end meanwhile.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let Some(stat) = stat(&text) else { continue };
        if stat.pid == root {
            found.push(stat);
        } else {
            children.entry(stat.parent).or_default().push(stat);
        }
    }
    anyhow::ensure!(!found.is_empty(), "process {root} has ended");
    let mut next = 0;
    while let Some(parent) = found.get(next) {
        found.extend(children.remove(&parent.pid).unwrap_or_default());
        next += 1;
    }
    Ok(found)
}

/// Reads a `stat` line. The command's name may hold spaces and brackets, so what follows it is
/// counted from the last bracket (proc(5)).
fn stat(text: &str) -> Option<Stat> {
    let (pid, _) = text.split_once(' ')?;
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let user: u64 = fields.nth(9)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Stat { pid: pid.parse().ok()?, parent, ticks: user + system })
}

/// Reads the `Rss` line of `smaps_rollup`, in KiB.
fn rss(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
