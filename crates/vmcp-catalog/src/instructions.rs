//! What the backends tell a client about how to use them, as one text.

use std::{collections::BTreeMap, sync::Arc};

use vmcp_model::{BackendId, Offer, declared::bounded_instructions};

/// The texts of all backends: one alone as it is, several each under its backend's heading.
/// A blank text counts as none.
pub(crate) fn merged(offers: &BTreeMap<BackendId, Arc<Offer>>) -> Option<Box<str>> {
    let texts: Vec<_> = offers
        .iter()
        .filter_map(|(backend, offer)| Some((backend, offer.instructions.as_deref()?)))
        .filter(|(_, text)| !text.trim().is_empty())
        .collect();
    match texts.as_slice() {
        [] => None,
        [(_, text)] => Some(bounded_instructions(text).into()),
        several => {
            let sections: Vec<_> = several
                .iter()
                .map(|(backend, text)| format!("## {backend}\n{}", bounded_instructions(text)))
                .collect();
            Some(sections.join("\n\n").into())
        }
    }
}

#[cfg(test)]
mod tests;
