//! What the key pair of a replica is made from, by which its peers know that it belongs to them.

use ring::hkdf;

use crate::{ring::Key, seal::joined};

/// The seed of the Ed25519 key pair that belongs to a key of the ring, for one scope (HKDF-SHA-256, RFC 5869).
///
/// The scope says which deployment it is, so that deployments that share a key have different pairs. Each
/// part goes in with its length: no two scopes give the same seed.
pub fn peer_seed(key: &Key, scope: &[&[u8]]) -> [u8; 32] {
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&key.secret);
    let info = [b"vmcp peer".as_slice(), &joined(scope)];
    let mut seed = [0; 32];
    extracted
        .expand(&info, hkdf::HKDF_SHA256)
        .and_then(|expanded| expanded.fill(&mut seed))
        .expect("a seed is shorter than HKDF allows");
    seed
}

#[cfg(test)]
mod tests;
