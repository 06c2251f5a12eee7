//! The entity types and actions that this server makes entities of.

use cedar_policy::{Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};

/// The entity types.
pub(crate) struct Kinds {
    pub(crate) client: EntityTypeName,
    pub(crate) tool: EntityTypeName,
    pub(crate) prompt: EntityTypeName,
    pub(crate) resource: EntityTypeName,
    pub(crate) method: EntityTypeName,
    pub(crate) server: EntityTypeName,
    pub(crate) backend: EntityTypeName,
    pub(crate) group: EntityTypeName,
    action: EntityTypeName,
}

impl Kinds {
    pub(crate) fn new(group: EntityTypeName) -> Self {
        let of = |name: &str| name.parse().expect("each is a plain identifier");
        Self {
            client: of("Client"),
            tool: of(Action::Call.kind()),
            prompt: of(Action::Get.kind()),
            resource: of(Action::Read.kind()),
            method: of(Action::Send.kind()),
            server: of("MCP"),
            backend: of("Backend"),
            group,
            action: of("Action"),
        }
    }

    /// What an action is done with.
    pub(crate) fn of(&self, action: Action) -> &EntityTypeName {
        match action {
            Action::Call => &self.tool,
            Action::Get => &self.prompt,
            Action::Read => &self.resource,
            Action::Send => &self.method,
        }
    }

    pub(crate) fn action(&self, action: Action) -> EntityUid {
        uid(&self.action, action.name())
    }
}

/// The entity of this type with this name.
pub(crate) fn uid(kind: &EntityTypeName, name: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(name))
}

/// What is done with something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Call,
    Get,
    Read,
    Send,
}

impl Action {
    pub(crate) const ALL: [Self; 4] = [Self::Call, Self::Get, Self::Read, Self::Send];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Call => "call_tool",
            Self::Get => "get_prompt",
            Self::Read => "read_resource",
            Self::Send => "send_request",
        }
    }

    /// The type of what it is done with.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Call => "Tool",
            Self::Get => "Prompt",
            Self::Read => "Resource",
            Self::Send => "Method",
        }
    }

    /// What it is called on what it is done with.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Get => "get",
            Self::Read => "read",
            Self::Send => "send",
        }
    }

    pub(crate) fn feature(self) -> &'static str {
        match self {
            Self::Call => "tool",
            Self::Get => "prompt",
            Self::Read => "resource",
            Self::Send => "method",
        }
    }

    /// Its entity, which nothing in the configuration changes.
    pub(crate) fn entity(self, kinds: &Kinds) -> Entity {
        let operation = RestrictedExpression::new_string(self.name().to_owned());
        let attributes = [("operation".to_owned(), operation)].into();
        let entity = Entity::new(kinds.action(self), attributes, [].into());
        entity.expect("a string is a value")
    }
}
