//! What a caller is listed is what it can call, for random catalogs, rights and names, in both eras; and a
//! tool of vmcp's own is reached like any other.

use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
    sync::Arc,
};

use bytes::Bytes;
use proptest::{
    collection::{btree_set, vec},
    prelude::*,
    sample::select,
};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use vmcp_catalog::{Catalog, Naming, OwnItem, OwnTool, Reach, Rules, Target, ToolRules, merge};
use vmcp_core::Resolved;
use vmcp_model::{Era, Item, Kind, Offer};
use vmcp_testkit::raw::RawServer;
use vmcp_wire::Fault;

use crate::{
    client::Client,
    world::{Setup, World, client_view, free, id},
};

const BACKENDS: [&str; 3] = ["a", "a_b", "b"];

/// Names that clash often, with and without prefixes.
const NAMES: [&str; 6] = ["t", "b_t", "a_t", "é\"", "x", "own"];

/// What tools of vmcp's own are called: as those of backends are, or get to be.
const OWN: [&str; 4] = ["t", "a_t", "own", "vmcp_status"];

const TEMPLATES: [&str; 3] = ["r:{id}", "r:t{id}", "s:{id}"];

/// A part of all keys: those whose bit of 64 is set.
#[derive(Debug, Clone, Copy)]
struct Part(u64);

impl Part {
    fn has(self, kind: Kind, key: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        (kind, key).hash(&mut hasher);
        self.0 >> (hasher.finish() % 64) & 1 == 1
    }
}

/// What is merged, and what a caller may use and is listed of it.
#[derive(Debug, Clone)]
struct Case {
    offers: Vec<Offer>,
    rules: Rules,
    era: Era,
    allowed: Part,
    listed: Part,
}

fn item(kind: Kind, key: &str) -> Item {
    let definition = match kind {
        Kind::Tool => json!({"name": key, "inputSchema": {"type": "object"}}),
        Kind::Prompt => json!({"name": key}),
        Kind::Resource => json!({"uri": format!("r:{key}"), "name": "r"}),
        Kind::ResourceTemplate => json!({"uriTemplate": key, "name": "t"}),
    };
    Item::parse(kind, Era::Legacy, definition.to_string().into()).unwrap()
}

fn own(name: &str) -> OwnItem {
    let definition = json!({"name": name, "inputSchema": {"type": "object"}}).to_string();
    OwnItem::new(OwnTool::Status, Bytes::from(definition)).unwrap()
}

fn any_offer() -> impl Strategy<Value = Offer> {
    let of = |kind| {
        vec(select(&NAMES), 0..4)
            .prop_map(move |names| names.iter().map(|name| item(kind, name)).collect())
    };
    let templates = vec(select(&TEMPLATES), 0..2).prop_map(|all| {
        all.iter().map(|template| item(Kind::ResourceTemplate, template)).collect()
    });
    (of(Kind::Tool), of(Kind::Resource), templates, of(Kind::Prompt)).prop_map(
        |(tools, resources, resource_templates, prompts)| {
            let mut offer = Offer::default();
            *offer.items_mut(Kind::Tool) = tools;
            *offer.items_mut(Kind::Resource) = resources;
            *offer.items_mut(Kind::ResourceTemplate) = resource_templates;
            *offer.items_mut(Kind::Prompt) = prompts;
            offer
        },
    )
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let order = vec(select(&BACKENDS).prop_map(id), 0..3);
    let naming = (0..3, order, select(&["{workload}_", ""])).prop_map(|(which, order, format)| {
        let format = format.to_owned();
        match which {
            0 => Naming::Prefix { format },
            1 => Naming::Priority { order, format },
            _ => Naming::Manual { format },
        }
    });
    let excluded = vec(select(&NAMES).prop_map(str::to_owned), 0..3);
    let owns = btree_set(select(&OWN), 0..3);
    (naming, excluded, owns, any::<bool>(), 0..4_usize).prop_map(
        |(naming, exclude, owns, keep_hidden, page_size)| {
            let of_a = ToolRules { exclude, ..ToolRules::default() };
            let tools = BTreeMap::from([(id("a"), of_a)]);
            let own = owns.into_iter().map(own).collect();
            Rules { naming, tools, own, keep_hidden, page_size, ..Rules::default() }
        },
    )
}

