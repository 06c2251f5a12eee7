//! How busy a program is. One that only waits, for whatever it may be, slows nobody down.

use std::fs;

/// How many processes of a program are looked at.
const PROCESSES: usize = 64;

/// What the processes of a program have done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Effort {
    /// Processor time, in ticks of the system's clock.
    pub(crate) ticks: u64,
    /// Some process would go on if it had a processor, or the disk.
    pub(crate) is_busy: bool,
}

/// What a process and those that it has started have done. `None` where the system does not say
/// (Linux does: proc(5), `/proc/PID/stat` and `/proc/PID/task/TID/children`).
pub(crate) fn effort(process: u32) -> Option<Effort> {
    let mut all = vec![process];
    let mut effort = of_one(process)?;
    let mut next = 0;
    while let Some(parent) = all.get(next).copied() {
        next += 1;
        for child in children(parent) {
            if all.len() >= PROCESSES {
                return Some(effort);
            }
            let Some(own) = of_one(child) else { continue };
            all.push(child);
            effort.ticks += own.ticks;
            effort.is_busy |= own.is_busy;
        }
    }
    Some(effort)
}

fn of_one(process: u32) -> Option<Effort> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    // User and system time of its own, and of children that have ended.
    let times = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().unwrap_or(0));
    Some(Effort { ticks: times.sum(), is_busy: matches!(fields.first(), Some(&("R" | "D"))) })
}

fn children(process: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let listed = listed.unwrap_or_default();
    listed.split_ascii_whitespace().filter_map(|child| child.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        process::{Child, Command},
        time::sleep,
    };

    use super::effort;

    fn shell(script: &str) -> (Child, u32) {
        let child = Command::new("sh").args(["-c", script]).kill_on_drop(true).spawn().unwrap();
        let id = child.id().unwrap();
        (child, id)
    }

    #[tokio::test]
    async fn what_a_program_has_started_counts() {
        // What runs is a child of the shell, and ends by itself.
        let (_child, id) = shell("timeout 20 sh -c 'while :; do :; done'; true");
        while effort(id).unwrap().ticks < 10 {
            sleep(Duration::from_millis(20)).await;
        }
        for child in super::children(id) {
            let killed = Command::new("kill").arg(child.to_string()).status().await;
            assert!(killed.unwrap().success());
        }
    }

    #[tokio::test]
    async fn what_waits_is_not_busy() {
        let (_child, id) = shell("exec sleep 100");
        loop {
            let before = effort(id).unwrap();
            sleep(Duration::from_millis(50)).await;
            if effort(id).unwrap() == before && !before.is_busy {
                return;
            }
        }
    }

    #[test]
    fn what_is_not_there_has_done_nothing() {
        assert_eq!(effort(u32::MAX), None);
    }
}
