//! Programs whose clock is another than the machine's, and can be set while they run. Their monotonic
//! clocks are right.

use std::{fs, os::unix::fs::FileExt as _, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::process::Program;

/// A library that is preloaded into them.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/clock.c");

/// A clock that can be set while programs go by it.
#[derive(Debug)]
pub struct TestClock {
    folder: TempDir,
}

impl TestClock {
    /// One that is ahead of the machine's by so many seconds. Needs a C compiler, as Rust does.
    pub fn ahead(seconds: i64) -> Result<Self> {
        let clock = Self { folder: tempfile::Builder::new().prefix("vmcp-clock-").tempdir()? };
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(clock.library()).arg(SOURCE);
        let compiled = compile.output().context("run cc")?;
        ensure!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        fs::write(clock.file(), [0; 8])?;
        clock.set_ahead(seconds)?;
        Ok(clock)
    }

    /// Lets it be ahead by another time, at once.
    pub fn set_ahead(&self, seconds: i64) -> Result<()> {
        let file = fs::File::options().write(true).open(self.file())?;
        Ok(file.write_all_at(&(seconds * 1_000_000_000).to_ne_bytes(), 0)?)
    }

    /// The same program, which goes by this clock.
    pub fn over(&self, program: Program) -> Program {
        program
            .environment("LD_PRELOAD", &self.library().to_string_lossy())
            .environment("TEST_CLOCK", &self.file().to_string_lossy())
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("clock.so")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ahead")
    }
}
