//! What URIs lead to: listed, by templates, in other spellings, handed out, or by there being one backend.

use vmcp_model::Era;
use vmcp_testkit::raw::{self, Answer, Kind, RawServer};
use vmcp_wire::Fault;

use crate::{
    client::Client,
    world::{BOTH, Legacy, Setup, World, free, id, plain_legacy, plain_modern},
};

/// A server with these resources and templates, which says by which URI it was asked.
fn server(uris: &[&str], templates: &[&str]) -> Legacy {
    let read = raw::handler(|call: raw::Call| async move {
        let uri: String = call.param("uri").unwrap();
        Answer::from(format!(r#"{{"contents":[],"x":"{uri}"}}"#))
    });
    let mut server = RawServer::builder().script("resources/read", read.clone());
    for uri in uris {
        let definition = format!(r#"{{"uri":"{uri}","name":"r"}}"#);
        server = server.offer(Kind::Resources, &definition, read.clone());
    }
    for template in templates {
        let definition = format!(r#"{{"uriTemplate":"{template}","name":"t"}}"#);
        server = server.offer(Kind::Templates, &definition, read.clone());
    }
    server.start_in_memory()
}

fn reads(client: &Client, uri: &str) -> Result<String, Fault> {
    client.leads_to("resources/read", &format!(r#""uri":"{uri}""#))
}

fn none(uri: &str) -> Result<String, Fault> {
    Err(Fault::ResourceNotFound { uri: uri.to_owned() })
}

/// What a backend was asked for in the place of this.
async fn asked_for(client: &Client, uri: &str) -> String {
    let message = client.request("resources/read", &format!(r#""uri":"{uri}""#));
    let answer = client.send(&message).await.json();
    answer["result"]["x"].as_str().unwrap().to_owned()
}

async fn before(one: &Legacy, other: &Legacy, era: Era) -> (World, Client) {
    Setup::new().with("a", one).with("b", other).settled(era).await
}

#[tokio::test(start_paused = true)]
async fn a_uri_leads_to_who_lists_it_and_then_to_who_has_a_template_for_it() {
    let (one, other) =
        (server(&["x:1", "x:both"], &["t:{id}"]), server(&["x:2", "x:both", "t:9"], &[]));
    for era in BOTH {
        let (_world, client) = before(&one, &other, era).await;
        for (uri, to) in [("x:1", "a"), ("x:2", "b"), ("x:both", "a"), ("t:1", "a"), ("t:9", "b")] {
            assert_eq!(reads(&client, uri), Ok(to.to_owned()), "{era:?} {uri}");
        }
        assert_eq!(reads(&client, "y:1"), none("y:1"));
        assert_eq!(reads(&client, "t:1/2"), none("t:1/2"), "a variable is one segment");
    }
}

#[tokio::test(start_paused = true)]
async fn a_template_is_asked_for_what_the_client_has_made_of_it() {
    let (one, other) = (server(&[], &["t:{id}/x"]), plain_legacy());
    for era in BOTH {
        let (_world, client) = before(&one, &other, era).await;
        assert_eq!(asked_for(&client, "t:%C3%A4/x").await, "t:%C3%A4/x", "{era:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_uri_in_another_spelling_is_asked_for_as_its_backend_writes_it() {
    let (one, other) = (server(&["file:///a b.txt"], &["http://h/{id}"]), plain_legacy());
    for era in BOTH {
        let (_world, client) = before(&one, &other, era).await;
        for (uri, as_written) in [
            ("file:///a%20b.txt", "file:///a b.txt"),
            ("FILE:///a b.txt", "file:///a b.txt"),
            ("HTTP://h/1", "http://h/1"),
        ] {
            assert_eq!(reads(&client, uri), Ok("a".to_owned()), "{era:?} {uri}");
            assert_eq!(asked_for(&client, uri).await, as_written);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_uri_that_was_handed_out_leads_to_who_has_handed_it_out() {
    let (one, other) = (server(&["x:1"], &["y:{id}"]), server(&["x:2"], &[]));
    let (_world, client) = before(&one, &other, Era::Legacy).await;
    assert_eq!(reads(&client, "y:new"), Ok("a".to_owned()), "by the template");
    assert_eq!(reads(&client, "z:new"), none("z:new"));
    for uri in ["y:new", "z:new", "x:1"] {
        client.sessions.handed.lock().unwrap().insert(uri.to_owned(), id("b"));
    }
    assert_eq!(reads(&client, "y:new"), Ok("b".to_owned()), "before any template");
    assert_eq!(reads(&client, "z:new"), Ok("b".to_owned()));
    assert_eq!(reads(&client, "x:1"), Ok("a".to_owned()), "what is listed is asked where it is");
    assert_eq!(reads(&client.another(), "z:new"), none("z:new"), "it was not handed to others");
}

#[tokio::test(start_paused = true)]
async fn what_was_handed_out_by_a_backend_that_is_not_the_callers_leads_nowhere() {
    let (one, other) = (server(&["x:1"], &[]), server(&["x:2"], &[]));
    let (world, client) = before(&one, &other, Era::Legacy).await;
    client.sessions.handed.lock().unwrap().insert("z:new".to_owned(), id("b"));
    assert_eq!(reads(&client, "z:new"), Ok("b".to_owned()));
    let third = server(&["x:3"], &[]);
    let without = Setup::new().with("a", &one).with("c", &third).begin();
    let shown = without.client(Era::Legacy).await.catalog();
    let client = Client { catalog: Some(shown), ..client };
    assert_eq!(reads(&client, "z:new"), none("z:new"));
    drop(world);
}

#[tokio::test(start_paused = true)]
async fn a_uri_that_a_tools_definition_names_leads_to_the_tools_backend() {
    let linking = r#"{"name":"t","inputSchema":{"type":"object"},"_meta":{"ui":{"resourceUri":"ui://page"}}}"#;
    let one = RawServer::builder()
        .tool(linking, Answer::text(""))
        .resource(r#"{"uri":"x:1","name":"r"}"#, r#"{"contents":[]}"#)
        .start_in_memory();
    let other = server(&["x:2"], &[]);
    for era in BOTH {
        let (_world, client) = before(&one, &other, era).await;
        assert_eq!(reads(&client, "ui://page"), Ok("a".to_owned()), "{era:?}");
        assert_eq!(reads(&client, "ui://other"), none("ui://other"));
        // Who may not use the tool is not told of its page.
        let catalog = client.catalog().restricted(free(|item| item.key != "a_t"));
        let denied = Client { catalog: Some(catalog), ..client };
        assert_eq!(reads(&denied, "ui://page"), none("ui://page"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_lists_leads_to_the_only_backend_there_is() {
    for era in BOTH {
        let (one, other) = (plain_legacy(), plain_modern());
        let (_world, client) = Setup::new().with("a", &one).settled(era).await;
        assert_eq!(reads(&client, "z:any"), Ok("a".to_owned()), "{era:?}");
        let setup = Setup::new().with("a", &one).with("b", &other);
        let (_world, client) = setup.settled(era).await;
        assert_eq!(reads(&client, "z:any"), none("z:any"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_lists_leads_to_the_only_backend_with_resources() {
    let (one, other) = (server(&["x:1"], &[]), plain_legacy());
    for era in BOTH {
        let (_world, client) = before(&one, &other, era).await;
        assert_eq!(reads(&client, "z:any"), Ok("a".to_owned()), "{era:?}");
        let catalog = client.catalog().restricted(free(|item| item.key != "x:1"));
        let denied = Client { catalog: Some(catalog), ..client };
        assert_eq!(reads(&denied, "z:any"), none("z:any"), "it is not shown that there is any");
    }
}

#[tokio::test(start_paused = true)]
async fn a_legacy_client_subscribes_where_it_reads() {
    let (one, other) = (server(&["x:1"], &["t:{id}"]), server(&["x:2"], &[]));
    let (_world, client) = before(&one, &other, Era::Legacy).await;
    for method in ["resources/subscribe", "resources/unsubscribe"] {
        for (uri, to) in [("x:1", "a"), ("x:2", "b"), ("t:1", "a")] {
            let found = client.leads_to(method, &format!(r#""uri":"{uri}""#));
            assert_eq!(found, Ok(to.to_owned()), "{method} {uri}");
        }
    }
    client.send(&client.request("resources/subscribe", r#""uri":"x:1""#)).await.json();
    let subscribed = one.sessions().iter().any(|session| session.subscriptions() == ["x:1"]);
    assert!(subscribed);
}
