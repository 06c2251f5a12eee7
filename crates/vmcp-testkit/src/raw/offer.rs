//! What a raw server offers: definitions as literal bytes, each with the handler behind it.

use serde::Deserialize;

use super::call::Call;

/// The four kinds of capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Tools,
    Resources,
    Templates,
    Prompts,
}

/// One capability: its key (name, URI or URI template), its definition, and what answers for it.
#[derive(Clone)]
struct Offered<H> {
    key: String,
    definition: String,
    handler: H,
}

/// Everything that one server offers, in the order it was added.
#[derive(Clone)]
pub(crate) struct Offer<H> {
    entries: Vec<(Kind, Offered<H>)>,
}

impl Kind {
    /// The member of a list result that holds capabilities of this kind.
    pub(crate) fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
            Self::Prompts => "prompts",
        }
    }

    /// The notification that says that a list of this kind changed.
    pub(crate) fn list_changed(self) -> &'static str {
        match self {
            Self::Tools => "notifications/tools/list_changed",
            Self::Resources | Self::Templates => "notifications/resources/list_changed",
            Self::Prompts => "notifications/prompts/list_changed",
        }
    }
}

impl<H> Default for Offer<H> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<H: Clone> Offer<H> {
    pub(crate) fn add(&mut self, kind: Kind, definition: &str, handler: H) {
        let key = key_of(kind, definition);
        self.remove(kind, &key);
        let definition = definition.to_owned();
        self.entries.push((kind, Offered { key, definition, handler }));
    }

    pub(crate) fn remove(&mut self, kind: Kind, key: &str) {
        self.entries.retain(|(k, offered)| *k != kind || offered.key != key);
    }

    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.entries.iter().any(|(k, _)| *k == kind)
    }

    /// The handler of a tool, prompt or resource; a resource may come from a template.
    pub(crate) fn handler(&self, kind: Kind, key: &str) -> Option<H> {
        let exact = self.of(kind).find(|offered| offered.key == key);
        let found = exact.or_else(|| match kind {
            Kind::Resources => {
                self.of(Kind::Templates).find(|offered| matches_template(&offered.key, key))
            }
            Kind::Tools | Kind::Templates | Kind::Prompts => None,
        });
        found.map(|offered| offered.handler.clone())
    }

    /// The definition of what has exactly this key.
    pub(crate) fn definition(&self, kind: Kind, key: &str) -> Option<&str> {
        let mut all = self.of(kind);
        all.find(|offered| offered.key == key).map(|offered| offered.definition.as_str())
    }

    /// One page of a list as the members of a result, or `None` for a cursor that was never given out.
    pub(crate) fn page(&self, kind: Kind, cursor: Option<&str>, size: usize) -> Option<String> {
        let all: Vec<&Offered<H>> = self.of(kind).collect();
        let start = match cursor {
            None => 0,
            Some(cursor) => cursor.strip_prefix("after-")?.parse().ok()?,
        };
        if start > all.len() {
            return None;
        }
        let end = all.len().min(start.saturating_add(size));
        let definitions: Vec<&str> =
            all[start..end].iter().map(|offered| offered.definition.as_str()).collect();
        let next =
            if end < all.len() { format!(r#","nextCursor":"after-{end}""#) } else { String::new() };
        Some(format!(r#"{{"{}":[{}]{next}}}"#, kind.member(), definitions.join(",")))
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Offered<H>> {
        self.entries.iter().filter(move |(k, _)| *k == kind).map(|(_, offered)| offered)
    }
}

/// What a request that names a capability says about it.
pub(super) fn key_in(kind: Kind, call: &Call) -> Option<String> {
    match kind {
        Kind::Tools | Kind::Prompts => call.param("name"),
        Kind::Resources | Kind::Templates => call.param("uri"),
    }
}

fn key_of(kind: Kind, definition: &str) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Key {
        name: Option<String>,
        uri: Option<String>,
        uri_template: Option<String>,
    }
    let key: Key = serde_json::from_str(definition).expect("a definition is a JSON object");
    match kind {
        Kind::Tools | Kind::Prompts => key.name,
        Kind::Resources => key.uri,
        Kind::Templates => key.uri_template,
    }
    .expect("a definition names what it defines")
}

/// Knows simple variables only: each stands for one or more characters other than `/`.
fn matches_template(template: &str, uri: &str) -> bool {
    let Some((literal, rest)) = template.split_once('{') else {
        return template == uri;
    };
    let (Some(uri), Some((_, template))) = (uri.strip_prefix(literal), rest.split_once('}')) else {
        return false;
    };
    let longest = uri.find('/').unwrap_or(uri.len());
    (1..=longest)
        .filter(|end| uri.is_char_boundary(*end))
        .any(|end| matches_template(template, &uri[end..]))
}

#[cfg(test)]
mod tests {
    use super::matches_template;

    #[test]
    fn a_variable_stands_for_one_segment() {
        let template = "test://template/{id}/data";
        assert!(matches_template(template, "test://template/123/data"));
        assert!(!matches_template(template, "test://template//data"));
        assert!(!matches_template(template, "test://template/1/2/data"));
        assert!(matches_template("x://{a}-{b}", "x://1-2-3"));
        assert!(!matches_template("x://y", "x://z"));
    }
}
