//! `aggregation`.

use super::{check, complete, parsed};

#[test]
fn a_prefix_tells_backends_apart() {
    check(
        "
aggregation:
  conflictResolution: prefix
  conflictResolutionConfig: {prefixFormat: 'x_', priorityOrder: [jira]}",
        "vmcp.yaml:3:65: aggregation.conflictResolutionConfig.priorityOrder: only takes effect with conflictResolution: priority",
    );
    check(
        "aggregation: {conflictResolution: prefix, conflictResolutionConfig: {}}",
        "vmcp.yaml:1:69: aggregation.conflictResolutionConfig.prefixFormat: is required for conflictResolution: prefix",
    );
    check(
        "
aggregation: {conflictResolution: prefix, conflictResolutionConfig: {prefixFormat: ''}}
backends: [{name: github, url: 'http://127.0.0.1:8081/mcp'}]",
        "naming prefix \"\"",
    );
    check(
        "aggregation: {conflictResolution: prefix, conflictResolutionConfig: {prefixFormat: x-}}",
        "naming prefix \"x-\"
         warning vmcp.yaml:1:84: aggregation.conflictResolutionConfig.prefixFormat: \"x-\" does not contain {workload}: \
         all backends have the same prefix, and of tools with equal names none is shown",
    );
}

#[test]
fn priorities_are_backends_each_once() {
    check(
        "aggregation: {conflictResolution: priority}",
        "vmcp.yaml:1:14: aggregation.conflictResolutionConfig.priorityOrder: is required for conflictResolution: priority",
    );
    check(
        "aggregation: {conflictResolution: priority, conflictResolutionConfig: {priorityOrder: []}}",
        "vmcp.yaml:1:87: aggregation.conflictResolutionConfig.priorityOrder: is empty; list the backends, the one that wins first",
    );
    check(
        "
aggregation:
  conflictResolution: priority
  conflictResolutionConfig: {priorityOrder: [jira, gihub, jira, '${TOKEN}', '${BACKEND}']}",
        "vmcp.yaml:3:52: aggregation.conflictResolutionConfig.priorityOrder[1]: no backend is called \"gihub\"; did you mean \"github\"?
         vmcp.yaml:3:59: aggregation.conflictResolutionConfig.priorityOrder[2]: \"jira\" is listed twice
         vmcp.yaml:3:65: aggregation.conflictResolutionConfig.priorityOrder[3]: no backend is called \"${TOKEN}\"",
    );
    check(
        "
aggregation:
  conflictResolution: priority
  conflictResolutionConfig: {priorityOrder: [jira]}",
        "naming priority [\"jira\"] \"{workload}_\"",
    );
}

#[test]
fn a_backend_with_priority_must_be_visible() {
    check(
        "
aggregation:
  conflictResolution: priority
  conflictResolutionConfig: {priorityOrder: [jira, github]}
  defaultToolVisibility: deny
  tools: [{workload: jira}]",
        "vmcp.yaml:2:3: aggregation.tools: needs an entry for \"github\", which stands in \
         priorityOrder: with defaultToolVisibility: deny its tools are hidden",
    );
}

#[test]
fn manual_needs_nothing_to_begin_with() {
    check("aggregation: {conflictResolution: manual}", "naming manual \"{workload}_\"");
    check(
        "aggregation: {conflictResolution: manual, defaultToolVisibility: '', \
         conflictResolutionConfig: {prefixFormat: '{workload}/'}}",
        "naming manual \"{workload}/\"",
    );
    check(
        "aggregation: {conflictResolution: none, defaultToolVisibility: hide}",
        "vmcp.yaml:1:35: aggregation.conflictResolution: must be prefix or priority or manual, not \"none\"
         vmcp.yaml:1:64: aggregation.defaultToolVisibility: must be allow or deny, not \"hide\"",
    );
}

