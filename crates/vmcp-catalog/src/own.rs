//! Tools of vmcp's own: clients see them among those of the backends, and vmcp answers them itself.

use std::fmt;

use bytes::Bytes;
use vmcp_model::{Era, Item, Kind, Readable};

/// A tool of vmcp's own, by what it does. What it is called stands in its definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OwnTool {
    /// Tells which backends are there, how they fare and what is missing.
    Status,
}

/// A tool of vmcp's own with the definition that clients see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnItem {
    tool: OwnTool,
    name: Box<str>,
    /// What clients of each era read.
    legacy: Bytes,
    modern: Bytes,
}

/// A definition of an own tool that some client could not read. `Display` says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidOwnItem(Box<str>);

impl OwnTool {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Status];

    /// What it is called in a stored catalog. It never changes, as other replicas read it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Status => "status",
        }
    }

    /// The tool that a stored catalog calls so.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.text() == text)
    }
}

impl OwnItem {
    /// Takes the definition of a tool: the JSON object that stands in a list, with the tool's name.
    ///
    /// # Errors
    /// If clients of some era could not read it whole, or if it has no name.
    pub fn new(tool: OwnTool, json: Bytes) -> Result<Self, InvalidOwnItem> {
        let item = Item::parse(Kind::Tool, Era::Modern, json).map_err(InvalidOwnItem::new)?;
        if item.key().is_empty() {
            return Err(InvalidOwnItem("its name is empty".into()));
        }
        let read = |era| {
            let Readable { json, lacks_output } =
                item.readable(era).map_err(InvalidOwnItem::new)?;
            match lacks_output {
                true => Err(InvalidOwnItem("its outputSchema cannot be put into an object".into())),
                false => Ok(json),
            }
        };
        let (legacy, modern) = (read(Era::Legacy)?, read(Era::Modern)?);
        Ok(Self { tool, name: item.key().into(), legacy, modern })
    }

    /// What it does.
    pub fn tool(&self) -> OwnTool {
        self.tool
    }

    /// The name that clients call it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The definition as clients of an era read it.
    pub(crate) fn readable(&self, era: Era) -> &Bytes {
        match era {
            Era::Legacy => &self.legacy,
            Era::Modern => &self.modern,
        }
    }
}

impl InvalidOwnItem {
    fn new(why: impl fmt::Display) -> Self {
        Self(why.to_string().into())
    }
}

impl fmt::Display for InvalidOwnItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the definition of a tool of vmcp's own cannot be used: {}", self.0)
    }
}

impl std::error::Error for InvalidOwnItem {}
