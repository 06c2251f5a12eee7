//! What the specification says of the items of lists, as far as readers depend on it.
//!
//! A client reads a list as a whole, so one member of another type than the specification gives it takes
//! the whole list away. Members that it does not name pass. The tables follow `schema.ts` of revisions
//! 2025-11-25 and 2026-07-28.

use std::fmt;

use bytes::Bytes;

use crate::{
    Kind,
    legacy::is_schema_of_object,
    raw::{self, Edit, Member, Members, same_name},
};

mod date;

/// What a known member must be.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Text,
    Boolean,
    /// Any object.
    Object,
    /// An absolute URI, as RFC 3986 and the URL standard read it.
    Uri,
    /// From 0 to 1.
    Fraction,
    /// A number of bytes. What is no whole number is left out, as many readers take no other.
    Size,
    /// A text. What is no date and time of ISO 8601 is left out, as many readers take no other.
    Moment,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// An array of such texts.
    AnyOf(&'static [&'static str]),
    Texts,
    /// An object with known members of its own.
    Record(&'static [Field]),
    Records(&'static [Field]),
    /// The schema of an object.
    ObjectSchema,
}

/// A known member.
#[derive(Debug, Clone, Copy)]
struct Field {
    name: &'static str,
    shape: Shape,
    is_required: bool,
}

/// Why a value is not what the specification says: where, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// `icons[0].src`; empty if it is about the whole.
    path: String,
    what: &'static str,
}

/// A value as all readers take it.
enum Fitted {
    AsIs,
    As(Bytes),
    /// Left out.
    Absent,
}

const fn required(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, is_required: true }
}

const fn optional(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, is_required: false }
}

const META: Field = optional("_meta", Shape::Object);
const NAME: Field = required("name", Shape::Text);
const TITLE: Field = optional("title", Shape::Text);
const DESCRIPTION: Field = optional("description", Shape::Text);
const MIME_TYPE: Field = optional("mimeType", Shape::Text);
const ICONS: Field = optional(
    "icons",
    Shape::Records(&[
        required("src", Shape::Text),
        MIME_TYPE,
        optional("sizes", Shape::Texts),
        optional("theme", Shape::OneOf(&["light", "dark"])),
    ]),
);
const ANNOTATIONS: Field = optional(
    "annotations",
    Shape::Record(&[
        optional("audience", Shape::AnyOf(&["user", "assistant"])),
        optional("priority", Shape::Fraction),
        optional("lastModified", Shape::Moment),
    ]),
);

const TOOL: &[Field] = &[
    NAME,
    TITLE,
    DESCRIPTION,
    ICONS,
    META,
    required("inputSchema", Shape::ObjectSchema),
    // Revision 2026-07-28 does not name it, but models of official SDKs read it in either era.
    optional(
        "execution",
        Shape::Record(&[optional(
            "taskSupport",
            Shape::OneOf(&["forbidden", "optional", "required"]),
        )]),
    ),
    optional("outputSchema", Shape::Record(&[optional("$schema", Shape::Text)])),
    optional(
        "annotations",
        Shape::Record(&[
            TITLE,
            optional("readOnlyHint", Shape::Boolean),
            optional("destructiveHint", Shape::Boolean),
            optional("idempotentHint", Shape::Boolean),
            optional("openWorldHint", Shape::Boolean),
        ]),
    ),
];

const RESOURCE: &[Field] = &[
    required("uri", Shape::Uri),
    NAME,
    TITLE,
    DESCRIPTION,
    MIME_TYPE,
    optional("size", Shape::Size),
    ANNOTATIONS,
    ICONS,
    META,
];

const TEMPLATE: &[Field] = &[
    required("uriTemplate", Shape::Text),
    NAME,
    TITLE,
    DESCRIPTION,
    MIME_TYPE,
    ANNOTATIONS,
    ICONS,
    META,
];

const PROMPT: &[Field] = &[
    NAME,
    TITLE,
    DESCRIPTION,
    optional(
        "arguments",
        Shape::Records(&[NAME, TITLE, DESCRIPTION, optional("required", Shape::Boolean)]),
    ),
    ICONS,
    META,
];

const TASKS: &[Field] = &[
    optional("list", Shape::Object),
    optional("cancel", Shape::Object),
    optional(
        "requests",
        Shape::Record(&[optional("tools", Shape::Record(&[optional("call", Shape::Object)]))]),
    ),
];

/// An item as modern readers take it. Known members that are `null` count as absent and are left out,
/// and so are sizes and dates that many readers could not take; `None` if it stays as it is.
///
/// # Errors
/// If they do not take it. Then legacy ones do not either.
pub(crate) fn fitted(kind: Kind, json: &[u8]) -> Result<Option<Bytes>, Unfit> {
    let fields = match kind {
        Kind::Tool => TOOL,
        Kind::Resource => RESOURCE,
        Kind::ResourceTemplate => TEMPLATE,
        Kind::Prompt => PROMPT,
    };
    record(json, fields).map(Fitted::changed)
}

/// Looks at what a server says of its tasks.
///
/// # Errors
/// If it is not as revision 2025-11-25 has it.
pub(crate) fn fitted_tasks(tasks: &[u8]) -> Result<(), Unfit> {
    record(tasks, TASKS).map(|_as_it_is| ())
}

