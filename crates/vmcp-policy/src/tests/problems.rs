//! What is said about what is wrong.

use crate::{Feature, Hints, Object, Place, Policy, Problem, Right, Settings, tests::settings};

fn problems(settings: &Settings) -> Vec<Problem> {
    Policy::new(settings).err().unwrap_or_default()
}

/// Checks the only problem of some policies: where it is and a part of what it says.
#[track_caller]
fn check(text: &str, place: &str, part: &str) {
    let problems = problems(&settings(text));
    let [problem] = problems.as_slice() else { panic!("{text}: {problems:?}") };
    let said = problem.to_string();
    let (found, message) = said.split_once(": ").expect("a place comes first");
    assert_eq!(found, place, "{said}");
    assert!(message.contains(part), "{said}");
}

#[test]
fn a_problem_names_policy_line_and_column() {
    check("", "line 1, column 1", "no policy");
    check("// nothing\n", "line 1, column 1", "no policy");
    check("permit(principal, action);", "policy0, line 1, column 25", "resource");
    check(
        "permit(principal, action, resource);\n  permit(principal, actoin, resource);",
        "policy1, line 2, column 21",
        "actoin",
    );
    check(
        "permit(principal, action, resource);\n// é; \"\n@id(\"second\")\nforbid(principal, action, resource)\n  when { \"é;\\\"\" == contxt.x };",
        "second, line 5, column 20",
        "contxt",
    );
    check(
        "permit(principal, action, resource) when { resource.name = \"x\" };",
        "policy0, line 1, column 44",
        "==",
    );
    check(
        "permit(principal, action, resource) when { foo(1) };",
        "policy0, line 1, column 44",
        "foo",
    );
    check("permit(principal, action, resource)", "policy0, line 1, column 36", "end of input");
}

#[test]
fn a_template_is_refused() {
    check(
        "permit(principal, action, resource);\n@id(\"t\")\npermit(principal == ?principal, action, resource);",
        "t, line 3, column 21",
        "template",
    );
}

#[test]
fn every_text_has_its_own_lines() {
    let good = "permit(principal, action, resource);\npermit(principal, action, resource);";
    let settings = Settings {
        policies: vec![
            good.to_owned(),
            "permit(principal, bad, resource);".to_owned(),
            String::new(),
        ],
        group_entity_type: "My::Group".to_owned(),
        entities: Some("[\n  {,}]".to_owned()),
        ..Settings::default()
    };
    let found: Vec<_> = problems(&settings)
        .into_iter()
        .map(|problem| (problem.place, problem.line, problem.column, problem.policy))
        .collect();
    assert_eq!(
        found,
        [
            (Place::Policies(1), 1, 19, Some("policy2".to_owned())),
            (Place::Policies(2), 1, 1, None),
            (Place::Entities, 2, 4, None),
            (Place::GroupEntityType, 1, 1, None),
        ]
    );
}

#[test]
fn group_types_are_plain_names() {
    for name in ["", "A::B", "1a", "a b", " a", "a-b", "if", "A::"] {
        let settings = Settings {
            group_entity_type: name.to_owned(),
            ..settings("permit(principal, action, resource);")
        };
        assert_eq!(problems(&settings).len(), 1, "{name}");
    }
}

