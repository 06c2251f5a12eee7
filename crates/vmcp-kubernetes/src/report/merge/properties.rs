//! What holds whatever the replicas see, and in whatever order they write.

use proptest::prelude::*;

use super::{
    tests::{Object, report},
    *,
};

const REPLICAS_SEEN: [&str; 4] = ["hub-a", "hub-b", "hub-c", "hub-d"];

/// What a replica sees of up to five backends, some of which it may not know.
fn any_report() -> impl Strategy<Value = Report> {
    ("[rduna-]{0,5}", prop::collection::vec((0..3usize, 0..3usize, any::<bool>()), 5)).prop_map(
        |(letters, details)| {
            let mut report = report(&letters);
            for (backend, (url, revision, has_auth)) in report.backends.iter_mut().zip(details) {
                backend.url = format!("http://{url}.test");
                backend.revision = (revision > 0).then(|| format!("revision {revision}"));
                backend.auth = has_auth.then(|| ("vault".to_owned(), "obo".to_owned()));
                backend.failures = revision as u64;
            }
            report
        },
    )
}

fn any_reports() -> impl Strategy<Value = Vec<Report>> {
    prop::collection::vec(any_report(), 1..=REPLICAS_SEEN.len())
}

/// A status that somebody else wrote, with members that nobody here knows.
fn any_status() -> impl Strategy<Value = Value> {
    let text = prop::sample::select(vec!["Ready", "True", "b0", "unavailable", "", "x; y 1 2r"]);
    let backend = (text.clone(), text.clone()).prop_map(
        |(name, state)| json!({"name": name, "status": state, "unknownToUs": {"a": [1]}}),
    );
    let kinds = vec!["Ready", "Degraded", REPLICAS, "AuthConfigured", "Valid"];
    let condition = (prop::sample::select(kinds), text.clone()).prop_map(
        |(kind, text)| json!({"type": kind, "status": text, "message": text, "unknownToUs": 1}),
    );
    let backends = prop::collection::vec(backend, 0..3);
    let conditions = prop::collection::vec(condition, 0..5);
    (backends, conditions, text).prop_map(|(backends, conditions, text)| {
        json!({
            "discoveredBackends": backends, "conditions": conditions, "url": text,
            "authzConfigHash": text, "unknownToUs": {"of": text},
        })
    })
}

/// What readers of the status see: all but times, counters, and words that some replica chose.
fn seen(object: &Object) -> Value {
    let text = |key: &str| object.status[key].clone();
    let backends = object.status["discoveredBackends"].as_array().cloned().unwrap_or_default();
    let backend = |entry: Value| json!([entry["name"], entry["status"], entry["url"]]);
    let conditions = ["Ready", "Degraded", "BackendsDiscovered"];
    json!({
        "phase": text("phase"), "message": text("message"), "count": text("backendCount"),
        "backends": backends.into_iter().map(backend).collect::<Vec<_>>(),
        "conditions": conditions.map(|kind| object.condition(kind)["status"].clone()),
    })
}

/// Lets every replica write, in this order. Returns how often they did.
fn round(object: &mut Object, reports: &[Report], order: &[usize]) -> usize {
    let write = |&replica: &usize| object.write(REPLICAS_SEEN[replica], Some(&reports[replica]));
    order.iter().map(write).filter(|has_written| *has_written).count()
}

/// Reports of replicas, and an order of them for each of some rounds.
fn any_rounds(rounds: usize) -> impl Strategy<Value = (Vec<Report>, Vec<Vec<usize>>)> {
    any_reports().prop_flat_map(move |reports| {
        let order = Just((0..reports.len()).collect::<Vec<_>>()).prop_shuffle();
        (Just(reports), prop::collection::vec(order, rounds))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn after_two_rounds_nothing_is_written_and_the_order_did_not_matter(
        (reports, orders) in any_rounds(4),
        start in any_status(),
    ) {
        let mut object = Object::new(start.clone());
        round(&mut object, &reports, &orders[0]);
        round(&mut object, &reports, &orders[1]);
        prop_assert_eq!(round(&mut object, &reports, &orders[2]), 0);

        let mut other = Object::new(start);
        round(&mut other, &reports, &orders[3]);
        round(&mut other, &reports, &orders[3]);
        prop_assert_eq!(seen(&object), seen(&other));
    }

    #[test]
    fn writing_twice_changes_nothing(report in any_report(), start in any_status()) {
        let mut object = Object::new(start);
        object.write("hub-a", Some(&report));
        let before = object.status.clone();
        prop_assert!(!object.write("hub-a", Some(&report)));
        prop_assert_eq!(object.status, before);
    }

    #[test]
    fn what_nobody_here_knows_survives((reports, orders) in any_rounds(2), start in any_status()) {
        let mut object = Object::new(start.clone());
        orders.iter().for_each(|order| {
            round(&mut object, &reports, order);
        });
        for key in ["url", "authzConfigHash", "unknownToUs"] {
            prop_assert_eq!(&object.status[key], &start[key]);
        }
        for before in start["conditions"].as_array().unwrap() {
            let kind = before["type"].as_str().unwrap();
            if ["AuthConfigured", "Valid"].contains(&kind) {
                let after = object.status["conditions"].as_array().unwrap();
                prop_assert!(after.contains(before));
            } else if kind != "Degraded" {
                prop_assert_eq!(&object.condition(kind)["unknownToUs"], 1);
            }
        }
        // The first to write takes out what it does not know.
        let first = &reports[orders[0][0]].backends;
        let known = |name: &Value| first.iter().any(|backend| *name == backend.name.as_str());
        let after = object.status["discoveredBackends"].as_array().unwrap();
        for before in start["discoveredBackends"].as_array().unwrap() {
            if known(&before["name"]) {
                let after = after.iter().find(|after| after["name"] == before["name"]).unwrap();
                prop_assert_eq!(&after["unknownToUs"]["a"][0], 1);
            }
        }
    }

    #[test]
    fn whoever_leaves_leaves_nothing_behind((reports, orders) in any_rounds(3)) {
        let mut object = Object::new(json!({}));
        orders[..2].iter().for_each(|order| {
            round(&mut object, &reports, order);
        });
        let (left, stay) = orders[2].split_at(reports.len() / 2);
        for &replica in left {
            object.write(REPLICAS_SEEN[replica], None);
        }
        round(&mut object, &reports, stay);
        round(&mut object, &reports, stay);
        let mut other = Object::new(json!({}));
        round(&mut other, &reports, stay);
        round(&mut other, &reports, stay);
        prop_assert_eq!(seen(&object), seen(&other));
    }
}
