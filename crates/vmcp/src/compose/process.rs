//! What the process uses of its machine, under the names that Prometheus has for it.

use std::fs;

use vmcp_telemetry::{catalogue::process, family::Family};

/// What it uses now. `None` where the system does not tell.
#[derive(Debug, Default)]
pub(super) struct Process {
    cpu_seconds: Option<f64>,
    resident_bytes: Option<u64>,
    virtual_bytes: Option<u64>,
    files: Option<u64>,
    max_files: Option<u64>,
    threads: Option<u64>,
    started: Option<f64>,
}

impl Process {
    /// Asks the system (proc(5)).
    pub(super) fn now() -> Self {
        let Ok(stat) = fs::read_to_string("/proc/self/stat") else { return Self::default() };
        // The name in parentheses may hold anything.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // Counted from 1, and the first two are gone.
        let field =
            |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok());
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let seconds = |field: u64| field as f64 / ticks;
        let page = rustix::param::page_size() as u64;
        let booted = fs::read_to_string("/proc/stat").ok().and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
            line.trim().parse::<f64>().ok()
        });
        let files = fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64);
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Self {
            cpu_seconds: field(14).zip(field(15)).map(|(user, system)| seconds(user + system)),
            resident_bytes: field(24).map(|pages| pages * page),
            virtual_bytes: field(23),
            files,
            max_files: limit,
            threads: field(20),
            started: field(22).zip(booted).map(|(ticks, booted)| booted + seconds(ticks)),
        }
    }

    pub(super) fn families(self) -> Vec<Family> {
        let Self { cpu_seconds, resident_bytes, virtual_bytes, files, max_files, threads, started } =
            self;
        let all = [
            cpu_seconds.map(|seconds| process::CPU.number(seconds)),
            resident_bytes.map(|bytes| process::RESIDENT_MEMORY.number(bytes)),
            virtual_bytes.map(|bytes| process::VIRTUAL_MEMORY.number(bytes)),
            files.map(|count| process::OPEN_FILES.number(count)),
            max_files.map(|count| process::MAX_FILES.number(count)),
            threads.map(|count| process::THREADS.number(count)),
            started.map(|seconds| process::START_TIME.number(seconds)),
        ];
        all.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_what_it_uses() {
        let process = Process::now();
        assert!(process.resident_bytes.unwrap() > 1 << 20, "{process:?}");
        assert!(process.virtual_bytes.unwrap() >= process.resident_bytes.unwrap());
        assert!(process.files.unwrap() < process.max_files.unwrap());
        assert!(process.threads.unwrap() >= 1);
        assert!(process.started.unwrap() > 1e9);
        assert_eq!(process.families().len(), 7);
    }
}
