//! The worked policies of docs/authorization.md decide what the tables below them say.

use std::{fs, path::Path};

use serde::{Deserialize, de::IgnoredAny};
use vmcp_policy::{Policy, Settings};

use crate::case::{Case, Judgement, Listing};

/// What the page shows of a configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Configuration {
    name: Option<String>,
    incoming_auth: IncomingAuth,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IncomingAuth {
    #[serde(rename = "type")]
    _kind: Option<String>,
    #[serde(rename = "oidc")]
    _oidc: Option<IgnoredAny>,
    authz: Authz,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Authz {
    #[serde(rename = "type")]
    kind: String,
    policies: Vec<String>,
    entities_json: Option<String>,
    group_claim_name: Option<String>,
    role_claim_name: Option<String>,
    group_entity_type: Option<String>,
}

#[test]
fn worked_policies_decide_what_their_tables_say() {
    let page = page();
    let section = page.split_once("\n## Ten policies\n").expect("the page has ten policies").1;
    let section = section.split("\n## ").next().unwrap();
    let (mut examples, mut wrong) = (0, Vec::new());
    for example in section.split("\n### ").skip(1) {
        examples += 1;
        let (title, text) = example.split_once('\n').unwrap();
        let policy = policy(yaml_blocks(text).first().expect("an example has a configuration"));
        let rows = rows(text);
        assert!(rows.len() > 2, "{title} has no table");
        for row in rows {
            let case = case(row);
            let found = case.differences(&policy);
            wrong.extend(found.iter().map(|found| format!("{title}: {}: {found}", case.case)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(examples, 10);
}

#[test]
fn every_configuration_of_the_page_can_be_read() {
    for text in yaml_blocks(&page()) {
        let _policy = policy(text);
    }
}

#[test]
fn nothing_on_the_page_is_odd() {
    let backends = ["github", "zendesk", "wiki", "crm", "cluster-1", "cluster-2", "staging"];
    for text in yaml_blocks(&page()) {
        assert_eq!(policy(text).warnings(&backends), [], "{text}");
    }
}

fn page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/authorization.md");
    fs::read_to_string(page).expect("the page is there")
}

fn yaml_blocks(text: &str) -> Vec<&str> {
    let blocks = text.split("\n```yaml\n").skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap_or(block)).collect()
}

fn policy(text: &str) -> Policy {
    let configuration: Configuration =
        serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    let authz = configuration.incoming_auth.authz;
    assert_eq!(authz.kind, "cedar");
    let usual = Settings::default();
    let settings = Settings {
        server: configuration.name.unwrap_or(usual.server),
        policies: authz.policies,
        entities: authz.entities_json,
        group_claim: authz.group_claim_name,
        role_claim: authz.role_claim_name,
        group_entity_type: authz.group_entity_type.unwrap_or(usual.group_entity_type),
    };
    Policy::new(&settings).unwrap_or_else(|problems| panic!("{problems:?}:\n{text}"))
}

/// The rows of the table, without its head.
fn rows(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with('|')).skip(2).collect()
}

/// A row: caller, what is asked for, arguments, whether it may, whether it is listed.
fn case(row: &str) -> Case {
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    let [caller, asked, arguments, may, listed] = cells[..] else {
        panic!("not five cells: {row}");
    };
    let mut case = Case {
        case: row.to_owned(),
        claims: code(caller),
        arguments: code(arguments),
        decision: yes_or_no(may).map(|yes| if yes { Judgement::Allow } else { Judgement::Deny }),
        list: yes_or_no(listed).map(|yes| if yes { Listing::Shown } else { Listing::Hidden }),
        ..Case::default()
    };
    // Words and code take turns: tool `pods` of `staging` (readOnly)
    let words: Vec<&str> = asked.split('`').map(str::trim).collect();
    for pair in words.chunks(2) {
        let value = pair.get(1).map(|value| (*value).to_owned());
        let place = match pair[0] {
            "tool" => &mut case.tool,
            "prompt" => &mut case.prompt,
            "resource" => &mut case.resource,
            "template" => &mut case.template,
            "method" => &mut case.method,
            "of" => &mut case.backend,
            "by" => &mut case.of,
            "" => continue,
            hint => {
                let hint = hint.strip_prefix('(').and_then(|hint| hint.strip_suffix(')'));
                case.hints.insert(hint.unwrap_or_else(|| panic!("{asked}")).to_owned(), true);
                continue;
            }
        };
        *place = value;
    }
    case
}

fn code(cell: &str) -> Option<String> {
    let inner = cell.strip_prefix('`')?.strip_suffix('`')?;
    Some(inner.to_owned())
}

fn yes_or_no(cell: &str) -> Option<bool> {
    match cell {
        "yes" => Some(true),
        "no" => Some(false),
        "" => None,
        other => panic!("{other:?} is neither yes nor no"),
    }
}