#[test]
fn entries_for_tools_belong_to_one_backend_each() {
    check(
        "
aggregation:
  conflictResolution: manual
  tools:
    - workload: github
    - workload: github
    - workload: jiro
    - filter: [a]
    - {workload: jira, filter: a, excludeAll: maybe}",
        "vmcp.yaml:5:17: aggregation.tools[1].workload: \"github\" has an entry already
         vmcp.yaml:6:17: aggregation.tools[2].workload: no backend is called \"jiro\"; did you mean \"jira\"?
         vmcp.yaml:7:7: aggregation.tools[3].workload: is required: the backend it is about
         vmcp.yaml:8:32: aggregation.tools[4].filter: must be a list
         vmcp.yaml:8:47: aggregation.tools[4].excludeAll: \"maybe\" is not true or false",
    );
}

#[test]
fn a_filter_that_does_not_do_what_it_says_is_warned_about() {
    check(
        "
aggregation:
  conflictResolution: manual
  tools: [{workload: github, filter: [a, b, a], excludeAll: true}]",
        "naming manual \"{workload}_\"
         tools of github: [\"a\", \"b\"] exclude [] all true
         warning vmcp.yaml:3:38: aggregation.tools[0].filter: has no effect, because of excludeAll
         warning vmcp.yaml:3:45: aggregation.tools[0].filter[2]: \"a\" is listed twice",
    );
}

#[test]
fn an_override_changes_something() {
    check(
        "
aggregation:
  conflictResolution: manual
  tools:
    - workload: github
      overrides:
        a: {}
        b: {name: ''}
        c: {annotations: {}}
        d: {annotations: {readonlyHint: true}}
        e: {annotations: {readOnlyHint: 1}}
        f: rename",
        "vmcp.yaml:6:12: aggregation.tools[0].overrides.a: changes nothing; give it a name, a description or annotations
         vmcp.yaml:7:12: aggregation.tools[0].overrides.b: changes nothing; give it a name, a description or annotations
         vmcp.yaml:8:26: aggregation.tools[0].overrides.c.annotations: is empty; set at least one annotation
         vmcp.yaml:9:27: aggregation.tools[0].overrides.d.annotations: unknown key \"readonlyHint\"; did you mean \"readOnlyHint\"?
         vmcp.yaml:10:41: aggregation.tools[0].overrides.e.annotations.readOnlyHint: \"1\" is not true or false
         vmcp.yaml:11:12: aggregation.tools[0].overrides.f: must be a map of keys",
    );
    check(
        "
aggregation:
  conflictResolution: manual
  tools: [{workload: github, overrides: {a.b: {description: B}, c: {annotations: {title: C}}}}]",
        "naming manual \"{workload}_\"
         tools of github: [] exclude [] all false
         github/a.b: None Some(\"B\") None
         github/c: None None Some(\"C ----\")",
    );
}

#[test]
fn names_can_be_made_safe_for_models() {
    check(
        "aggregation: {conflictResolution: manual, names: safe}",
        "naming manual \"{workload}_\"\nnames Safe",
    );
    check(
        "aggregation: {conflictResolution: manual, names: unsafe}",
        "vmcp.yaml:1:50: aggregation.names: must be as-is or safe, not \"unsafe\"",
    );
}

#[test]
fn backends_that_can_take_each_others_names_are_warned_about() {
    let backends = "
backends:
  - {name: a, url: 'http://127.0.0.1:1/mcp'}
  - {name: b, url: 'http://127.0.0.1:2/mcp'}
  - {name: a_b, url: 'http://127.0.0.1:3/mcp'}
aggregation: {conflictResolution: prefix, conflictResolutionConfig: {prefixFormat: ";
    let warnings = |format: &str| {
        let text = complete(&format!("{backends}'{format}'}}}}\n"));
        let warnings = parsed(&text).unwrap().warnings;
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        warnings("{workload}_"),
        [
            "vmcp.yaml:5:84: aggregation.conflictResolutionConfig.prefixFormat: a tool of a may have the \
             name of one of a_b, as \"a_b_\" begins with \"a_\", and then neither is shown; end the prefix \
             with what no backend's name has, such as \"__\", or rename a backend"
        ]
    );
    assert_eq!(warnings("{workload}__"), Vec::<String>::new());
}
