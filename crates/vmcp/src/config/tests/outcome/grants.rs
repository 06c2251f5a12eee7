//! Where tokens for backends come from, as text.

use vmcp_credentials::{
    Client, ClientProof, CrossApp, Grant, TokenEndpoint, TokenExchange, Wanted,
};

pub(super) fn shown(grant: &Grant) -> String {
    match grant {
        Grant::ClientCredentials { endpoint, wanted } => {
            format!("token of {} for {}", of_endpoint(endpoint), of_wanted(wanted))
        }
        Grant::TokenExchange(exchange) => {
            let TokenExchange { endpoint, wanted, subject_token_type, requested_token_type } =
                exchange;
            format!(
                "{} for {} of {} for {}",
                requested_token_type.name(),
                subject_token_type.name(),
                of_endpoint(endpoint),
                of_wanted(wanted)
            )
        }
        Grant::OnBehalfOf { endpoint, scopes } => {
            format!("on behalf of callers of {} for {scopes:?}", of_endpoint(endpoint))
        }
        Grant::CrossApp(CrossApp { provider, target, audience, resource, scopes }) => format!(
            "assertion of {} for {audience} {} and token of {} for {scopes:?}",
            of_endpoint(provider),
            resource.as_deref().unwrap_or("-"),
            of_endpoint(target)
        ),
    }
}

fn of_endpoint(endpoint: &TokenEndpoint) -> String {
    let TokenEndpoint { url, client: Client { id, proof }, ca_bundle } = endpoint;
    let proof = match proof {
        ClientProof::None => "nothing".to_owned(),
        ClientProof::Basic(secret) => format!("basic {:?}", secret.expose()),
        ClientProof::Post(secret) => format!("post {:?}", secret.expose()),
        ClientProof::Key(key) => format!("{key:?}"),
    };
    let ca_bundle = ca_bundle.as_ref().map_or(0, |bytes| bytes.len());
    format!("{url} as {id:?} by {proof} ca {ca_bundle}")
}

fn of_wanted(Wanted { scopes, audience, resource }: &Wanted) -> String {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    format!("{scopes:?} {} {}", or_none(audience), or_none(resource))
}
