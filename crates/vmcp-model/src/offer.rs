//! What a backend advertises.

use std::{borrow::Cow, fmt};

use bytes::Bytes;

use crate::{
    Era,
    legacy::{LegacyTool, legacy_tool},
    method::Method,
    raw::{self, Members},
    schema::{self, Unfit},
    sound::{self, Unsound},
};

/// The four kinds of capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Tool,
    Resource,
    ResourceTemplate,
    Prompt,
}

/// One capability as its backend advertises it: the whole JSON object, in the backend's own bytes, and
/// what clients of each era can read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    key: Box<str>,
    json: Bytes,
    /// For legacy clients and for modern ones; `None` if both read it as it is.
    readings: Option<Box<[Reading; 2]>>,
}

/// What clients of an era read of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reading {
    AsIs,
    As(Readable),
    /// They would refuse the whole list for it.
    Unfit(Unfit),
}

/// An item as clients of an era can read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readable {
    /// The whole object.
    pub json: Bytes,
    /// A tool's output schema is left out, because they could not read it.
    pub lacks_output: bool,
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
    /// What it advertises beside, and nobody can use.
    pub left_out: Vec<LeftOut>,
}

/// Something that a backend advertises and that nobody can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Of a list, or else something that the backend declares of itself.
    pub of: Option<Kind>,
    /// What it is called, as far as that can be told, and not longer than [`LeftOut::NAME`].
    pub name: Box<str>,
    /// A sentence about it: `its title is not a string`.
    pub why: Box<str>,
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
    /// It is longer than [`Item::LIMIT`].
    TooLong,
    /// It is JSON that some reader refuses.
    Unsound(Unsound),
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
    pub const fn list_method(self) -> Method {
        match self {
            Self::Tool => Method::ToolsList,
            Self::Resource => Method::ResourcesList,
            Self::ResourceTemplate => Method::ResourcesTemplatesList,
            Self::Prompt => Method::PromptsList,
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
    /// The longest item that anybody is shown, in bytes.
    pub const LIMIT: usize = 1024 * 1024;

    /// Takes one element of a list result, which was read on this `side` of its backend.
    ///
    /// # Errors
    /// If clients of no era could use it, whatever is made of it.
    pub fn parse(kind: Kind, side: Era, json: Bytes) -> Result<Self, InvalidItem> {
        let members = Members::parse(&json).ok_or(InvalidItem::NotAnObject)?;
        if members.is_ambiguous(kind.key()) {
            return Err(InvalidItem::NamedTwice(kind.key()));
        }
        let key = members
            .value(&json, kind.key())
            .and_then(raw::as_string)
            .ok_or(InvalidItem::Unnamed(kind.key()))?;
        if json.len() > Self::LIMIT {
            return Err(InvalidItem::TooLong);
        }
        sound::check(&json).map_err(InvalidItem::Unsound)?;
        let readings = readings(kind, side, &json);
        Ok(Self { key: key.into(), json, readings })
    }

    /// Gives items memory of their own, all in one piece. Until then each holds what it was read from,
    /// in which there may be much beside them: white space, items that are left out.
    pub fn gather(items: &mut [Self]) {
        let whole: Vec<_> = items.iter().map(|item| &item.json[..]).collect();
        let mut rest = Bytes::from(whole.concat());
        for item in items {
            item.json = rest.split_to(item.json.len());
        }
    }

    /// Puts other bytes, which must be equal, in the place of those that the item holds: `copy` gives them.
    /// So equal items of many offers can be in memory once.
    pub fn share(&mut self, mut copy: impl FnMut(&Bytes) -> Bytes) {
        self.json = copy(&self.json);
        for reading in self.readings.iter_mut().flat_map(|readings| readings.iter_mut()) {
            match reading {
                Reading::As(Readable { json, .. }) => *json = copy(json),
                Reading::AsIs | Reading::Unfit(_) => {}
            }
        }
    }

    /// The name, URI or URI template.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The whole object, as its backend wrote it.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// What clients of an era can read of it.
    ///
    /// # Errors
    /// If they would refuse it, and the whole list with it.
    pub fn readable(&self, era: Era) -> Result<Readable, &Unfit> {
        let as_is = || Readable { json: self.json.clone(), lacks_output: false };
        let Some(readings) = &self.readings else { return Ok(as_is()) };
        match &readings[era as usize] {
            Reading::AsIs => Ok(as_is()),
            Reading::As(readable) => Ok(readable.clone()),
            Reading::Unfit(why) => Err(why),
        }
    }
}

/// What clients of each era read of an item, if that differs from what its backend wrote.
fn readings(kind: Kind, side: Era, json: &Bytes) -> Option<Box<[Reading; 2]>> {
    let modern = match schema::fitted(kind, json) {
        Ok(modern) => modern,
        Err(why) => return Some(Box::new([Reading::Unfit(why.clone()), Reading::Unfit(why)])),
    };
    let text = modern.as_ref().unwrap_or(json);
    let legacy = match kind {
        Kind::Tool => match legacy_tool(text, side == Era::Modern) {
            Ok(LegacyTool { json: read, lacks_output }) if lacks_output || read != *json => {
                Reading::As(Readable { json: read, lacks_output })
            }
            Ok(_) => Reading::AsIs,
            Err(why) => Reading::Unfit(why),
        },
        Kind::Resource | Kind::ResourceTemplate | Kind::Prompt => Reading::of(modern.clone()),
    };
    let modern = Reading::of(modern);
    (legacy != Reading::AsIs || modern != Reading::AsIs).then(|| Box::new([legacy, modern]))
}

impl Reading {
    fn of(changed: Option<Bytes>) -> Self {
        let readable = |json| Readable { json, lacks_output: false };
        changed.map_or(Self::AsIs, |json| Self::As(readable(json)))
    }
}

impl LeftOut {
    /// The longest name that is told, in characters.
    pub const NAME: usize = 200;

    /// Something that is left out, by its name.
    pub fn new(of: Option<Kind>, name: &str, why: &impl fmt::Display) -> Self {
        Self { of, name: Self::shortened(name).into(), why: why.to_string().into() }
    }

    /// A name that is not too long to be told.
    pub fn shortened(name: &str) -> Cow<'_, str> {
        match name.char_indices().nth(Self::NAME) {
            Some((end, _)) => Cow::Owned(format!("{}…", &name[..end])),
            None => Cow::Borrowed(name),
        }
    }

    /// An element of a list; `index` counts from 0.
    pub fn of_list(kind: Kind, index: usize, json: &[u8], why: &InvalidItem) -> Self {
        let name = Members::parse(json)
            .and_then(|members| members.value(json, kind.key()).and_then(raw::as_string));
        let name = name.unwrap_or_else(|| format!("#{}", index + 1));
        Self::new(Some(kind), &name, why)
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

impl fmt::Display for InvalidItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => f.write_str("it is not an object"),
            Self::Unnamed(key) => write!(f, "its {key} is missing or not a string"),
            Self::NamedTwice(key) => write!(f, "its {key} stands there twice"),
            Self::TooLong => write!(f, "it is longer than {} bytes", Item::LIMIT),
            Self::Unsound(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for InvalidItem {}

#[cfg(test)]
mod tests;
