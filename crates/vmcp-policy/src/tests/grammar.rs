//! Policies, callers, things and arguments at random, from so few names that they meet.

use proptest::{
    collection::{btree_map, vec},
    prelude::{Just, Strategy, any},
    prop_oneof,
    sample::select,
};

use crate::{Feature, Hints, Object, Settings};

pub(super) const ENTITIES: &str = r#"[
    {"uid":{"type":"THVGroup","id":"a"},"attrs":{},"parents":[{"type":"Team","id":"dev"}]},
    {"uid":{"type":"Team","id":"dev"},"attrs":{"limit":2,"boss":{"__entity":{"type":"Client","id":"ann"}},
     "first":{"__entity":{"type":"Resource","id":"file:///c"}}},"parents":[{"type":"Team","id":"all"}]},
    {"uid":{"type":"Backend","id":"b0"},"attrs":{"tier":1},"parents":[{"type":"Team","id":"dev"}]},
    {"uid":{"type":"Client","id":"bob"},"attrs":{"claim_role":"admin"},"parents":[{"type":"Team","id":"all"}]},
    {"uid":{"type":"Tool","id":"t1"},"attrs":{"readOnlyHint":true},"parents":[{"type":"Team","id":"dev"}]}
]"#;

const PRINCIPALS: &[&str] = &[
    "principal",
    "principal",
    "principal",
    r#"principal == Client::"ann""#,
    r#"principal in THVGroup::"a""#,
    r#"principal in Team::"all""#,
    "principal is Client",
];

const ACTIONS: &[&str] = &[
    "action",
    "action",
    "action",
    r#"action == Action::"call_tool""#,
    r#"action in [Action::"read_resource", Action::"call_tool"]"#,
    r#"action == Action::"get_prompt""#,
];

const RESOURCES: &[&str] = &[
    "resource",
    "resource",
    "resource",
    "resource is Tool",
    r#"resource == Tool::"t0""#,
    r#"resource == Resource::"file:///a""#,
    r#"resource == Resource::"file:///{p}""#,
    r#"resource in Backend::"b0""#,
    r#"resource in Team::"all""#,
    r#"resource in MCP::"vmcp""#,
];

/// Conditions that read no arguments.
const SETTLED: &[&str] = &[
    "true",
    "false",
    r#"principal.claim_role == "admin""#,
    "principal has claim_role",
    "principal has claim_n && principal.claim_n < 3",
    "context.claim_n <= 3",
    "principal has claim_o.deep && context.claim_o.deep",
    r#"principal has claim_list && principal.claim_list.contains("x")"#,
    r#"principal in THVGroup::"b""#,
    r#"principal in [THVGroup::"a", Team::"ops"]"#,
    r#"principal == Team::"dev".boss"#,
    r#"resource == Team::"dev".first"#,
    r#"Client::"bob" has claim_role"#,
    r#"Tool::"t1" has name"#,
    r#"Backend::"b0" in MCP::"vmcp""#,
    r#"Team::"dev".limit == 2"#,
    "resource has readOnlyHint && resource.readOnlyHint",
    "resource.destructiveHint",
    r#"resource.name like "t*""#,
    r#"resource has uri && resource.uri like "file:///?*""#,
    r#"resource has uri && resource.uri like "*b*""#,
    r#"action.operation == "call_tool""#,
];

/// Conditions that read arguments.
const OPEN: &[&str] = &[
    "context has arg_x",
    "resource has arg_x",
    "context.arg_x == 1",
    "context.arg_x < 5",
    "context has arg_x && context.arg_x < 5",
    "resource.arg_y",
    r#"context has arg_y && context.arg_y == "abc""#,
    "[1, 2].contains(context.arg_x)",
    r#"context.arg_s like "a*""#,
    r#"context has arg_s && ip(context.arg_s).isLoopback()"#,
    "context has arg_x && context.arg_x + 1 == 2",
    "context.arg_x_present",
    "context has arg_s_present",
    "context.arg_x == resource.arg_x",
    "context has arg_s && principal has claim_role && context.arg_s == principal.claim_role",
    r#"context has arg_x && context.arg_x == Team::"dev".limit"#,
    r#"context has arg_d && context.arg_d.greaterThan(decimal("1.0"))"#,
    "context == {}",
    r#"context == {"claim_sub": "ann"}"#,
    r#"context == {"claim_sub": "ann", "arg_x": 1}"#,
    r#"[context].contains({"claim_sub": "bob", "arg_x": 1})"#,
    r#"context has arg_o && context has arg_p && resource has arg_q && resource has arg_r"#,
];

fn condition(atoms: &'static [&'static str]) -> impl Strategy<Value = String> {
    let atom = select(atoms).prop_map(|atom| format!("({atom})"));
    atom.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one} && {other})")),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one} || {other})")),
            inner.clone().prop_map(|one| format!("(!{one})")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(test, one, other)| format!("(if {test} then {one} else {other})")),
        ]
    })
}

fn policy(
    effects: &'static [&'static str],
    condition: impl Strategy<Value = String> + 'static,
) -> impl Strategy<Value = String> {
    let clause = (select(&["when", "unless"][..]), condition);
    let clauses =
        vec(clause.prop_map(|(kind, condition)| format!(" {kind} {{ {condition} }}")), 0..3);
    let head = (select(effects), select(PRINCIPALS), select(ACTIONS), select(RESOURCES));
    (head, clauses).prop_map(|((effect, principal, action, resource), clauses)| {
        format!("{effect}({principal}, {action}, {resource}){};\n", clauses.concat())
    })
}

