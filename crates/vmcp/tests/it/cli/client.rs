//! The small client: list, tools, call, read, get; against a URL and against files.

use vmcp_testkit::{
    gateway::Gateway,
    raw::{Answer, RawServer, Running, fixed},
};

use super::{Desk, configuration, shop};

/// The last request with this method that a server has seen.
fn sent(server: &Running, method: &str) -> String {
    let seen = server.seen();
    let mut bodies = seen.iter().map(|seen| String::from_utf8_lossy(&seen.body).into_owned());
    bodies.rfind(|body| body.contains(method)).unwrap()
}

#[tokio::test]
async fn a_server_is_listed_for_people() {
    let server = shop().start().await.unwrap();
    let (url, desk) = (server.url(), Desk::new());
    let tools = "
Tools (4)
  order(item: string, count?: integer|null, note?)  Orders something.
  break()
  look()                                            Shows \\u{1b}[31mred
  count()
";
    let rest = "
Resources (2)
  shop://terms  What holds.
  shop://logo   logo

Templates (1)
  shop://item/{id}  item

Prompts (1)
  greet(who, how?)  Greets.
";
    desk.check(&["tools", &url], tools).await;
    desk.check(&["list", &url, "tools"], tools).await;
    desk.check(&["list", &url], &format!("{tools}{rest}")).await;
    desk.check(&["list", &url, "prompts"], "Prompts (1)\n  greet(who, how?)  Greets.\n").await;
    assert_eq!(server.sessions().len(), 0, "every session is ended");
}

#[tokio::test]
async fn a_server_is_listed_for_programs() {
    let server = shop().start().await.unwrap();
    let (out, error, code) = Desk::new().run(&["list", &server.url(), "--json"]).await;
    assert_eq!((error.as_str(), code), ("", 0));
    let lists: serde_json::Value = serde_json::from_str(&out).unwrap();
    let count = |list: &str| lists[list].as_array().unwrap().len();
    assert_eq!(
        ["tools", "resources", "resourceTemplates", "prompts"].map(count),
        [4, 2, 1, 1],
        "{out}"
    );
    let order = lists["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == "order");
    assert_eq!(order.unwrap()["inputSchema"]["required"][0], "item");
}

#[tokio::test]
async fn a_long_list_is_read_to_its_end() {
    let server = vmcp_testkit::peers::many_tools(120, 50).start().await.unwrap();
    let (out, _, code) = Desk::new().run(&["tools", &server.url()]).await;
    assert_eq!((out.lines().next(), out.lines().count(), code), (Some("Tools (120)"), 121, 0));
}

#[tokio::test]
async fn a_tool_is_called_with_what_was_typed() {
    let server = shop().start().await.unwrap();
    let (url, desk) = (server.url(), Desk::new());
    let desk = desk.with("arguments.json", "{\"item\": \"of a file\"}\n");
    for (typed, expected) in [
        (&["order", "item=42", "count=2", "note=[1]"][..], r#"{"item":"42","count":2,"note":[1]}"#),
        (&["order", "item=", "count=null", "note=a=b"], r#"{"item":"","count":null,"note":"a=b"}"#),
        (&["order", "--arguments", r#"{"item":"7"}"#], r#"{"item":"7"}"#),
        (&["order", "--arguments", "@arguments.json"], r#"{"item":"of a file"}"#),
    ] {
        desk.check(&[&["call", &url], typed].concat(), "ordered\n").await;
        let call = sent(&server, "tools/call");
        assert!(call.contains(&format!(r#""arguments":{expected}"#)), "{call}");
    }
    let piped = "echo '{\"item\": \"piped\"}' | \"$0\" call \"$1\" order --arguments -";
    let shell = ["-c", piped, env!("CARGO_BIN_EXE_vmcp"), &url];
    let output = tokio::process::Command::new("sh").args(shell).output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ordered\n");
    assert!(sent(&server, "tools/call").contains(r#""arguments":{"item":"piped"}"#));
    desk.check(&["call", &url, "look"], "a picture:\n[image image/png, about 6 bytes]\n").await;
    desk.check(&["call", &url, "count"], "{\n  \"stock\": 1.1\n}\n").await;
    let raw = "{\"content\":[],\"structuredContent\":{\"stock\":1.10}}\n";
    desk.check(&["call", "--json", &url, "count"], raw).await;
}

#[tokio::test]
async fn what_fails_is_told_on_standard_error() {
    let server = shop().start().await.unwrap();
    let url = server.url();
    let desk = Desk::new().showing(&url, "URL");
    desk.check(
        &["call", &url, "break"],
        "! error: break reports: it broke\n! \\u{1b}[31mbadly\nexit 1\n",
    )
    .await;
    let json = "{\"content\":[{\"type\":\"text\",\"text\":\"it broke\\n\\u001b[31mbadly\"}],\"isError\":true}\n";
    let expected = format!("{json}! error: break reports an error\nexit 1\n");
    desk.check(&["call", &url, "break", "--json"], &expected).await;
    let (_, error, code) = desk.run(&["call", &url, "nothing"]).await;
    assert!(error.starts_with("error: ") && code == 1, "{error}");
    let (_, error, code) = desk.run(&["read", &url, "shop://nothing"]).await;
    assert!(error.starts_with("error: ") && code == 1, "{error}");
    desk.check(
        &["tools", "http://127.0.0.1:1/mcp"],
        "! error: no session with http://127.0.0.1:1/mcp: cannot be reached: nothing listens at 127.0.0.1:1 (connection refused); is it running?\nexit 1\n",
    )
    .await;
    let credential = "; show a credential with --header 'Authorization: Bearer ...'";
    // What a server says of itself is worth more than a guess.
    let said = r#"{"error":{"message":"the host is not allowed"}}"#;
    for (status, body, told) in [
        (401, "", credential.to_owned()),
        (403, "", credential.to_owned()),
        (403, said, ": the host is not allowed".to_owned()),
    ] {
        let content_type = (!body.is_empty()).then_some("application/json");
        let refusal = Answer::Http { status, content_type, body: body.to_owned().into() };
        let closed = RawServer::builder().script("initialize", fixed(refusal));
        let closed = closed.start().await.unwrap();
        let url = closed.url();
        let expected =
            format!("! error: {url} refuses this caller with HTTP status {status}{told}\nexit 1\n");
        desk.check(&["tools", &url], &expected).await;
    }
    desk.check(
        &["tools", "nowhere"],
        "! error: nowhere is neither a URL nor a file that ends in .yaml, .yml or .json\nexit 2\n",
    )
    .await;
    desk.check(&["tools", "http://"], "! error: http:// is no URL\nexit 2\n").await;
    for arguments in [
        &["call", &url, "order", "item"][..],
        &["call", &url, "order", "--arguments", "\"s3cret\""],
        &["call", &url, "order", "--arguments", "{\"a\": s3cret}"],
        &["call", &url, "order", "a=b", "--arguments", "{}"],
        &["call", &url, "order", "--arguments", "@nowhere.json"],
        &["call", &url, "order", "--arguments", "-"],
        &["tools", &url, "--header", "s3cret"],
        &["tools", &url, "--header", "a b: s3cret"],
        &["tools", &url, "--header", "a: s3cret\u{1}x"],
        &["tools", &url, "--header", "Mcp-Session-Id: s3cret"],
    ] {
        let (out, error, code) = desk.run(arguments).await;
        assert_eq!((out.as_str(), code), ("", 2), "{error}");
        assert!(error.contains("error:") && !error.contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn resources_and_prompts_are_shown() {
    let server = shop().start().await.unwrap();
    let (url, desk) = (server.url(), Desk::new());
    desk.check(&["read", &url, "shop://terms"], "No returns.\n").await;
    desk.check(
        &["read", "--json", &url, "shop://terms"],
        "{\"contents\":[{\"uri\":\"shop://terms\",\"text\":\"No returns.\"}]}\n",
    )
    .await;
    let (out, _, _) = desk.run(&["read", &url, "shop://logo"]).await;
    assert_eq!(out.trim_end().as_bytes(), b"\0\x01\x02", "bytes are written as they are");
    desk.check(&["get", &url, "greet", "who=42"], "user: Hello\n").await;
    let get = sent(&server, "prompts/get");
    assert!(get.contains(r#""arguments":{"who":"42"}"#), "{get}");
}

#[tokio::test]
async fn headers_reach_the_server() {
    let server = shop().start().await.unwrap();
    let header = ["--header", "Authorization: Bearer s3cret", "--header", "x-one:1"];
    let (_, error, code) =
        Desk::new().run(&[&["tools", &server.url()], &header[..]].concat()).await;
    assert_eq!((error.as_str(), code), ("", 0));
    for seen in server.seen() {
        assert_eq!(
            (&seen.headers["authorization"], &seen.headers["x-one"]),
            (&"Bearer s3cret".parse().unwrap(), &"1".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn a_file_is_served_for_as_long_as_the_command_takes() {
    let server = shop().start().await.unwrap();
    let url = server.url();
    let yaml = configuration(&format!(
        "  - {{name: shop, url: '{url}'}}\n  - {{name: dead, url: 'http://127.0.0.1:1/'}}\n"
    ));
    let json = format!(r#"{{"mcpServers": {{"my shop": {{"type": "http", "url": "{url}"}}}}}}"#);
    let desk = Desk::new().with("vmcp.yaml", &yaml).with("mcp.json", &json);
    let (out, error, code) = desk.run(&["call", "vmcp.yaml", "shop_order", "item=1"]).await;
    assert_eq!((out.as_str(), code), ("ordered\n", 0), "{error}");
    assert_eq!(error, "", "nobody has asked for the other one");
    desk.check(
        &["call", "mcp.json", "my-shop_count"],
        "{\n  \"stock\": 1.1\n}\n! warning: mcp.json:1:17: mcpServers.\"my shop\": cannot be the name of a backend; it is called my-shop here\n",
    )
    .await;
    desk.check(
        &["tools", "mcp.json", "--header", "a: b"],
        "! error: --header is for URLs; a file names its own headers\nexit 2\n",
    )
    .await;
    assert_eq!(server.sessions().len(), 0, "every session is ended");
}

#[tokio::test]
async fn arguments_that_cannot_be_right_are_not_sent() {
    let server = shop().start().await.unwrap();
    let (url, desk) = (server.url(), Desk::new());
    desk.check(
        &["call", &url, "order", "count=many", "itme=x"],
        "! error: order: it has no argument \"itme\"; did you mean \"item\"?; \
         the argument \"count\" must be integer or null, not string; \
         the argument \"item\" is missing\nexit 2\n",
    )
    .await;
    desk.check(
        &["get", &url, "greet", "hwo=x"],
        "! error: greet: it has no argument \"hwo\"; did you mean \"who\"?; \
         the argument \"who\" is missing\nexit 2\n",
    )
    .await;
    let sent = |method: &str| {
        let has = |body: &[u8]| String::from_utf8_lossy(body).contains(method);
        server.seen().iter().filter(|seen| has(&seen.body)).count()
    };
    assert_eq!((sent("tools/call"), sent("prompts/get")), (0, 0));
    // Another one may be known to the server alone.
    desk.check(
        &["call", &url, "order", "item=x", "price=1"],
        "ordered\n! warning: order: it has no argument \"price\"\n",
    )
    .await;
}

#[tokio::test]
async fn names_that_are_not_known_are_compared_with_those_that_are() {
    let server = shop().start().await.unwrap();
    let url = server.url();
    let yaml = configuration(&format!("  - {{name: shop, url: '{url}'}}\n"));
    let desk = Desk::new().with("vmcp.yaml", &yaml);
    for (arguments, expected) in [
        (["call", "shop_ordr"], "unknown tool: shop_ordr; did you mean \"shop_order\"?"),
        (["call", "order"], "unknown tool: order; did you mean \"shop_order\"?"),
        (["call", "xyz"], "unknown tool: xyz"),
        (["get", "shop_great"], "unknown prompt: shop_great; did you mean \"shop_greet\"?"),
    ] {
        let [command, name] = arguments;
        let expected = format!("! error: {expected}\nexit 1\n");
        desk.check(&[command, "vmcp.yaml", name], &expected).await;
    }
    let (_, error, code) = desk.run(&["read", "vmcp.yaml", "shop://term"]).await;
    assert!(error.ends_with("; did you mean \"shop://terms\"?\n") && code == 1, "{error}");
}

#[tokio::test]
async fn what_is_not_there_is_told_with_the_reason() {
    let server = shop().start().await.unwrap();
    let url = server.url();
    let dead = "  - {name: dead, url: 'http://127.0.0.1:1/'}\n";
    let yaml = configuration(&format!("  - {{name: shop, url: '{url}'}}\n{dead}"));
    let desk = Desk::new().with("vmcp.yaml", &yaml).with("dead.yaml", &configuration(dead));
    let reason = "backend dead is out: cannot be reached: nothing listens at 127.0.0.1:1 (connection refused); is it running?";
    let (out, error, code) = desk.run(&["tools", "vmcp.yaml"]).await;
    assert!(out.starts_with("Tools (4)\n"), "{out}");
    assert_eq!((error, code), (format!("warning: {reason}\n"), 0));
    for arguments in [&["tools", "dead.yaml"][..], &["list", "dead.yaml", "--json"]] {
        let expected = format!("! warning: {reason}\n! error: no backend has answered\nexit 1\n");
        desk.check(arguments, &expected).await;
    }
    desk.check(&["call", "vmcp.yaml", "dead_x"], &format!("! error: {reason}\nexit 1\n")).await;
    let expected = format!("! error: unknown tool: xyz; {reason}\nexit 1\n");
    desk.check(&["call", "vmcp.yaml", "xyz"], &expected).await;

    let gateway =
        Gateway::before(&[("shop", url)]).backend("name: dead, url: 'http://127.0.0.1:1/'");
    let process = crate::serve(&gateway).await;
    let (out, error, code) = desk.run(&["tools", &process.url()]).await;
    assert!(out.starts_with("Tools (4)\n"), "{out}");
    assert_eq!((error.as_str(), code), ("not there yet: dead; GET /status there says why\n", 0));
    desk.check(
        &["call", &process.url(), "dead_x"],
        "! error: unknown tool: dead_x; not there yet: dead; GET /status there says why\nexit 1\n",
    )
    .await;
}

/// The others may take as long as they like.
#[tokio::test]
async fn a_call_goes_on_as_soon_as_its_backend_is_there() {
    let server = shop().start().await.unwrap();
    let url = server.url();
    let slow = "  - {name: slow, command: sh, args: ['-c', 'cat > /dev/null']}\n";
    let yaml = configuration(&format!("  - {{name: shop, url: '{url}'}}\n{slow}"));
    let desk = Desk::new().with("vmcp.yaml", &yaml);
    // Programs may start for two minutes, which is longer than a test waits.
    desk.check(&["call", "vmcp.yaml", "shop_order", "item=1"], "ordered\n").await;
    desk.check(&["read", "vmcp.yaml", "shop://terms"], "No returns.\n").await;
    desk.check(&["get", "vmcp.yaml", "shop_greet", "who=x"], "user: Hello\n").await;
    let dead = "  - {name: dead, url: 'http://127.0.0.1:1/'}\n";
    let desk = desk.with("dead.yaml", &configuration(&format!("{dead}{slow}")));
    let (_, error, code) = desk.run(&["call", "dead.yaml", "dead_x"]).await;
    assert!(error.starts_with("error: backend dead is out: ") && code == 1, "{error}");
}

#[tokio::test]
async fn a_refusal_is_told_in_its_own_words() {
    let refusal = Answer::error(-32603, "the store is away");
    let server = RawServer::builder().script("initialize", fixed(refusal)).start().await.unwrap();
    let (_, error, code) = Desk::new().run(&["tools", &server.url()]).await;
    assert!(error.ends_with(": refused initialize: the store is away\n") && code == 1, "{error}");
}

/// Whether it is typed or stands in a file, a server is reached through the proxy of the environment.
#[tokio::test]
async fn a_proxy_of_the_environment_is_used() {
    // It takes requests for any host.
    let proxy = shop().start().await.unwrap();
    let port = proxy.url().parse::<http::Uri>().unwrap().port_u16().unwrap();
    let url = "http://far.invalid/mcp";
    let file = configuration(&format!("  - {{name: far, url: '{url}'}}\n"));
    let desk = Desk::new().with("far.yaml", &file);
    let variable = format!("http://127.0.0.1:{port}");
    for (target, tool) in [(url, "order("), ("far.yaml", "far_order(")] {
        let (out, error, code) =
            desk.run_with(&[("http_proxy", &variable)], &["tools", target]).await;
        assert_eq!(code, 0, "{error}");
        assert!(out.contains(tool), "{out}");
        let exempt = [("http_proxy", variable.as_str()), ("NO_PROXY", "far.invalid")];
        let (_, error, code) = desk.run_with(&exempt, &["tools", target]).await;
        assert_eq!(code, 1);
        // A machine without a network may not find that out in time.
        let told = ["the name far.invalid is not known", "no connection within"];
        assert!(told.iter().any(|told| error.contains(told)), "{error}");
    }
    let (_, error, code) = desk.run_with(&[("http_proxy", "socks5://a")], &["tools", url]).await;
    assert_eq!(code, 2);
    assert!(error.contains("http_proxy"), "{error}");
}

/// What stands in a URL may be a secret.
#[tokio::test]
async fn a_url_is_told_without_what_may_be_secret_in_it() {
    let desk = Desk::new();
    for (url, told, code) in [
        (
            "http://me:s3cret@127.0.0.1:1/mcp",
            "the URL holds credentials; show them with --header",
            2,
        ),
        (
            "http://127.0.0.1:1/mcp?token=s3cret",
            "no session with http://127.0.0.1:1/mcp: cannot be",
            1,
        ),
        ("http://me:s3cret@h:x/?s3cret", "the URL", 2),
    ] {
        let (out, error, status) = desk.run(&["tools", url]).await;
        assert!(error.contains(told) && !error.contains("s3cret"), "{out}{error}");
        assert_eq!(status, code, "{error}");
    }
}

/// Progress is a sign of life also where nobody watches it.
#[tokio::test]
async fn a_call_asks_for_progress() {
    let server = shop().start().await.unwrap();
    let desk = Desk::new();
    let (_, error, code) = desk.run(&["call", &server.url(), "order", "item=x"]).await;
    assert_eq!(code, 0, "{error}");
    assert!(sent(&server, "tools/call").contains("progressToken"));
}
