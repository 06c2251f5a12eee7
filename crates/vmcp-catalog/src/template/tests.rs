//! Which URIs a template can expand to.
//!
//! The expansions are those of RFC 6570, section 3.2, unless a test says otherwise.

use super::{MAX_TEMPLATE, MAX_URI, Matcher, Steps, pieces};

/// Each line is a URI, a template, and whether they match.
#[track_caller]
fn check(lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (template, uri, expected) = if let Some((template, uri)) = line.split_once(" = ") {
            (template, uri, true)
        } else {
            let (template, uri) = line.split_once(" ! ").expect("a template and a URI");
            (template, uri, false)
        };
        assert_eq!(matches(template, uri), expected, "{line}");
    }
}

fn matches(template: &str, uri: &str) -> bool {
    Matcher::new(uri).fits(template, &mut Steps::new())
}

#[test]
fn simple_expressions() {
    check(
        "x://{var} = x://value
         x://{hello} = x://Hello%20World%21
         x://map?{x,y} = x://map?1024,768
         x://{x,hello,y} = x://1024,Hello%20World%21,768
         x://a{undef}b = x://ab
         x://{var:3} = x://val
         x://{var:3} ! x://valu
         x://{var:3} = x://%E2%82%ACab
         x://{var:3} = x://€ab
         x://{var:3} ! x://%E2%82%ACabc
         x://{var:300} = x://value
         x://{var:17} ! x://123456789012345678
         x://{list} = x://red,green,blue
         x://{keys*} = x://semi=%3B,dot=.,comma=%2C
         x://{id}/data = x://1/data
         x://{id}/data ! x://1/2/data
         x://{id}/data ! x://1/data/
         x://{id} ! x://1?a=b
         x://{id} ! x://1#f
         x://{id} ! y://1
         x://{id} ! ax://1",
    );
}

#[test]
fn reserved_expressions() {
    check(
        "{+base}index = http://example.com/home/index
         x://{+path}/here = x:///foo/bar/here
         x://{+x,hello,y} = x://1024,Hello%20World!,768
         x://{+path:6}/here = x:///foo/b/here
         x://{+path:6}/here ! x:///foo/ba/here
         x://{+keys*} = x://semi=;,dot=.,comma=,",
    );
}

