//! What conditions come to, in the cases of `corpus.yaml`, which `tools/expressions` decides by cel-go.

use serde::Deserialize;
use vmcp_aws::{Claims, Matcher};

#[derive(Deserialize)]
struct Table {
    claims: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    expression: String,
    is: String,
    /// Where that differs from what cel-go says.
    here: Option<String>,
}

#[test]
fn conditions_come_to_what_cel_go_says() {
    let tables: Vec<Table> = serde_saphyr::from_str(include_str!("corpus.yaml")).unwrap();
    let (mut cases, mut wrong) = (0, Vec::new());
    for Table { claims, cases: of_table } in tables {
        let claims = serde_json::from_str(&claims).unwrap();
        for Case { expression, is, here } in of_table {
            let is = here.unwrap_or(is);
            cases += 1;
            let found = match Matcher::parse(&expression) {
                Err(vmcp_aws::InvalidMatcher::Function(_)) => "refused",
                Err(_) => "error",
                Ok(matcher) => match matcher.evaluate(&Claims::new(&claims)) {
                    Ok(cel::Value::Bool(true)) => "true",
                    Ok(cel::Value::Bool(false)) => "false",
                    Ok(_) => "other",
                    Err(_) => "error",
                },
            };
            if found != is {
                wrong.push(format!("{expression}: {found} instead of {is}"));
            }
        }
    }
    assert!(cases >= 100 && wrong.is_empty(), "of {cases}:\n{}", wrong.join("\n"));
}
