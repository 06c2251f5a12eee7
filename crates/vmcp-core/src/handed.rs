//! What an answer hands out of resources that no list may have.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use vmcp_model::{Digest, linked, raw::Members};

/// Bytes of an answer that is looked at.
const SMALL: usize = 64 << 10;

/// How many one answer may hand out.
const MOST: usize = 64;

/// Finds what stands in every answer that hands something out. Made once: it costs more than the search.
static MARKS: LazyLock<[Finder<'_>; 2]> =
    LazyLock::new(|| [b"\"resource".as_slice(), b"ui://"].map(Finder::new));

/// Digests of the URIs that a response hands out.
pub fn handed_out(response: &[u8]) -> Vec<Digest> {
    // Nearly all have none.
    if response.len() > SMALL || MARKS.iter().all(|mark| mark.find(response).is_none()) {
        return Vec::new();
    }
    let result = Members::parse(response).and_then(|members| members.value(response, "result"));
    let uris = linked::of_result(result.unwrap_or_default(), MOST);
    uris.iter().map(|uri| Digest::of(uri.as_bytes())).collect()
}