fn any_case() -> impl Strategy<Value = Case> {
    let parts = (any::<u64>().prop_map(Part), any::<u64>().prop_map(Part));
    let eras = select(&[Era::Legacy, Era::Modern]);
    (vec(any_offer(), BACKENDS.len()), any_rules(), eras, parts).prop_map(
        |(offers, rules, era, (allowed, listed))| Case { offers, rules, era, allowed, listed },
    )
}

/// A `Vmcp` whose backends are never asked: what is offered is made up.
struct Scene {
    runtime: Runtime,
    world: World,
}

impl Scene {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let world = runtime.block_on(async {
            let server = RawServer::builder().start_in_memory();
            let setup = BACKENDS.iter().fold(Setup::new(), |setup, name| setup.with(name, &server));
            setup.begin()
        });
        Self { runtime, world }
    }

    /// The caller of a case, and all that there is for whoever may use everything.
    fn caller(&self, case: &Case) -> (Client, Arc<Catalog>) {
        let _entered = self.runtime.enter();
        let offers = BACKENDS.into_iter().zip(&case.offers);
        let offers = offers.map(|(name, offer)| (id(name), Arc::new(offer.clone()))).collect();
        let all = Arc::new(merge(&offers, &case.rules, case.era).0);
        let may = all.restricted(free(|item| case.allowed.has(item.kind, item.key)));
        let catalog = may.listing(|item| case.listed.has(item.kind, item.key));
        let view = self.world.vmcp.view(&client_view(case.era, "{}")).unwrap();
        let client = Client::new(&self.world.vmcp, view);
        (Client { catalog: Some(catalog), ..client }, all)
    }

    /// What a client is listed of a kind, page after page.
    fn listed(&self, client: &Client, kind: Kind) -> BTreeSet<String> {
        let catalog = client.catalog();
        let (mut keys, mut cursor) = (BTreeSet::new(), None);
        loop {
            let page = self.world.vmcp.list(&catalog, kind, cursor.as_deref()).unwrap();
            let page: Value = serde_json::from_slice(&page).unwrap();
            for item in page[kind.list_member()].as_array().unwrap() {
                assert!(
                    keys.insert(item[kind.key()].as_str().unwrap().to_owned()),
                    "twice: {item}"
                );
            }
            match page["nextCursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return keys,
            }
        }
    }
}

