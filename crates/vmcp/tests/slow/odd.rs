//! A hundred backends, half of them odd, each in another way: the other half does not notice.

use vmcp_testkit::{
    client::Client,
    gateway::Gateway,
    modern_client::ModernClient,
    raw::{Answer, RawServer, Running, fixed},
};

const HALF: usize = 50;

/// Where a backend is odd.
const WHERE: [&str; 4] = ["initialize", "server/discover", "tools/list", "ping"];

/// In which way.
fn ways() -> Vec<Answer> {
    let http = |status, body: &'static str| Answer::Http {
        status,
        content_type: Some("text/html"),
        body: body.into(),
    };
    let messages = |text: &'static str| Answer::Messages(vec![text.into()]);
    vec![
        http(500, "<html>out of order</html>"),
        http(404, ""),
        http(401, "who are you?"),
        http(429, "slower"),
        http(503, ""),
        http(301, ""),
        http(200, "<html>"),
        Answer::Close,
        Answer::Hang,
        Answer::CutOff(10_000),
        Answer::Flood,
        Answer::error(-32603, "out of order"),
        Answer::error(-32601, "not here"),
        messages(r#"{"jsonrpc":"2.0","id":"another","result":{}}"#),
        messages(r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}"#),
        Answer::from("null"),
        Answer::from("[]"),
        Answer::from(r#"{"tools":null,"protocolVersion":7,"capabilities":[]}"#),
    ]
}

fn server() -> RawServer {
    RawServer::builder()
        .tool(r#"{"name":"t","inputSchema":{"type":"object"}}"#, Answer::text("here"))
}

async fn servers() -> (Vec<(String, Running)>, Vec<(String, Running)>) {
    let (mut good, mut odd) = (Vec::new(), Vec::new());
    let ways = ways();
    let oddities = ways.iter().flat_map(|way| WHERE.map(|place| (place, way.clone())));
    for (number, (place, way)) in oddities.take(HALF).enumerate() {
        let one = server().script(place, fixed(way)).start().await.unwrap();
        odd.push((format!("odd{number}"), one));
    }
    for number in 0..HALF {
        good.push((format!("good{number}"), server().start().await.unwrap()));
    }
    assert_eq!(odd.len(), HALF);
    (good, odd)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_half_that_is_in_order_is_listed_in_time_and_answers_every_call() {
    let (good, odd) = servers().await;
    // Those that are in order stand behind the others.
    let all: Vec<_> =
        odd.iter().chain(&good).map(|(name, one)| (name.as_str(), one.url())).collect();
    let process = Gateway::before(&all).start(env!("CARGO_BIN_EXE_vmcp")).await.unwrap();
    // The very first list of the very first client, which waits for `initializeWait`.
    let client = Client::connect(&process.url()).await.unwrap();
    let listed = client.request("1", "tools/list", "{}").await.unwrap();
    let listed = listed.keys("tools", "name").unwrap();
    for (name, _) in &good {
        assert!(listed.contains(&format!("{name}_t")), "{name} is not among {listed:?}");
    }
    let modern = ModernClient::new(&process.url());
    for round in 0..3 {
        for (number, (name, _)) in good.iter().enumerate() {
            let tool = format!("{name}_t");
            let id = (100 + round * HALF + number).to_string();
            assert_eq!(client.call(&id, &tool, "{}").await.unwrap().text().unwrap(), "here");
            let answer = modern.call(&tool, serde_json::json!({})).await.unwrap();
            answer.result().unwrap();
        }
    }
}
