//! What a modern server was asked, as numbers.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{sync::watch, time::timeout};

/// How long a test waits for a number.
const PATIENCE: Duration = Duration::from_secs(60);

/// Counts since the server started.
#[derive(Debug, Default)]
pub struct Counters {
    requests: Mutex<BTreeMap<String, u64>>,
    executions: Mutex<BTreeMap<String, u64>>,
    abandoned: watch::Sender<u64>,
}

impl Counters {
    /// Requests and notifications received with this method, whatever became of them.
    pub fn requests(&self, method: &str) -> u64 {
        read(&self.requests, method)
    }

    /// How often the code behind a tool, prompt or resource has run. What was refused, or answered
    /// by [`super::Server::next`], has not.
    pub fn executions(&self, key: &str) -> u64 {
        read(&self.executions, key)
    }

    /// Requests whose client left before it had its answer.
    pub fn abandoned(&self) -> u64 {
        *self.abandoned.borrow()
    }

    /// Waits until so many requests were left by their clients.
    pub async fn until_abandoned(&self, count: u64) -> Result<()> {
        let mut abandoned = self.abandoned.subscribe();
        let reached = timeout(PATIENCE, abandoned.wait_for(|now| *now >= count)).await;
        reached.with_context(|| format!("{} were left, not {count}", self.abandoned()))??;
        Ok(())
    }

    pub(super) fn requested(&self, method: &str) {
        add(&self.requests, method);
    }

    pub(super) fn executed(&self, key: &str) {
        add(&self.executions, key);
    }

    pub(super) fn left(&self) {
        self.abandoned.send_modify(|abandoned| *abandoned += 1);
    }
}

fn add(map: &Mutex<BTreeMap<String, u64>>, key: &str) {
    let mut map = map.lock().expect("no code panics while it counts");
    *map.entry(key.to_owned()).or_default() += 1;
}

fn read(map: &Mutex<BTreeMap<String, u64>>, key: &str) -> u64 {
    map.lock().expect("no code panics while it counts").get(key).copied().unwrap_or(0)
}