#[test]
fn fragments() {
    check(
        "x:{#var} = x:#value
         x:{#path,x} = x:#/foo/bar,1024
         x:{#path:6}here = x:#/foo/bhere
         x:{#undef} = x:
         x:{#var} ! x:value",
    );
}

#[test]
fn labels() {
    check(
        "X{.var} = X.value
         X{.x,y} = X.1024.768
         X{.list} = X.red,green,blue
         X{.list*} = X.red.green.blue
         X{.var:3} = X.val
         X{.empty_keys} = X
         X{.var} ! Xvalue
         X{.var} ! X.a/b",
    );
}

#[test]
fn path_segments() {
    check(
        "x:{/var} = x:/value
         x:{/var,x}/here = x:/value/1024/here
         x:{/var,x}/here = x:/value/here
         x:{/var,x}/here ! x:/a/b/c/here
         x:{/var:1,var} = x:/v/value
         x:{/list*} = x:/red/green/blue
         x:{/list*,path:4} = x:/red/green/blue/%2Ffoo
         x:{/var} ! x:/a/b
         x:{/undef} = x:",
    );
}

#[test]
fn path_parameters() {
    check(
        "x:{;who} = x:;who=fred
         x:{;x,y,empty} = x:;x=1024;y=768;empty
         x:{;hello:5} = x:;hello=Hello
         x:{;list} = x:;list=red,green,blue
         x:{;keys*} = x:;semi=%3B;dot=.
         x:{;x} ! x:;z=1",
    );
}

#[test]
fn queries() {
    check(
        "x:{?x,y} = x:?x=1024&y=768
         x:{?x,y,empty} = x:?x=1024&y=768&empty=
         x:{?x,y} = x:?y=768
         x:{?x,y} = x:
         x:{?x,y} ! x:?z=1
         x:{?var:3} = x:?var=val
         x:{?var:3} ! x:?var=value
         x:{?keys*} = x:?semi=%3B&dot=.
         x:?fixed=yes{&x} = x:?fixed=yes&x=1024
         x:{&x,y} = x:&x=1024&y=768
         x:{?a.b} ! x:?aXb=1",
    );
}

#[test]
fn literals_mean_themselves() {
    check(
        "a.b:{x} ! aXb:1
         x:[{a}](c)+* = x:[1](c)+*
         x://é/{a} = x://é/1
         x://é/{a} = x://%c3%A9/1
         x:{a}é = x:1%C3%A9
         x:{a} b = x:1%20b
         x://plain = x://plain
         x://plain ! x://plain2",
    );
}

#[test]
fn what_servers_use_beyond_the_rfc() {
    check(
        "x://{path*} = x://a/b/c
         x://{path*} ! x://a?b
         user://{mail} = user://me@example.com
         x://{user-id} = x://1
         x:{?x,y} = x:?y=768&x=1024",
    );
}

#[test]
fn a_malformed_template_matches_nothing() {
    for template in [
        "x:{",
        "x:}",
        "x:{}",
        "x:{a",
        "x:a}",
        "x:{a{b}}",
        "x:{a}}",
        "x:{a,}",
        "x:{,a}",
        "x:{ a}",
        "x:{a*:3}",
        "x:{a:3*}",
        "x:{a:}",
        "x:{a:0}",
        "x:{a:03}",
        "x:{a:10000}",
        "x:{a:+3}",
        "x:{=a}",
        "x:{!a}",
        "x:{|a}",
        "x:{@a}",
        "x:{+}",
        "x:{a%2}",
        "x:{a%zz}",
        "x:{.}",
        "x:{a.}",
        "x:{é}",
        "x:{(a}",
    ] {
        assert!(!is_well_formed(template), "{template}");
        for uri in ["x:", "x:1", "x:{", "x:}", "x:a", "x:a}", template] {
            assert!(!matches(template, uri), "{template} {uri}");
        }
    }
    assert!(is_well_formed("x:{a%C3%A9.b_c}"));
    assert!(matches("x:{a%C3%A9.b_c}", "x:1"));
}

fn is_well_formed(template: &str) -> bool {
    pieces(template).all(|piece| piece.is_some())
}

#[test]
fn sizes_are_bounded() {
    let uri = |length: usize| format!("x:{}", "a".repeat(length - 2));
    assert!(matches("x:{a}", &uri(MAX_URI)));
    assert!(!matches("x:{a}", &uri(MAX_URI + 1)));
    assert!(matches(&uri(MAX_TEMPLATE), &uri(MAX_TEMPLATE)));
    assert!(!matches(&uri(MAX_TEMPLATE + 1), &uri(MAX_TEMPLATE + 1)));
    assert!(matches(&"{+a:16}".repeat(200), "a"));
    assert!(matches("x://{a:16}/{b:16}/{c,d:9}{?d:16,e,f,g,h}", "x://1/2/3?d=4"));
}

#[test]
fn a_template_that_has_nothing_to_do_with_the_uri_costs_a_step() {
    let mut steps = Steps::new();
    let mut matcher = Matcher::new("x://a/b");
    for template in ["y://{+a}{+b}{+c}", "{a:16}{b:16}{c:16}#1"].repeat(50_000) {
        assert!(!matcher.fits(template, &mut steps));
    }
    assert_eq!(steps.0, Steps::MOST - 100_000);
    assert!(matcher.fits("x://{a}/{b}", &mut steps));
}

/// However a template is written, it costs no more than there is, and leaves nothing behind in the
/// matcher that another one would come across.
#[test]
fn the_steps_are_bounded() {
    let uri = format!("x:{}", "a".repeat(MAX_URI - 2));
    let names = |operator: char| {
        let names: Vec<_> = (1..40).map(|length| "a".repeat(length)).collect();
        format!("{{{operator}{}}}", names.join(",")).repeat(2)
    };
    for bomb in [
        "{+a}a".repeat(400),
        "{a:9999}".repeat(250),
        "{/a,b,c,d*}{a}".repeat(100),
        names('?'),
        names('&'),
        "é{+a}".repeat(200),
    ] {
        let mut matcher = Matcher::new(&uri);
        let mut steps = Steps::new();
        for number in 0..1_000 {
            assert!(!matcher.fits(&format!("{{+x}}{bomb}!{number}{{y}}"), &mut steps));
        }
        assert_eq!(steps.0, 0, "{bomb}");
        assert!(matcher.fits("x:{a}", &mut Steps::new()));
        assert!(matcher.fits("x:{a:9999}", &mut Steps::new()));
        assert!(!matcher.fits("x:{a:9}", &mut Steps::new()));
    }
}
