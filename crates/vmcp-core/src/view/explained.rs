//! Why a caller does not find what it names.

use vmcp_model::Method;
use vmcp_wire::{Fault, Message};

use super::{OfferStatus, View};
use crate::rights::Granted;

impl View {
    /// What a caller is told who names a tool or prompt that is not there: if it begins with the name of a backend
    /// whose lists could not be read for this caller, why that is. Where policies say what callers may do, it is
    /// not told which backends there are.
    pub fn explained(&self, granted: &Granted, message: &Message, fault: Fault) -> Fault {
        let is_unknown = matches!(fault, Fault::InvalidParams(_))
            && matches!(message.method(), Some(Method::ToolsCall | Method::PromptsGet));
        if !is_unknown || self.client.subject().is_none() || granted.grant.is_some() {
            return fault;
        }
        let name = message.string(message.params().name.as_ref()).unwrap_or_default();
        let offers = self.offers();
        let failed = offers.backends.iter().filter_map(|(id, state)| match &state.status {
            OfferStatus::Failed(why) if state.offer.is_none() && id.owns(&name) => Some((id, why)),
            _ => None,
        });
        // Of `a` and `a_b`, the latter has `a_b_c`.
        let failed = failed.max_by_key(|(id, _)| id.as_str().len());
        failed.map_or(fault, |(backend, why)| Fault::Backend {
            backend: backend.to_string(),
            reason: why.clone().into(),
        })
    }
}
