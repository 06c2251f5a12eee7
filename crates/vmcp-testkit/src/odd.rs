//! Lists with items that are not as the specification has them.
//!
//! Each member that it names, with a value of another type; JSON that some readers refuse; and what
//! only clients of one era can read. An item is named after who can read it: `fit-7` everybody,
//! `unfit-8` nobody, `legacy-9` and `modern-10` one era alone.

use crate::{
    modern::ModernServer,
    raw::{Answer, Kind, RawServer, fixed},
};

/// Who can read an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    All,
    None,
    Legacy,
    Modern,
}

/// One item of a list.
#[derive(Debug, Clone)]
pub struct OddItem {
    pub readers: Readers,
    pub name: String,
    /// JSON text.
    pub json: String,
}

/// The four kinds of lists, as their methods have them.
pub const LISTS: [(Kind, &str, &str); 4] = [
    (Kind::Tools, "tools/list", "tools"),
    (Kind::Resources, "resources/list", "resources"),
    (Kind::Templates, "resources/templates/list", "resourceTemplates"),
    (Kind::Prompts, "prompts/list", "prompts"),
];

/// Capabilities of which some members are not as the specification has them; `fit` and `new` are.
pub fn capabilities() -> String {
    let deep = nested(200);
    format!(
        r#"{{"tools":{{"listChanged":true}},"resources":{{}},"prompts":{{}},"new":{{"x":[1]}},
        "experimental":{{"fit":{{"a":1}},"unfit":5,"deep":{{"a":{deep}}},"half":{{"a":"\ud800"}}}},
        "extensions":5,"tasks":{{"list":5}},"deeper":{deep},"huge":1e400,"long":"{}"}}"#,
        "x".repeat(1 << 20)
    )
}

/// The items of one kind, those that can be read among those that cannot.
pub fn items(kind: Kind) -> Vec<OddItem> {
    let mut items = Vec::new();
    for (readers, members) in members(kind) {
        for (readers, more) in [(readers, members.as_str()), (Readers::All, "")] {
            let name = format!("{}-{}", label(readers), items.len());
            items.push(OddItem { json: whole(kind, &name, more), readers, name });
        }
    }
    for odd in ["5", "null", "[]", r#""unfit""#, "{}", r#"{"name":5}"#] {
        items.push(OddItem {
            readers: Readers::None,
            name: "unfit".to_owned(),
            json: odd.to_owned(),
        });
    }
    items
}

/// The names of those items that clients of an era can read, in order.
pub fn readable(kind: Kind, modern: bool) -> Vec<String> {
    let theirs = if modern { Readers::Modern } else { Readers::Legacy };
    let items = items(kind).into_iter();
    let shown = items.filter(|item| item.readers == Readers::All || item.readers == theirs);
    shown.map(|item| item.name).collect()
}

/// A legacy server that lists all of it.
pub fn odd() -> RawServer {
    let server = RawServer::builder().capabilities(&capabilities());
    LISTS.into_iter().fold(server, |server, (kind, method, member)| {
        server.script(method, fixed(Answer::from(result(kind, member))))
    })
}

/// A modern server that lists all of it.
pub fn odd_modern() -> ModernServer {
    let server = ModernServer::builder().capabilities(&capabilities());
    LISTS.into_iter().fold(server, |server, (kind, method, member)| {
        let result = result(kind, member);
        let members =
            format!(r#"{},"ttlMs":0,"cacheScope":"private""#, &result[1..result.len() - 1]);
        server.script(method, crate::modern::fixed(crate::modern::complete(&members)))
    })
}

fn result(kind: Kind, member: &str) -> String {
    let items: Vec<_> = items(kind).into_iter().map(|item| item.json).collect();
    format!(r#"{{"{member}":[{}]}}"#, items.join(","))
}

fn label(readers: Readers) -> &'static str {
    match readers {
        Readers::All => "fit",
        Readers::None => "unfit",
        Readers::Legacy => "legacy",
        Readers::Modern => "modern",
    }
}

fn nested(depth: usize) -> String {
    format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth))
}