/// Where a request leads that uses this.
fn used(client: &Client, kind: Kind, key: &str) -> Result<String, Fault> {
    let key = Value::from(key);
    match kind {
        Kind::Tool => client.leads_to("tools/call", &format!(r#""name":{key}"#)),
        Kind::Prompt => client.leads_to("prompts/get", &format!(r#""name":{key}"#)),
        Kind::Resource => client.leads_to("resources/read", &format!(r#""uri":{key}"#)),
        Kind::ResourceTemplate => {
            let reference = format!(r#""ref":{{"type":"ref/resource","uri":{key}}}"#);
            client.leads_to("completion/complete", &reference)
        }
    }
}

/// Whom an entry of a catalog names as the one who answers.
fn answers(catalog: &Catalog, kind: Kind, key: &str, within: Reach) -> Option<String> {
    let route = catalog.find(kind, key, within)?;
    Some(match &route.target {
        Target::Backend { backend, .. } => backend.to_string(),
        Target::Own(_) => "vmcp".to_owned(),
    })
}

/// Every key that anybody could think of.
fn keys(all: &Catalog, kind: Kind) -> BTreeSet<String> {
    let known = all.keys(kind).map(str::to_owned);
    let bare = NAMES.into_iter().chain(OWN).map(str::to_owned);
    let prefixed = BACKENDS
        .into_iter()
        .flat_map(|backend| NAMES.into_iter().map(move |name| format!("{backend}_{name}")));
    known.chain(bare).chain(prefixed).collect()
}

fn cases() -> ProptestConfig {
    ProptestConfig::with_cases(64)
}

#[test]
fn what_a_caller_is_listed_is_what_it_can_call() {
    let scene = Scene::new();
    proptest!(cases(), |(case in any_case())| check_lists(&scene, &case)?);
}

fn check_lists(scene: &Scene, case: &Case) -> Result<(), TestCaseError> {
    let (client, all) = scene.caller(case);
    let catalog = client.catalog();
    for kind in Kind::ALL {
        let listed = scene.listed(&client, kind);
        for key in &listed {
            prop_assert!(case.allowed.has(kind, key) && case.listed.has(kind, key));
            let expected = answers(&all, kind, key, Reach::Listed);
            prop_assert_eq!(used(&client, kind, key).ok(), expected, "{} is listed", key);
        }
        if matches!(kind, Kind::Resource | Kind::ResourceTemplate) {
            continue;
        }
        for key in keys(&all, kind).difference(&listed) {
            let what = if kind == Kind::Tool { "tool" } else { "prompt" };
            let unknown = Fault::InvalidParams(format!("unknown {what}: {key}").into());
            prop_assert_eq!(used(&client, kind, key), Err(unknown));
        }
        // Those who reach farther find what they are meant to, and no more.
        for reach in [Reach::Callable, Reach::Hidden] {
            let farther = Client { reach, ..client.clone() };
            for key in keys(&all, kind) {
                let expected = answers(&catalog, kind, &key, reach);
                prop_assert_eq!(used(&farther, kind, &key).ok(), expected);
                prop_assert!(case.allowed.has(kind, &key) || used(&farther, kind, &key).is_err());
            }
        }
    }
    Ok(())
}

/// A URI that is in no list leads, if anywhere, to a backend of which the caller is listed resources.
#[test]
fn what_a_caller_may_not_read_leads_to_nobody_it_is_not_shown() {
    let scene = Scene::new();
    proptest!(cases(), |(case in any_case())| check_uris(&scene, &case)?);
}

fn check_uris(scene: &Scene, case: &Case) -> Result<(), TestCaseError> {
    let (client, all) = scene.caller(case);
    let catalog = client.catalog();
    let mut shown = BTreeSet::new();
    for kind in [Kind::Resource, Kind::ResourceTemplate] {
        let of = |key| answers(&catalog, kind, key, Reach::Listed);
        shown.extend(catalog.keys(kind).filter_map(of));
    }
    for key in all.keys(Kind::Resource).chain(["r:t", "R:t", "r:%74", "s:1", "z:1"]) {
        if let Ok(backend) = used(&client, Kind::Resource, key) {
            prop_assert!(shown.contains(&backend), "{key} leads to {backend}");
        }
    }
    Ok(())
}

#[test]
fn a_tool_of_vmcps_own_is_reached_like_any_other() {
    let scene = Scene::new();
    proptest!(cases(), |(case in any_case())| check_own(&scene, &case)?);
}

fn check_own(scene: &Scene, case: &Case) -> Result<(), TestCaseError> {
    let (client, _all) = scene.caller(case);
    let listed = scene.listed(&client, Kind::Tool);
    for own in &case.rules.own {
        let name = own.name();
        let may = case.allowed.has(Kind::Tool, name);
        let is_listed = may && case.listed.has(Kind::Tool, name);
        prop_assert_eq!(listed.contains(name), is_listed);
        let message = client.tool_call(name, "{}");
        client.resolved(&message, |resolved| match resolved {
            Ok(Resolved::Own { tool, .. }) => assert!(is_listed && tool == own.tool()),
            Ok(Resolved::Backend(routed)) => panic!("{name} leads to {}", routed.backend.id()),
            Err(fault) => {
                let unknown = Fault::InvalidParams(format!("unknown tool: {name}").into());
                assert!(!is_listed && fault == unknown, "{fault}");
            }
        });
        let farther = Client { reach: Reach::Callable, ..client.clone() };
        prop_assert_eq!(used(&farther, Kind::Tool, name).is_ok(), may);
    }
    Ok(())
}
