//! Texts that somebody else keeps, and must neither read nor change.
//!
//! A sealed text is the name of the key, a salt, and the ciphertext. Each text is encrypted under a
//! key of its own, derived from the ring's key and the salt (HKDF-SHA-256, RFC 5869), so that no
//! nonce can repeat (ChaCha20-Poly1305, RFC 8439). What it stands for is authenticated with it: a
//! text that is moved to another place does not open.

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    hkdf,
    rand::{SecureRandom as _, SystemRandom},
};

use crate::ring::{Key, KeyRing};

const SALT: usize = 16;
const HEAD: usize = 4 + SALT;

/// Seals a text for one place.
pub fn seal(ring: &KeyRing, place: &[&[u8]], text: &[u8]) -> Vec<u8> {
    let key = &ring.current;
    let mut sealed = Vec::with_capacity(HEAD + text.len() + CHACHA20_POLY1305.tag_len());
    sealed.extend_from_slice(&key.id.to_be_bytes());
    let mut salt = [0; SALT];
    SystemRandom::new().fill(&mut salt).expect("the system has randomness");
    sealed.extend_from_slice(&salt);
    let mut body = text.to_vec();
    derived(key, &salt)
        .seal_in_place_append_tag(nonce(), Aad::from(joined(place)), &mut body)
        .expect("a text is shorter than the cipher allows");
    sealed.extend_from_slice(&body);
    sealed
}

/// Opens what was sealed for the same place. `None` if it was not, or under a key that is not known.
pub fn open(ring: &KeyRing, place: &[&[u8]], sealed: &[u8]) -> Option<Vec<u8>> {
    let (head, body) = sealed.split_at_checked(HEAD)?;
    let (id, salt) = head.split_first_chunk()?;
    let key = ring.get(u32::from_be_bytes(*id))?;
    let mut body = body.to_vec();
    let text = derived(key, salt).open_in_place(nonce(), Aad::from(joined(place)), &mut body);
    let length = text.ok()?.len();
    body.truncate(length);
    Some(body)
}

/// The index of the last byte that names the key, counted from 0, in digits: a store that gives the
/// beginning of a text is asked for that much.
pub const KEY_END: &[u8] = b"3";

/// Whether what begins like this is sealed under the ring's current key.
pub fn is_by_current(ring: &KeyRing, beginning: &[u8]) -> bool {
    beginning == ring.current.id.to_be_bytes()
}

fn derived(key: &Key, salt: &[u8]) -> LessSafeKey {
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(&key.secret);
    let expanded = extracted.expand(&[b"vmcp seal"], &CHACHA20_POLY1305);
    LessSafeKey::new(UnboundKey::from(expanded.expect("a key is shorter than HKDF allows")))
}

/// The same for all: every key is used once.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// Parts with their lengths, so that no two places are the same.
pub(crate) fn joined(place: &[&[u8]]) -> Vec<u8> {
    let mut joined = Vec::new();
    for part in place {
        joined.extend_from_slice(&(part.len() as u64).to_be_bytes());
        joined.extend_from_slice(part);
    }
    joined
}

#[cfg(test)]
mod tests;