/// An item with some members more, which take the place of those that every item has.
fn whole(kind: Kind, name: &str, more: &str) -> String {
    let mut members = vec![format!(r#""name":"{name}""#)];
    match kind {
        Kind::Tools => members.push(r#""inputSchema":{"type":"object"}"#.to_owned()),
        Kind::Resources => members.push(format!(r#""uri":"odd:{name}""#)),
        Kind::Templates => members.push(format!(r#""uriTemplate":"odd:{name}/{{x}}""#)),
        Kind::Prompts => {}
    }
    let replaced = |member: &String| {
        let key = member.split_once(':').map(|(key, _value)| key).unwrap_or_default();
        !more.starts_with(&format!("{key}:")) && more != format!("-{key}")
    };
    members.retain(replaced);
    if !more.is_empty() && !more.starts_with('-') {
        members.push(more.to_owned());
    }
    format!("{{{}}}", members.join(","))
}

/// Members that make an item odd; `-"name"` takes one away.
fn members(kind: Kind) -> Vec<(Readers, String)> {
    let mut members: Vec<(Readers, String)> = [
        r#""title":5"#,
        r#""description":{}"#,
        r#""_meta":5"#,
        r#""icons":5"#,
        r#""icons":[{}]"#,
        r#""icons":[{"src":"x","sizes":"1x1"}]"#,
        r#""icons":[{"src":"x","theme":"red"}]"#,
        r#""title":"a","title":"b""#,
        r#""description":"\ud800""#,
        r#""x":"\udc00 half""#,
        r#""x":1e400"#,
        r#"-"name""#,
    ]
    .map(|members| (Readers::None, members.to_owned()))
    .into();
    members.push((Readers::None, format!(r#""x":{}"#, nested(200))));
    members.push((Readers::None, format!(r#""x":{}"#, "7".repeat(5000))));
    members.push((Readers::All, r#""title":null,"x":null"#.to_owned()));
    let own: &[(Readers, &str)] = match kind {
        Kind::Tools => &[
            (Readers::None, r#"-"inputSchema""#),
            (Readers::None, r#""inputSchema":{"type":"array"}"#),
            (Readers::None, r#""inputSchema":5"#),
            (Readers::None, r#""inputSchema":true"#),
            (Readers::None, r#""outputSchema":5"#),
            (Readers::None, r#""annotations":5"#),
            (Readers::None, r#""annotations":{"readOnlyHint":"yes"}"#),
            (Readers::None, r#""annotations":{"title":5}"#),
            (Readers::None, r#""execution":5"#),
            (Readers::None, r#""execution":{"taskSupport":"now"}"#),
            (Readers::Modern, r#""inputSchema":{"type":"object","properties":5}"#),
            (Readers::Modern, r#""inputSchema":{"type":"object","required":5}"#),
            (Readers::All, r#""inputSchema":{"type":"object","properties":{"a":true}}"#),
            (Readers::All, r#""outputSchema":{"type":"array"}"#),
        ],
        Kind::Resources => &[
            (Readers::None, r#"-"uri""#),
            (Readers::None, r#""uri":"no uri""#),
            (Readers::None, r#""size":"1""#),
            (Readers::None, r#""mimeType":5"#),
            (Readers::None, r#""annotations":{"priority":2}"#),
            (Readers::None, r#""annotations":{"audience":"user"}"#),
            (Readers::All, r#""size":1.5"#),
            (Readers::All, r#""size":-1"#),
            (Readers::All, r#""annotations":{"lastModified":"yesterday"}"#),
        ],
        Kind::Templates => &[
            (Readers::None, r#"-"uriTemplate""#),
            (Readers::None, r#""uriTemplate":5"#),
            (Readers::None, r#""annotations":[]"#),
        ],
        Kind::Prompts => &[
            (Readers::None, r#""arguments":{}"#),
            (Readers::None, r#""arguments":[{}]"#),
            (Readers::None, r#""arguments":[{"name":"a","required":"yes"}]"#),
            (Readers::All, r#""arguments":[{"name":"a","description":null}]"#),
        ],
    };
    members.extend(own.iter().map(|(readers, text)| (*readers, (*text).to_owned())));
    members
}
