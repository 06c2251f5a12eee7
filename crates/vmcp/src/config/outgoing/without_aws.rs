//! In the place of AWS's strategy, where vmcp is built without it.

use vmcp_credentials::Config as Outgoing;

use super::super::reader::Reader;

const KEYS: [&str; 9] = [
    "region",
    "service",
    "roleMappings",
    "fallbackRoleArn",
    "roleClaim",
    "sessionDuration",
    "sessionNameClaim",
    "stsEndpoint",
    "caBundlePath",
];

pub(super) fn assume_role(reader: &Reader<'_>) -> Option<Outgoing> {
    KEYS.iter().for_each(|key| reader.leave(key));
    if reader.is_present() {
        reader.problem(
            "is not part of this vmcp, which was built without it; use a released vmcp or its image, or build one with \
             cargo build --release --features aws",
        );
    }
    None
}
