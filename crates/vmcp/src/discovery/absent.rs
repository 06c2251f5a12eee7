//! In the place of discovery, where vmcp is built without it: no configuration asks for it then.

use std::path::Path;

use crate::config::{Configuration, Problems};

/// Looks for backends: there is none that does.
pub(crate) enum Discovery {}

/// What is found.
#[derive(Debug)]
pub(crate) enum Found {}

/// The backends that were found last.
#[derive(Debug)]
pub(crate) enum Discovered {}

impl Discovery {
    pub(crate) async fn of(_configuration: &Configuration) -> anyhow::Result<Option<Self>> {
        Ok(None)
    }

    pub(crate) fn found(&self) -> Found {
        match *self {}
    }

    pub(crate) async fn run(self) {
        match self {}
    }
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
    pub(crate) fn load(
        &self,
        _path: &Path,
        _environment: &dyn Fn(&str) -> Option<String>,
        _note: &dyn Fn(&Path),
    ) -> Result<Configuration, Problems> {
        match *self {}
    }
}