const EITHER: &[&str] = &["permit", "permit", "permit", "forbid"];

/// Policies that may read arguments.
pub(super) fn policies() -> impl Strategy<Value = String> {
    let either = prop_oneof![condition(SETTLED), condition(OPEN)];
    vec(policy(EITHER, either), 1..5).prop_map(|policies| policies.concat())
}

/// Policies that read none.
pub(super) fn settled_policies() -> impl Strategy<Value = String> {
    vec(policy(EITHER, condition(SETTLED)), 1..5).prop_map(|policies| policies.concat())
}

/// A policy that forbids.
pub(super) fn forbid() -> impl Strategy<Value = String> {
    policy(&["forbid"], prop_oneof![condition(SETTLED), condition(OPEN)])
}

pub(super) fn settings(policies: &str) -> Settings {
    Settings { entities: Some(ENTITIES.to_owned()), ..super::settings(policies) }
}

/// An object of some of these fields, each with one of its values.
fn object(
    fields: &'static [(&'static str, &'static [&'static str])],
) -> impl Strategy<Value = String> {
    let names: Vec<usize> = (0..fields.len()).collect();
    btree_map(select(names), any::<usize>(), 0..=fields.len()).prop_map(|chosen| {
        let fields = chosen.into_iter().map(|(at, value)| {
            let (name, values) = fields[at];
            format!("\"{name}\":{}", values[value % values.len()])
        });
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    })
}

pub(super) fn claims() -> impl Strategy<Value = String> {
    let name = select(&["ann", "bob", "eve", "zoe"][..]);
    let rest = object(&[
        ("role", &[r#""admin""#, r#""abc""#, "7"]),
        ("n", &["1", "5", r#""s""#, "2.5"]),
        ("groups", &[r#"["a"]"#, r#"["b","c"]"#, r#""a""#, r#"["d"]"#]),
        ("o", &[r#"{"deep":true}"#, "{}", "3"]),
        ("list", &[r#"["x"]"#, "[]", r#""x""#]),
        ("email", &[r#""one""#, r#""two""#]),
    ]);
    (name, rest).prop_map(|(name, rest)| {
        let comma = if rest == "{}" { "" } else { "," };
        format!("{{\"sub\":\"{name}\"{comma}{}", &rest[1..])
    })
}

pub(super) fn arguments() -> impl Strategy<Value = Option<String>> {
    const ANY: &[&str] = &[
        "1",
        "2",
        "7",
        "1.0",
        "1.5",
        "true",
        "false",
        "null",
        "[1]",
        r#"{"a":1}"#,
        r#""a""#,
        r#""abc""#,
        r#""admin""#,
        r#""127.0.0.1""#,
        "1e40",
        "-1",
    ];
    let some = object(&[
        ("x", ANY),
        ("y", ANY),
        ("s", ANY),
        ("d", ANY),
        ("x_present", ANY),
        ("o", ANY),
        ("p", ANY),
        ("q", ANY),
        ("r", ANY),
        ("other", ANY),
    ]);
    let one = object(&[("x", ANY)]);
    prop_oneof![Just(None), one.prop_map(Some), some.prop_map(Some)]
}

/// Something that can be asked for.
#[derive(Debug, Clone)]
pub(super) struct Thing {
    kind: usize,
    hints: Hints,
    pub(super) name: &'static str,
    pub(super) backend: Option<&'static str>,
}

pub(super) const URIS: &[&str] =
    &["file:///a", "file:///b", "file:///c", "file:///d", "file:///abc", "http://x"];

pub(super) const TEMPLATE: &str = "file:///{p}";

pub(super) fn fits(uri: &str) -> bool {
    uri.starts_with("file:///") && !uri.contains('{')
}

impl Thing {
    pub(super) fn object(&self) -> Object<'_> {
        let feature = match self.kind {
            0 => Feature::Tool(self.hints),
            1 => Feature::Prompt,
            2 => Feature::Method,
            3 => Feature::Resource { template: None },
            _ => Feature::Resource { template: Some(TEMPLATE) },
        };
        Object { feature, name: self.name, backend: self.backend }
    }
}

fn hint() -> impl Strategy<Value = Option<bool>> {
    select(&[None, Some(true), Some(false)][..])
}

fn backend() -> impl Strategy<Value = Option<&'static str>> {
    select(&[None, Some("b0"), Some("b1")][..])
}

/// A tool, a prompt or a method.
pub(super) fn thing() -> impl Strategy<Value = Thing> {
    let name = select(&["t0", "t1", "other"][..]);
    let kind = select(&[0_usize, 0, 0, 0, 1, 2][..]);
    (kind, hint(), hint(), name, backend()).prop_map(
        |(kind, read_only, destructive, name, backend)| {
            let hints = Hints { read_only, destructive, ..Hints::default() };
            Thing { kind, hints, name, backend }
        },
    )
}

/// A resource.
pub(super) fn resource() -> impl Strategy<Value = Thing> {
    let kind = select(&[3_usize, 4][..]);
    (kind, select(URIS), backend()).prop_map(|(kind, name, backend)| Thing {
        kind,
        hints: Hints::default(),
        name,
        backend,
    })
}

pub(super) fn anything() -> impl Strategy<Value = Thing> {
    prop_oneof![2 => thing(), 1 => resource()]
}
