//! Where a request for completions goes: to the backend of what they are for.

use std::ops::Range;

use vmcp_model::{
    Kind,
    raw::{self, Members},
};
use vmcp_wire::{Fault, Message};

use crate::{
    caller::Caller,
    resolve::{Routed, Then, unknown},
    vmcp::Vmcp,
};

impl Vmcp {
    pub(crate) fn completion<'a>(
        &self,
        caller: &Caller<'a>,
        message: &'a Message,
    ) -> Result<Routed<'a>, Fault> {
        let span = message.params().reference.clone();
        let span = span.ok_or(Fault::InvalidParams("the parameter \"ref\" is missing".into()))?;
        let text = message.slice(&span);
        let Reference { kind, name, uri, name_span } = Reference::read(&text)?;
        let route = match (kind.as_str(), name, uri) {
            ("ref/prompt", Some(name), _) => {
                caller.find(Kind::Prompt, &name).ok_or_else(|| unknown("prompt", &name))?
            }
            ("ref/resource", _, Some(uri)) => {
                caller.catalog.resource(&uri).ok_or(Fault::ResourceNotFound { uri })?
            }
            (kind, ..) => {
                let why = format!("nothing can be completed for a reference of type {kind:?}");
                return Err(Fault::InvalidParams(why.into()));
            }
        };
        let name = name_span.map(|name| span.start + name.start..span.start + name.end);
        let name = name.filter(|_| kind == "ref/prompt");
        let mut routed = self.renamed(message, route, name.as_ref(), Then::Relay)?;
        // No header names it.
        routed.target = None;
        Ok(routed)
    }
}

/// What a completion is asked for.
pub(crate) struct Reference {
    pub(crate) kind: String,
    pub(crate) name: Option<String>,
    pub(crate) uri: Option<String>,
    name_span: Option<Range<usize>>,
}

impl Reference {
    /// Reads the parameter `ref`. Its backend is to read the same out of it.
    pub(crate) fn read(text: &[u8]) -> Result<Self, Fault> {
        let wrong = |why: &str| Fault::InvalidParams(format!("the parameter \"ref\" {why}").into());
        let shape = || wrong("must be a ref/prompt or ref/resource");
        let members = Members::parse(text).ok_or_else(shape)?;
        if let Some(name) = ["type", "name", "uri"].iter().find(|name| members.is_ambiguous(name)) {
            return Err(wrong(&format!("must not have {name:?} twice, in whatever case")));
        }
        let string = |name| match members.value(text, name) {
            None | Some(b"null") => Ok(None),
            Some(value) => raw::as_string(value).map(Some).ok_or_else(shape),
        };
        Ok(Self {
            kind: string("type")?.ok_or_else(shape)?,
            name: string("name")?,
            uri: string("uri")?,
            name_span: members.span("name"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_the_same_to_every_reader() {
        let prompt = Reference::read(br#"{"name":"p","type":"ref/prompt","uri":null}"#).unwrap();
        assert_eq!((&*prompt.kind, prompt.name.as_deref()), ("ref/prompt", Some("p")));
        assert_eq!((prompt.uri, prompt.name_span), (None, Some(8..11)));
        for text in [
            r#"{"type":"ref/resource","uri":"a","Uri":"b"}"#,
            r#"{"URI":"a","type":"ref/resource","uri":"b"}"#,
            r#"{"type":"ref/resource","uri":"a","uri":"b"}"#,
            r#"{"type":"ref/prompt","name":"a","na\u006de":"b"}"#,
            r#"{"type":"ref/prompt","Type":"ref/resource","name":"a"}"#,
            r#"{"type":"ref/prompt","name":7}"#,
            r#"{"name":"a"}"#,
            r#"["ref/prompt"]"#,
        ] {
            assert!(Reference::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
