//! What holds whatever the policies are.

use std::collections::HashMap;

use proptest::{
    collection::vec,
    prelude::{ProptestConfig, Strategy},
    prop_assert, prop_assert_eq, proptest,
    strategy::ValueTree,
    test_runner::TestRunner,
};

use crate::{
    Feature, Object, Right,
    tests::{grammar, made, oracle, subject},
};

fn bytes(arguments: Option<&String>) -> Option<&[u8]> {
    arguments.map(String::as_bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Cedar decides the same if it is asked about everything at once.
    #[test]
    fn decisions_are_cedars(
        policies in grammar::policies(),
        claims in grammar::claims(),
        things in vec(grammar::anything(), 1..4),
        arguments in vec(grammar::arguments(), 1..4),
    ) {
        let policy = made(&grammar::settings(&policies));
        let caller = subject(&policy, &claims);
        for thing in &things {
            for arguments in &arguments {
                let decision = policy.decide(&caller, &thing.object(), bytes(arguments.as_ref()));
                let wanted = oracle::decide(&policies, &claims, &thing.object(), arguments.as_deref());
                prop_assert_eq!((decision.is_allowed, !decision.errors.is_empty()), wanted, "{:?}", decision);
                prop_assert_eq!(decision.is_allowed && !decision.errors.is_empty(), false);
                prop_assert_eq!(decision.is_allowed && decision.policies.is_empty(), false);
            }
        }
    }

    /// What is never allowed is denied with any arguments, what is always allowed is allowed with any.
    #[test]
    fn rights_are_sound(
        policies in grammar::policies(),
        claims in grammar::claims(),
        things in vec(grammar::anything(), 1..4),
        arguments in vec(grammar::arguments(), 8),
    ) {
        let policy = made(&grammar::settings(&policies));
        let caller = subject(&policy, &claims);
        for thing in &things {
            let right = policy.right(&caller, &thing.object());
            for arguments in arguments.iter().chain([&None]) {
                let decision = policy.decide(&caller, &thing.object(), bytes(arguments.as_ref()));
                match right {
                    Right::Never => prop_assert!(!decision.is_allowed, "{arguments:?} {decision:?}"),
                    Right::Always => prop_assert!(decision.is_allowed, "{arguments:?} {decision:?}"),
                    Right::ByArguments => {}
                }
            }
        }
    }

    /// Policies that read no arguments settle every right, as they decide every use.
    #[test]
    fn policies_without_arguments_settle_rights(
        policies in grammar::settled_policies(),
        claims in grammar::claims(),
        thing in grammar::anything(),
        arguments in grammar::arguments(),
    ) {
        let policy = made(&grammar::settings(&policies));
        let caller = subject(&policy, &claims);
        let right = policy.right(&caller, &thing.object());
        let is_allowed = policy.decide(&caller, &thing.object(), bytes(arguments.as_ref())).is_allowed;
        prop_assert_eq!(right, if is_allowed { Right::Always } else { Right::Never });
    }

    /// One more policy that forbids gives nobody more.
    #[test]
    fn a_forbid_never_adds_a_right(
        policies in grammar::policies(),
        forbid in grammar::forbid(),
        claims in grammar::claims(),
        things in vec(grammar::anything(), 1..4),
        arguments in vec(grammar::arguments(), 4),
    ) {
        let before = made(&grammar::settings(&policies));
        let after = made(&grammar::settings(&format!("{policies}{forbid}")));
        let (one, other) = (subject(&before, &claims), subject(&after, &claims));
        for thing in &things {
            let object = thing.object();
            prop_assert!(after.right(&other, &object) <= before.right(&one, &object));
            for arguments in &arguments {
                let was = before.decide(&one, &object, bytes(arguments.as_ref())).is_allowed;
                prop_assert!(was || !after.decide(&other, &object, bytes(arguments.as_ref())).is_allowed);
            }
        }
        let template = template(Some("b0"));
        prop_assert!(after.right(&other, &template) <= before.right(&one, &template));
    }

    /// A template that is never allowed stands for no URI that is; one that always is, for those only.
    #[test]
    fn templates_stand_for_their_uris(
        policies in grammar::policies(),
        claims in grammar::claims(),
        thing in grammar::resource(),
    ) {
        let policy = made(&grammar::settings(&policies));
        let caller = subject(&policy, &claims);
        let right = policy.right(&caller, &template(thing.backend));
        for uri in grammar::URIS.iter().filter(|uri| grammar::fits(uri)) {
            let feature = Feature::Resource { template: Some(grammar::TEMPLATE) };
            let object = Object { feature, name: uri, backend: thing.backend };
            let is_allowed = policy.decide(&caller, &object, None).is_allowed;
            match right {
                Right::Never => prop_assert!(!is_allowed, "{uri}"),
                Right::Always => prop_assert!(is_allowed, "{uri}"),
                Right::ByArguments => {}
            }
        }
    }

    /// Whom policies cannot tell apart has the same rights, and is decided about in the same way.
    #[test]
    fn equal_keys_have_equal_rights(
        policies in grammar::policies(),
        claims in vec(grammar::claims(), 12),
        things in vec(grammar::anything(), 3),
        arguments in grammar::arguments(),
    ) {
        let policy = made(&grammar::settings(&policies));
        let mut seen = HashMap::new();
        for claims in &claims {
            let caller = subject(&policy, claims);
            let answers: Vec<_> = things
                .iter()
                .map(|thing| {
                    let object = thing.object();
                    let decision = policy.decide(&caller, &object, bytes(arguments.as_ref()));
                    (policy.right(&caller, &object), decision.is_allowed, decision.policies)
                })
                .collect();
            let template = policy.right(&caller, &template(Some("b0")));
            let known = seen.entry(caller.key()).or_insert_with(|| (answers.clone(), template));
            prop_assert_eq!((&known.0, known.1), (&answers, template));
        }
    }
}

fn template(backend: Option<&str>) -> Object<'_> {
    Object { feature: Feature::Template { fits: &grammar::fits }, name: grammar::TEMPLATE, backend }
}

/// The properties above say something only if all rights come up, and keys are shared.
#[test]
fn the_grammar_reaches_every_right() {
    let mut runner = TestRunner::deterministic();
    let all =
        (grammar::policies(), vec(grammar::claims(), 4), grammar::thing(), grammar::resource());
    let mut rights: HashMap<(bool, Right), usize> = HashMap::new();
    let mut shared = 0;
    for _ in 0..400 {
        let (policies, claims, thing, resource) = all.new_tree(&mut runner).unwrap().current();
        let policy = made(&grammar::settings(&policies));
        let callers: Vec<_> = claims.iter().map(|claims| subject(&policy, claims)).collect();
        *rights.entry((true, policy.right(&callers[0], &thing.object()))).or_default() += 1;
        let right = policy.right(&callers[0], &template(resource.backend));
        *rights.entry((false, right)).or_default() += 1;
        shared += usize::from(callers.iter().skip(1).any(|one| one.key() == callers[0].key()));
    }
    for right in [Right::Never, Right::ByArguments, Right::Always] {
        for of_tool in [true, false] {
            let count = rights.get(&(of_tool, right)).copied().unwrap_or_default();
            assert!(count >= 10, "{right:?} {of_tool}: {rights:?}");
        }
    }
    assert!(shared >= 20, "{shared}");
}
