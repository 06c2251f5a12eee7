//! Parameters that are repeated in headers, and what happens where the two sides have another idea of
//! which those are.

use http::{HeaderName, HeaderValue};
use vmcp_model::Era;
use vmcp_testkit::{
    modern::{self, ModernServer},
    raw::Kind,
};
use vmcp_wire::Fault;

use crate::{
    client::{Client, text_of},
    world::{Modern, Setup, World},
};

/// A tool whose parameter `p` is repeated in this header.
fn mirrored(header: &str) -> String {
    format!(
        r#"{{"name":"t","inputSchema":{{"type":"object","properties":{{"p":{{"type":"string","x-mcp-header":"{header}"}}}}}}}}"#
    )
}

fn server(header: &str) -> Modern {
    let answer = modern::fixed(modern::text("done"));
    ModernServer::builder().offer(Kind::Tools, &mirrored(header), answer).start_in_memory()
}

/// A client that says this in headers, in front of a server whose tool repeats `p` as `One`.
async fn before(server: &Modern, era: Era, says: &[(&'static str, &str)]) -> (World, Client) {
    let (world, client) = Setup::new().with("a", server).settled(era).await;
    let parameters = says.iter().map(|(name, value)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    });
    (world, Client { parameters: parameters.collect(), ..client })
}

const ARGUMENTS: &str = r#"{"p":"x"}"#;

/// Another definition of the tool, without a word to anybody.
fn redefine(server: &Modern, definition: &str) {
    server.put(Kind::Tools, definition, modern::fixed(modern::text("done")));
}

#[tokio::test(start_paused = true)]
async fn what_a_client_says_in_headers_must_be_what_its_arguments_say() {
    let server = server("One");
    for (says, arguments, wrong) in [
        (vec![("mcp-param-one", "x")], ARGUMENTS, None),
        (vec![("mcp-param-one", "=?base64?eA==?=")], ARGUMENTS, None),
        (vec![], "{}", None),
        (vec![], r#"{"p":null}"#, None),
        (vec![("mcp-param-two", "y"), ("mcp-param-one", "x")], ARGUMENTS, None),
        (vec![], ARGUMENTS, Some("is missing")),
        (vec![("mcp-param-one", "y")], ARGUMENTS, Some("differs from the parameter")),
        (vec![("mcp-param-one", "x")], "{}", Some("that is not given")),
        (vec![("mcp-param-one", "x"), ("mcp-param-one", "x")], ARGUMENTS, Some("twice")),
        (vec![("mcp-param-one", "=?base64?*?=")], ARGUMENTS, Some("must be written as")),
    ] {
        let (world, client) = before(&server, Era::Modern, &says).await;
        let called = client.send(&client.tool_call("a_t", arguments)).await;
        match wrong {
            None => assert_eq!(text_of(&called.json()), "done", "{says:?} {arguments}"),
            Some(wrong) => {
                let fault = called.fault();
                let Fault::HeaderMismatch(why) = &fault else { panic!("{fault}") };
                assert!(why.contains(wrong), "{says:?} {arguments}: {why}");
                assert_eq!(world.tool_calls("a"), (0, 0, 0), "nothing was sent");
            }
        }
    }
    assert_eq!(server.refusals(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_legacy_client_need_not_repeat_anything() {
    let server = server("One");
    let (_world, client) = before(&server, Era::Legacy, &[]).await;
    let answer = client.send(&client.tool_call("a_t", ARGUMENTS)).await.json();
    assert_eq!(text_of(&answer), "done");
    assert_eq!(server.last("tools/call").unwrap().header("mcp-param-one"), Some("x"));
    assert_eq!(server.refusals(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_call_is_sent_anew_with_the_headers_of_the_tool_as_it_is_listed_now() {
    for era in [Era::Legacy, Era::Modern] {
        let server = server("One");
        let (world, client) = before(&server, era, &[("mcp-param-one", "x")]).await;
        redefine(&server, &mirrored("Two"));
        let answer = client.send(&client.tool_call("a_t", ARGUMENTS)).await.json();
        assert_eq!(text_of(&answer), "done", "{era:?}");
        assert_eq!(server.last("tools/call").unwrap().header("mcp-param-two"), Some("x"));
        assert_eq!(server.counters().executions("t"), 1, "what was refused did not run");
        assert_eq!((server.refusals().len(), world.tool_calls("a")), (1, (1, 0, 0)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_refused_again_is_a_failure_of_the_backend() {
    for era in [Era::Legacy, Era::Modern] {
        let server = server("One");
        let (world, client) = before(&server, era, &[("mcp-param-one", "x")]).await;
        server.next("tools/call", &modern::header_mismatch("never enough"), 3);
        let fault = client.send(&client.tool_call("a_t", ARGUMENTS)).await.fault();
        let Fault::Backend { reason, .. } = &fault else { panic!("{fault}") };
        assert!(reason.contains("refuses the headers"), "{reason}");
        assert_eq!(server.counters().requests("tools/call"), 2, "once, and once more");
        assert_eq!(world.tool_calls("a"), (1, 1, 0));
        server.forget_next();
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_is_listed_no_more_is_not_called_anew() {
    let server = server("One");
    let (_world, client) = before(&server, Era::Legacy, &[]).await;
    server.remove(Kind::Tools, "t");
    server.next("tools/call", &modern::header_mismatch("no"), 1);
    let fault = client.send(&client.tool_call("a_t", ARGUMENTS)).await.fault();
    assert!(matches!(fault, Fault::Backend { .. }), "{fault}");
    assert_eq!(server.counters().requests("tools/call"), 1);
}