#[test]
fn wrong_entities_are_named_where_they_stand() {
    let cases = [
        ("{}", "line 1, column 1", "array"),
        (
            "[\n {\"uid\":{\"type\":\"A\",\"id\":\"x\"},\"attrs\":{},\"parents\":[]},\n 7]",
            "line 3, column 2",
            "7",
        ),
        ("[{\"attrs\":{},\"parents\":[]}]", "line 1, column 2", "uid"),
        (
            "[{\"uid\":{\"type\":\"A\",\"id\":\"x\"},\"attrs\":{\"a\":null},\"parents\":[]}]",
            "line 1, column 2",
            "A::\"x\"",
        ),
        (
            "[{\"uid\":{\"type\":\"A\",\"id\":\"x\"},\"attrs\":{\"a\":1},\"parents\":[]},
              {\"uid\":{\"type\":\"A\",\"id\":\"x\"},\"attrs\":{\"a\":2},\"parents\":[]}]",
            "line 1, column 1",
            "A::\"x\"",
        ),
        (
            "[{\"uid\":{\"type\":\"A\",\"id\":\"x\"},\"attrs\":{},\"parents\":[{\"type\":\"A\",\"id\":\"x\"}]}]",
            "line 1, column 2",
            "cycle",
        ),
        (
            "[{\"uid\":{\"type\":\"Backend\",\"id\":\"b\"},\"attrs\":{},\"parents\":[]},
              {\"uid\":{\"type\":\"MCP\",\"id\":\"vmcp\"},\"attrs\":{},\"parents\":[{\"type\":\"Backend\",\"id\":\"b\"}]}]",
            "line 1, column 1",
            "cycle",
        ),
    ];
    for (text, place, part) in cases {
        let settings = Settings {
            entities: Some(text.to_owned()),
            ..settings("permit(principal, action, resource);")
        };
        let problems = problems(&settings);
        let said = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(problems.len() == 1 && said.starts_with(place) && said.contains(part), "{said}");
    }
}

#[test]
fn policies_are_called_by_their_ids_if_these_are_unique() {
    let text = "@id(\"a\") permit(principal, action, resource);
        @id(\"b\") permit(principal, action, resource);
        @id(\"b\") permit(principal, action, resource);
        @id(\"policy5\") permit(principal, action, resource);
        @id(\"\") permit(principal, action, resource);
        permit(principal, action, resource);";
    let settings = Settings {
        policies: vec![text.to_owned(), "permit(principal, action, resource);".to_owned()],
        ..Settings::default()
    };
    let decision = super::decided(&settings, r#"{"sub":"ann"}"#, &super::TOOL, "");
    assert_eq!(
        decision.policies,
        ["a", "policy1", "policy2", "policy3", "policy4", "policy5", "policy6"]
    );
}

#[test]
fn what_goes_too_deep_is_refused_before_it_is_read() {
    let names = (0..302).map(|n| format!("resource.name == \"{n}\"")).collect::<Vec<_>>();
    let nested = format!("{}true{}", "(".repeat(600), ")".repeat(600));
    let long = |terms: usize| names[..terms].join(" || ");
    for (condition, said) in [
        (nested, "brackets within each other"),
        (long(302), "at most 300 operators"),
        ("! ".repeat(5000) + "true", "at most 300 operators"),
        (format!("principal{} == 1", ".a".repeat(5000)), "at most 2000 members"),
    ] {
        let text = format!("permit(principal, action, resource)\nwhen {{ {condition} }};");
        let problems = problems(&settings(&text));
        let told = problems[0].to_string();
        assert!(problems.len() == 1 && told.starts_with("policy0, line 2"), "{told}");
        assert!(told.contains(said), "{told}");
    }
    // What stands in texts and comments does not count.
    let text = format!(
        "permit(principal, action, resource) // {0}\nwhen {{ resource.name == \"{0}\" || {1} }};",
        "((((".repeat(100),
        long(300)
    );
    let deep = Policy::new(&settings(&text)).unwrap();
    // On a small stack, as that of a worker.
    let judged = std::thread::Builder::new().stack_size(256 << 10).spawn(move || {
        let subject = deep.subject(br#"{"sub":"a"}"#).unwrap();
        let object =
            |name| Object { feature: Feature::Tool(Hints::default()), name, backend: None };
        (
            deep.right(&subject, &object("299")),
            deep.decide(&subject, &object("none"), None).is_allowed,
        )
    });
    assert_eq!(judged.unwrap().join().unwrap(), (Right::Always, false));
}
