//! Backends that can tell callers apart, as they are shown something of each caller's own.

use std::sync::Arc;

use http::HeaderName;
use vmcp_backend::Backend;
use vmcp_model::{Digest, Identity};

/// Those of all backends, and what they are passed.
#[derive(Debug)]
pub(crate) struct Apart {
    backends: Vec<Arc<Backend>>,
    /// Headers of callers' requests.
    passthrough: Arc<[HeaderName]>,
}

impl Apart {
    /// Those of these backends; `None` if there are none.
    pub(crate) fn of<'a>(all: impl Iterator<Item = &'a Arc<Backend>>) -> Option<Arc<Self>> {
        let backends: Vec<_> =
            all.filter(|backend| backend.tells_callers_apart()).cloned().collect();
        // Where there is a list, it is the same for all.
        let mut passed = backends.iter().map(|backend| backend.passthrough());
        let passthrough = passed.find(|passed| !passed.is_empty()).cloned().unwrap_or_default();
        (!backends.is_empty()).then(|| Arc::new(Self { backends, passthrough }))
    }

    /// By what they tell a caller apart from others. `None` if each is shown the same for it as for nobody.
    pub(crate) fn subject(&self, caller: &Identity) -> Option<Digest> {
        let mut keys =
            self.backends.iter().filter_map(|backend| backend.subject(caller)).peekable();
        keys.peek()?;
        let keys: Vec<_> = keys.collect();
        Some(Digest::of_parts(keys.iter().map(|key| key.as_bytes().as_slice())))
    }

    pub(crate) fn passthrough(&self) -> &[HeaderName] {
        &self.passthrough
    }
}
