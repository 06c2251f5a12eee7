//! What the backends tell a client about how to use them, as one text.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use vmcp_model::{BackendId, Offer};

/// The longest instructions of one backend, in bytes. What is longer is cut at a character's
/// boundary, and a note says so.
pub const MAX_INSTRUCTIONS: usize = 16 * 1024;

const CUT: &str = "\n[cut: these instructions were too long]";

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
        [(_, text)] => Some(bounded(text).into()),
        several => {
            let sections: Vec<_> = several
                .iter()
                .map(|(backend, text)| format!("## {backend}\n{}", bounded(text)))
                .collect();
            Some(sections.join("\n\n").into())
        }
    }
}

fn bounded(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_INSTRUCTIONS {
        return text.into();
    }
    let end = text.floor_char_boundary(MAX_INSTRUCTIONS - CUT.len());
    Cow::Owned(text[..end].to_owned() + CUT)
}

#[cfg(test)]
mod tests;
