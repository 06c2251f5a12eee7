//! What policies are made of, as the configuration gives it.

use vmcp_model::Digest;

/// What a [`Policy`](crate::Policy) is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name of this server: everything has the parent `MCP::"<server>"`.
    pub server: String,
    /// Texts in Cedar's own language. Each may hold any number of policies, which are named `policy0`,
    /// `policy1` and so on through all texts.
    pub policies: Vec<String>,
    /// Entities that policies may speak of: a JSON array in Cedar's own format. Those that a request makes
    /// stand before them.
    pub entities: Option<String>,
    /// The claim whose values are the caller's groups; a dot leads into objects. Without it, or where it is
    /// no array and no string, the first of `groups`, `roles` and `cognito:groups` that is one, if only empty.
    pub group_claim: Option<String>,
    /// A claim whose values are groups as well.
    pub role_claim: Option<String>,
    /// The entity type of groups.
    pub group_entity_type: String,
}

impl Settings {
    /// The entity type of groups where the configuration gives none.
    pub const GROUP_ENTITY_TYPE: &'static str = "THVGroup";

    /// Equal settings have equal digests.
    pub(crate) fn digest(&self) -> Digest {
        let Self { server, policies, entities, group_claim, role_claim, group_entity_type } = self;
        let optional = [entities, group_claim, role_claim].map(|text| match text {
            Some(text) => format!("={text}"),
            None => String::new(),
        });
        let texts = [server, group_entity_type].into_iter().chain(&optional).chain(policies);
        Digest::of_parts(texts.map(String::as_bytes))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: "vmcp".to_owned(),
            policies: Vec::new(),
            entities: None,
            group_claim: None,
            role_claim: None,
            group_entity_type: Self::GROUP_ENTITY_TYPE.to_owned(),
        }
    }
}
