//! Roles of AWS, as text.

use vmcp_credentials::AssumeRole;

#[cfg(feature = "aws")]
pub(super) fn shown(role: &AssumeRole) -> String {
    let AssumeRole { sts, ca_bundle, scope, roles, duration, session_name_claim } = role;
    let ca_bundle = ca_bundle.as_ref().map_or(0, |bytes| bytes.len());
    let (region, service) = (&scope.region, &scope.service);
    format!(
        "signed for {service} in {region} by keys of {sts} ca {ca_bundle} for {duration:?} as {session_name_claim} \
         by {roles:?}"
    )
}

#[cfg(not(feature = "aws"))]
pub(super) fn shown(role: &AssumeRole) -> String {
    match *role {}
}
