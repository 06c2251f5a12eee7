//! Two configurations in, what lies between them out.

use std::{collections::BTreeMap, time::Duration};

use vmcp_backend::{Isolation, Program, Transport};

use super::{later, refuse_other_discovery, refuse_other_programs};
use crate::config::{self, Configuration};

const MINIMUM: &str = "name: example
backends:
  - {name: one, url: 'http://127.0.0.1:1/mcp'}
  - {name: two, url: 'http://127.0.0.1:2/mcp'}
incomingAuth: {type: anonymous}
aggregation: {conflictResolution: prefix, conflictResolutionConfig: {prefixFormat: '{workload}_'}}
";

fn with(text: &str) -> Configuration {
    config::parse(&format!("{MINIMUM}{text}"), "vmcp.yaml", &|_name| None).unwrap()
}

fn program() -> Program {
    Program {
        command: "server".to_owned(),
        args: vec!["--fast".to_owned()],
        secrets: Vec::new(),
        inherited: BTreeMap::new(),
        env: BTreeMap::from([("KEY".to_owned(), "value".to_owned())]),
        directory: None,
        isolation: Isolation::Session,
        idle: Duration::from_secs(60),
    }
}

/// A configuration whose first backend runs this.
fn running(program: Program) -> Configuration {
    let mut configuration = with("");
    configuration.backends[0].config.transport = Transport::Stdio(program);
    configuration
}

#[test]
fn what_needs_a_start_is_named() {
    let started = with("");
    let check = |text: &str, expected: &[&str]| {
        assert_eq!(later(&started, &with(text)), expected, "{text}");
    };
    check("", &[]);
    check("sessions: {ttl: 5m}\nlimits: {views: 3}", &["sessions.ttl", "limits.views"]);
    let other = MINIMUM.replace("type: anonymous", "type: local");
    let other = config::parse(&other, "vmcp.yaml", &|_name| None).unwrap();
    assert_eq!(later(&started, &other), ["incomingAuth"]);
    check("limits: {eventBytes: 1KiB}", &["limits.eventBytes"]);
    check("admin: {listen: '127.0.0.1:1'}", &["admin.listen"]);
    check("admin: {auth: {type: token}}", &["admin.auth"]);
    let reached = "publicUrl: https://mcp.example.com\ntrustedProxies: [10.0.0.0/8]";
    check(reached, &["publicUrl", "trustedProxies"]);
    check("allowedHosts: [a]\nallowedOrigins: ['http://a']", &["allowedHosts", "allowedOrigins"]);
    check("operational: {logLevel: debug, timeouts: {default: 1s}}\nmetadata: {a: b}", &[]);
    let reload = "operational: {reload: {watchFile: false, allowCommands: true}}";
    check(reload, &["operational.reload.allowCommands"]);
    check("limits: {responseBytes: 1KiB, callsPerBackend: 3}", &[]);
}

#[test]
fn where_backends_are_looked_for_is_decided_at_the_start() {
    let refused = |before: &Configuration, after: &Configuration| {
        refuse_other_discovery(before, after).err().map(|error| error.to_string())
    };
    let of = |group: &str, discovers| {
        let mut configuration = with(&format!("groupRef: {group}"));
        configuration.discovers = discovers;
        configuration
    };
    assert_eq!(refused(&of("tools", true), &of("tools", true)), None);
    assert_eq!(refused(&of("tools", false), &of("toolz", false)), None, "a label");
    let why = refused(&of("tools", true), &of("toolz", true)).unwrap();
    assert!(why.contains("groupRef is another than at the start"), "{why}");
    for (before, after) in [(true, false), (false, true)] {
        let why = refused(&of("tools", before), &of("tools", after)).unwrap();
        assert!(why.contains("outgoingAuth.source is another than at the start"), "{why}");
    }
}

#[test]
fn a_program_may_go_or_stay_and_neither_come_nor_change() {
    let refused = |before: &Configuration, after: &Configuration| {
        refuse_other_programs(before, after).err().map(|error| error.to_string())
    };
    let before = running(program());
    assert_eq!(refused(&before, &before), None);
    assert_eq!(refused(&before, &with("")), None, "it goes");
    let why = refused(&with(""), &before).unwrap();
    assert!(why.contains("backend one") && why.contains("allowCommands"), "{why}");
    for change in [
        |program: &mut Program| program.command = "other".to_owned(),
        |program: &mut Program| program.args.clear(),
        |program: &mut Program| program.env.clear(),
        |program: &mut Program| program.directory = Some("/".into()),
    ] {
        let mut other = program();
        change(&mut other);
        assert!(refused(&before, &running(other)).is_some());
    }
    let mut patient = program();
    (patient.isolation, patient.idle) = (Isolation::Shared, Duration::from_secs(1));
    assert_eq!(refused(&before, &running(patient)), None);
}

/// Whoever reads that a reload was refused is led to the line that would run something.
#[test]
fn a_program_that_may_not_come_is_told_with_its_line() {
    let others = MINIMUM.replace(
        "  - {name: two, url: 'http://127.0.0.1:2/mcp'}\n",
        "  - {name: two, command: cat}\n  - name: three\n    args: [-n]\n    command: cat\n",
    );
    let new = config::parse(&others, "vmcp.yaml", &|_name| None).unwrap();
    let why = refuse_other_programs(&with(""), &new).unwrap_err().to_string();
    let starts: Vec<_> = why.lines().filter_map(|line| line.split(" would").next()).collect();
    assert_eq!(
        starts,
        [
            "vmcp.yaml:4:26: backends[1].command: backend two",
            "vmcp.yaml:7:14: backends[2].command: backend three",
        ]
    );
}
