//! What a backend advertises.

use bytes::Bytes;

use crate::raw::{self, Members};

/// The four kinds of capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Tool,
    Resource,
    ResourceTemplate,
    Prompt,
}

/// One capability as its backend advertises it: the whole JSON object, in the backend's own bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    key: Box<str>,
    json: Bytes,
}

/// What one backend advertises to one view of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offer {
    /// The `capabilities` object of the backend's `initialize` result, in its own bytes.
    pub capabilities: Bytes,
    /// The `instructions` of the backend's `initialize` result.
    pub instructions: Option<Box<str>>,
    /// In the order that the backend lists them.
    pub tools: Vec<Item>,
    pub resources: Vec<Item>,
    pub templates: Vec<Item>,
    pub prompts: Vec<Item>,
}

/// Why an advertised capability cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidItem {
    /// Not a JSON object.
    NotAnObject,
    /// The member that names it is absent or not a string.
    Unnamed(&'static str),
    /// The member that names it stands there twice, so two readers could see two names.
    NamedTwice(&'static str),
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Tool, Self::Resource, Self::ResourceTemplate, Self::Prompt];

    /// The member that names a capability of this kind.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Tool | Self::Prompt => "name",
            Self::Resource => "uri",
            Self::ResourceTemplate => "uriTemplate",
        }
    }

    /// The method that lists this kind.
    pub const fn list_method(self) -> &'static str {
        match self {
            Self::Tool => "tools/list",
            Self::Resource => "resources/list",
            Self::ResourceTemplate => "resources/templates/list",
            Self::Prompt => "prompts/list",
        }
    }

    /// The member of a list result that holds the items.
    pub const fn list_member(self) -> &'static str {
        match self {
            Self::Tool => "tools",
            Self::Resource => "resources",
            Self::ResourceTemplate => "resourceTemplates",
            Self::Prompt => "prompts",
        }
    }

    /// What a person calls it.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Resource => "resource",
            Self::ResourceTemplate => "resource template",
            Self::Prompt => "prompt",
        }
    }
}

impl Item {
    /// Takes one element of a list result.
    pub fn parse(kind: Kind, json: Bytes) -> Result<Self, InvalidItem> {
        let members = Members::parse(&json).ok_or(InvalidItem::NotAnObject)?;
        if members.is_ambiguous(kind.key()) {
            return Err(InvalidItem::NamedTwice(kind.key()));
        }
        let key = members
            .value(&json, kind.key())
            .and_then(raw::as_string)
            .ok_or(InvalidItem::Unnamed(kind.key()))?;
        Ok(Self { key: key.into(), json })
    }

    /// The name, URI or URI template.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The whole object.
    pub fn json(&self) -> &Bytes {
        &self.json
    }
}

impl Offer {
    /// The items of one kind.
    pub fn items(&self, kind: Kind) -> &[Item] {
        match kind {
            Kind::Tool => &self.tools,
            Kind::Resource => &self.resources,
            Kind::ResourceTemplate => &self.templates,
            Kind::Prompt => &self.prompts,
        }
    }

    /// The items of one kind, to fill.
    pub fn items_mut(&mut self, kind: Kind) -> &mut Vec<Item> {
        match kind {
            Kind::Tool => &mut self.tools,
            Kind::Resource => &mut self.resources,
            Kind::ResourceTemplate => &mut self.templates,
            Kind::Prompt => &mut self.prompts,
        }
    }
}

impl std::fmt::Display for InvalidItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAnObject => f.write_str("not a JSON object"),
            Self::Unnamed(key) => write!(f, "has no string member {key:?}"),
            Self::NamedTwice(key) => write!(f, "has more than one member {key:?}"),
        }
    }
}

impl std::error::Error for InvalidItem {}