fn record(json: &[u8], fields: &[Field]) -> Result<Fitted, Unfit> {
    let members = Members::parse(json).ok_or(Unfit::new("is not an object"))?;
    let (mut edits, mut absent): (Vec<Edit>, Vec<&str>) = (Vec::new(), Vec::new());
    for field in fields {
        let Some(Member { name, value }) = only(&members, field)? else { continue };
        let text = &json[value.clone()];
        if text == b"null" && !field.is_required {
            absent.push(name);
            continue;
        }
        match field.shape.fitted(text).map_err(|unfit| unfit.within(field.name))? {
            Fitted::AsIs => {}
            Fitted::As(with) => edits.push(Edit { span: value.clone(), with }),
            Fitted::Absent => absent.push(name),
        }
    }
    if edits.is_empty() && absent.is_empty() {
        return Ok(Fitted::AsIs);
    }
    let json = raw::splice(json, edits);
    let absent = |name: &str| absent.contains(&name);
    Ok(Fitted::As(raw::without(&json, absent)))
}

/// The only member that some reader takes for this one.
fn only<'a>(members: &'a Members, field: &Field) -> Result<Option<&'a Member>, Unfit> {
    let mut found = members.iter().filter(|member| same_name(&member.name, field.name));
    let member = found.next();
    if found.next().is_some() {
        return Err(Unfit::new("stands there twice").within(field.name));
    }
    match member {
        Some(member) if *member.name == *field.name => Ok(Some(member)),
        Some(_) | None if field.is_required => Err(Unfit::new("is missing").within(field.name)),
        member => Ok(member),
    }
}

fn elements(json: &[u8], fitted: impl Fn(&[u8]) -> Result<Fitted, Unfit>) -> Result<Fitted, Unfit> {
    let spans = raw::elements(json).ok_or(Unfit::new("is not an array"))?;
    let mut edits = Vec::new();
    for (index, span) in spans.into_iter().enumerate() {
        match fitted(&json[span.clone()]).map_err(|unfit| unfit.at(index))? {
            Fitted::As(with) => edits.push(Edit { span, with }),
            Fitted::AsIs | Fitted::Absent => {}
        }
    }
    Ok(if edits.is_empty() { Fitted::AsIs } else { Fitted::As(raw::splice(json, edits)) })
}

impl Fitted {
    fn changed(self) -> Option<Bytes> {
        match self {
            Self::As(json) => Some(json),
            Self::AsIs | Self::Absent => None,
        }
    }
}

impl Shape {
    fn fitted(self, json: &[u8]) -> Result<Fitted, Unfit> {
        let is_text = json.starts_with(b"\"");
        let is_number = matches!(json.first(), Some(b'-' | b'0'..=b'9'));
        let (is_fit, what) = match self {
            Self::Text => (is_text, "is not a string"),
            Self::Boolean => (matches!(json, b"true" | b"false"), "is not true or false"),
            Self::Object => (json.starts_with(b"{"), "is not an object"),
            Self::Uri => (is_uri(json), "is not a URI"),
            Self::Fraction => {
                let value = std::str::from_utf8(json).ok().and_then(|text| text.parse().ok());
                let fits = |value: f64| (0.0..=1.0).contains(&value);
                (is_number && value.is_some_and(fits), "is not a number from 0 to 1")
            }
            Self::Size if is_number && !json.iter().all(u8::is_ascii_digit) => {
                return Ok(Fitted::Absent);
            }
            // Beyond this, readers lose digits or have no room.
            Self::Size if is_number && json.len() > 15 => return Ok(Fitted::Absent),
            Self::Size => (is_number, "is not a number"),
            Self::Moment if is_text && !date::is_date_time(json) => return Ok(Fitted::Absent),
            Self::Moment => (is_text, "is not a string"),
            Self::OneOf(texts) => {
                (is_one_of(json, texts), "is none of the values that it may have")
            }
            Self::AnyOf(texts) => {
                let text = |json: &[u8]| match is_one_of(json, texts) {
                    true => Ok(Fitted::AsIs),
                    false => Err(Unfit::new("is none of the values that it may have")),
                };
                return elements(json, text);
            }
            Self::Texts => return elements(json, |json| Self::Text.fitted(json)),
            Self::Record(fields) => return record(json, fields),
            Self::Records(fields) => return elements(json, |json| record(json, fields)),
            Self::ObjectSchema => {
                let fitted = record(json, &[optional("$schema", Self::Text)])?;
                return match is_schema_of_object(json) {
                    true => Ok(fitted),
                    false => Err(Unfit::new("is not the schema of an object")),
                };
            }
        };
        if is_fit { Ok(Fitted::AsIs) } else { Err(Unfit::new(what)) }
    }
}

fn is_one_of(json: &[u8], texts: &[&str]) -> bool {
    raw::as_string(json).is_some_and(|text| texts.contains(&&*text))
}

fn is_uri(json: &[u8]) -> bool {
    raw::as_string(json).is_some_and(|text| text.is_empty() || url::Url::parse(&text).is_ok())
}

impl Unfit {
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { path: String::new(), what }
    }

    pub(crate) fn within(self, name: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        Self { path: format!("{name}{separator}{}", self.path), ..self }
    }

    fn at(self, index: usize) -> Self {
        let separator = if self.path.is_empty() { "" } else { "." };
        Self { path: format!("[{index}]{separator}{}", self.path), ..self }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "it {}", self.what),
            path => write!(f, "its {path} {}", self.what),
        }
    }
}

impl std::error::Error for Unfit {}

#[cfg(test)]
mod tests;
