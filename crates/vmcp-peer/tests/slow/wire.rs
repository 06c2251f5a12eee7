//! Two network namespaces with a wire between them.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    os::fd::AsFd as _,
    process::{Child, Command, Stdio},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// They end with this, or with the test.
pub(crate) struct Wire {
    script: Child,
    /// Processes that stand at either end.
    holders: [String; 2],
}

/// An end of the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    First,
    Second,
}

impl Wire {
    pub(crate) fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test makes network namespaces, for which it has to be root: run it by sudo"
        );
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slow/namespaces.sh");
        let mut script =
            Command::new(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let holders: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Self { script, holders: holders.try_into().expect("the script tells of two processes") }
    }

    /// Moves this thread to an end of the wire, for good.
    pub(crate) fn enter(&self, end: End) {
        let namespace = File::open(self.namespace(end)).unwrap();
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// Runs a command of the shell at an end of the wire.
    pub(crate) fn within(&self, end: End, command: &str) {
        let namespace = format!("--net={}", self.namespace(end));
        let ended =
            Command::new("nsenter").args([&*namespace, "sh", "-c", command]).status().unwrap();
        assert!(ended.success(), "{command:?}: {ended}");
    }

    fn namespace(&self, end: End) -> String {
        format!("/proc/{}/ns/net", self.holders[end as usize])
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.script.stdin.take());
        let _ended = self.script.wait();
    }
}
