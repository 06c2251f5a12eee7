//! Resources and templates: who gets a URI, and where a URI leads.

use vmcp_model::Kind;

use super::{
    Rules, check, id, item, manual, merge, of_backend, offer_of, offers, prefix, priority, target,
};

const OFFERS: &str = "a resources: x://1, x://2
                      b resources: x://1, x://1
                      b templates: x://{id}
                      c templates: x://{id}";

#[test]
fn a_uri_goes_to_the_first_backend() {
    let expected = "resource x://1 -> a/x://1
                    resource x://2 -> a/x://2
                    template x://{id} -> b/x://{id}
                    dropped resource b/x://1: shadowed by a
                    dropped resource b/x://1: shadowed by a
                    dropped template c/x://{id}: shadowed by b";
    check(&prefix(), OFFERS, expected);
    check(&manual(), OFFERS, expected);
    check(&priority(&[]), OFFERS, expected);
}

#[test]
fn priority_decides_over_uris_too() {
    check(
        &priority(&["c", "b"]),
        OFFERS,
        "resource x://2 -> a/x://2
         resource x://1 -> b/x://1
         template x://{id} -> c/x://{id}
         dropped resource a/x://1: shadowed by b
         dropped resource b/x://1: listed twice
         dropped template b/x://{id}: shadowed by c",
    );
}

#[test]
fn without_a_priority_a_uri_goes_to_the_backend_that_is_listed_first() {
    let order = ["c", "b"].map(id).to_vec();
    check(
        &Rules { order, ..prefix() },
        OFFERS,
        "resource x://1 -> b/x://1
         resource x://2 -> a/x://2
         template x://{id} -> c/x://{id}
         dropped resource a/x://1: shadowed by b
         dropped resource b/x://1: listed twice
         dropped template b/x://{id}: shadowed by c",
    );
}

#[track_caller]
fn check_route(uri: &str, expected: Option<&str>) {
    let offered = "a resources: x://1/2
                   b templates: x://{b}/{c}, y://{+rest}, z://{broken
                   c templates: x://1/{id}, x://{a}/{+rest}, w://{ok}
                   d templates: w://ok";
    let (catalog, _) = merge(&offers(offered), &prefix());
    let route = catalog.resource(uri).map(target);
    assert_eq!(route.as_deref(), expected, "{uri}");
}

#[test]
fn a_listed_uri_comes_before_templates() {
    check_route("x://1/2", Some("a/x://1/2"));
    check_route("x://1/3", Some("b/x://{b}/{c}"));
    check_route("w://ok", Some("d/w://ok"));
}

#[test]
fn the_first_template_that_fits_gets_the_uri() {
    check_route("x://2/3", Some("b/x://{b}/{c}"));
    check_route("x://2/3/4", Some("c/x://{a}/{+rest}"));
    check_route("y://2/3", Some("b/y://{+rest}"));
    check_route("v://2/3", None);
}

#[test]
fn a_template_by_its_own_text_is_a_listed_uri() {
    check_route("x://{b}/{c}", Some("b/x://{b}/{c}"));
    check_route("z://{broken", Some("b/z://{broken"));
    check_route("z://fixed", None);
}

/// A backend whose templates cost too much loses its own, and takes nothing from others.
#[test]
fn what_templates_cost_is_bounded_for_each_backend() {
    let bombs = (0..2_000).map(|number| {
        item(Kind::ResourceTemplate, &format!("{{+a}}{{b}}{{+c}}{{d:99}}!{number}{{+e}}"))
    });
    let last = item(Kind::ResourceTemplate, "x://{+rest}");
    let mut offers = offer_of("a", Kind::ResourceTemplate, bombs.chain([last.clone()]).collect());
    let uri = format!("x://{}", "y".repeat(5_000));
    let leads_to = |offers: &_| {
        let (catalog, _) = merge(offers, &prefix());
        catalog.resource(&uri).map(|route| of_backend(route).0.to_string())
    };
    assert_eq!(leads_to(&offers), None);
    offers.extend(offer_of(
        "b",
        Kind::ResourceTemplate,
        vec![item(Kind::ResourceTemplate, "x://{all}")],
    ));
    assert_eq!(leads_to(&offers).as_deref(), Some("b"));
    assert_eq!(leads_to(&offer_of("a", Kind::ResourceTemplate, vec![last])).as_deref(), Some("a"));
}

#[track_caller]
fn check_spelled(uri: &str, expected: Option<&str>) {
    let offered = "a resources: Note:One, x://Host/é, http://HOST/a%41, y:a%2fb
                   b templates: NOTE://{id}, z://é/{id}, w:a/{x}";
    let (catalog, _) = merge(&offers(offered), &prefix());
    assert_eq!(catalog.spelled(uri).as_deref(), expected, "{uri}");
}

#[test]
fn a_uri_that_is_written_in_another_way_is_found() {
    for (sent, listed) in [
        ("note:One", "Note:One"),
        ("x://Host/%C3%A9", "x://Host/é"),
        ("http://host/aA", "http://HOST/a%41"),
        ("http://host:80/aA", "http://HOST/a%41"),
        ("y:a%2Fb", "y:a%2fb"),
        ("note://5", "NOTE://5"),
        ("w:%61/5", "w:a/5"),
    ] {
        check_spelled(sent, Some(listed));
    }
}

#[test]
fn what_leads_somewhere_or_means_something_else_stays_as_it_is() {
    for sent in ["Note:One", "NOTE://5", "z://%C3%A9/5", "note:one", "y:a/b", "no uri", "q://x", ""]
    {
        check_spelled(sent, None);
    }
}

#[test]
fn the_only_backend_with_resources_is_known() {
    let sole = |offered: &str| {
        let (catalog, _) = merge(&offers(offered), &prefix());
        catalog.sole_with_resources().cloned()
    };
    assert_eq!(sole("a: t\nb resources: x://1\nb templates: x://{y}"), Some(id("b")));
    assert_eq!(sole("a resources: y://1\nb templates: x://{y}"), None);
    assert_eq!(sole("a: t\nb: t"), None);
}
