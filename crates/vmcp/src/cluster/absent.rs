//! In the place of the cluster, where vmcp is built without it: no configuration asks for it then.

use std::path::Path;

use crate::{
    compose::Running,
    config::{Configuration, Problems},
};

/// Nothing of a cluster.
pub(crate) struct Cluster;

/// What is found.
#[derive(Debug)]
pub(crate) enum Found {}

/// The backends that were found last.
#[derive(Debug)]
pub(crate) enum Discovered {}

impl Cluster {
    pub(crate) async fn of(_configuration: &Configuration) -> anyhow::Result<Self> {
        Ok(Self)
    }

    #[expect(clippy::unused_self, reason = "as where there is a cluster")]
    pub(crate) fn found(&self) -> Option<Found> {
        None
    }

    pub(crate) async fn run(&mut self, _running: &Running) {
        std::future::pending().await
    }

    pub(crate) async fn leave(self) {}
}

impl Found {
    pub(crate) async fn changed(&mut self) {
        match *self {}
    }

    pub(crate) fn now(&self) -> Option<Discovered> {
        match *self {}
    }
}

impl Discovered {
    /// Reads a file with them. Also gives its text.
    pub(crate) fn load(
        &self,
        _path: &Path,
        _environment: &dyn Fn(&str) -> Option<String>,
        _note: &dyn Fn(&Path),
    ) -> Result<(Configuration, String), Problems> {
        match *self {}
    }

    /// Reads the text of such a file with them.
    pub(crate) fn reread(
        &self,
        _text: &str,
        _name: &str,
        _environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Configuration, Problems> {
        match *self {}
    }
}
