//! Configurations of the gateway, put together piece by piece, and the art of waiting for it.

use std::{fmt::Write as _, path::Path, time::Duration};

use anyhow::Result;
use tokio::time::{Instant, sleep};

use crate::process::{Process, Program};

/// How long [`eventually`] waits before the test has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks.
const POLL: Duration = Duration::from_millis(5);

/// How names are made unless a test wants something else.
const PREFIX: &str =
    "conflictResolution: prefix\nconflictResolutionConfig: {prefixFormat: '{workload}_'}";

/// The configuration of a gateway that is not running yet.
#[derive(Clone, Debug)]
pub struct Gateway {
    backends: String,
    incoming: String,
    aggregation: String,
    sections: String,
}

impl Gateway {
    /// In front of backends, each with its name and URL. Tools and prompts get the backend's name
    /// as a prefix.
    pub fn before(backends: &[(&str, String)]) -> Self {
        let mut list = String::new();
        for (name, url) in backends {
            let _ = writeln!(list, "  - name: {name}\n    url: {url}");
        }
        Self {
            backends: list,
            incoming: "type: anonymous".to_owned(),
            aggregation: PREFIX.to_owned(),
            sections: String::new(),
        }
    }

    /// One more backend: `name: kid, command: python3`.
    #[must_use]
    pub fn backend(mut self, flow: &str) -> Self {
        let _ = writeln!(self.backends, "  - {{{flow}}}");
        self
    }

    /// Names stay as they are; who comes first in `order` wins.
    #[must_use]
    pub fn priority(self, order: &[&str]) -> Self {
        let order = order.join(", ");
        self.aggregation(&format!(
            "conflictResolution: priority\nconflictResolutionConfig: {{priorityOrder: [{order}]}}"
        ))
    }

    /// The whole section `aggregation`, not indented.
    #[must_use]
    pub fn aggregation(mut self, yaml: &str) -> Self {
        yaml.clone_into(&mut self.aggregation);
        self
    }

    /// Who may call: `type: local`.
    #[must_use]
    pub fn incoming(mut self, flow: &str) -> Self {
        flow.clone_into(&mut self.incoming);
        self
    }

    /// One more section: `limits: {streams: 1}`.
    #[must_use]
    pub fn with(mut self, yaml: &str) -> Self {
        self.sections.push_str(yaml);
        self.sections.push('\n');
        self
    }

    /// The configuration file.
    pub fn yaml(&self) -> String {
        let Self { backends, incoming, aggregation, sections } = self;
        let aggregation = aggregation.replace('\n', "\n  ");
        format!(
            "name: gateway\nincomingAuth: {{{incoming}}}\nbackends:\n{backends}aggregation:\n  {aggregation}\n{sections}"
        )
    }

    /// The program that serves it.
    pub fn program(&self, binary: impl AsRef<Path>) -> Program {
        Program::vmcp(binary.as_ref(), &self.yaml())
    }

    /// Starts it and waits until it is ready.
    pub async fn start(&self, binary: impl AsRef<Path>) -> Result<Process> {
        self.program(binary).start().await
    }
}

/// Looks again and again until there is something; panics when it takes too long.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain for {PATIENCE:?}: {what}");
        sleep(POLL).await;
    }
}
