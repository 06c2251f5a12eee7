//! Resources that a backend hands out and no list has, where several backends might have them.

use vmcp_testkit::{
    client::Client,
    gateway::Gateway,
    modern_client::ModernClient,
    process::Process,
    raw::{Answer, Call, Form, Kind, RawServer, Running, fixed, handler},
};

use crate::{connect, serve};

/// What the results of the tool `link` of a backend hold.
const RESULTS: [(&str, &str); 5] = [
    ("link", r#"{"content":[{"type":"resource_link","uri":"odd://link","name":"x"}]}"#),
    ("embed", r#"{"content":[{"type":"resource","resource":{"uri":"odd://embed","text":"x"}}]}"#),
    ("ui", r#"{"content":[],"_meta":{"ui":{"resourceUri":"ui://ui"}}}"#),
    ("old", r#"{"content":[],"_meta":{"ui/resourceUri":"ui://old"}}"#),
    ("listed", r#"{"content":[{"type":"resource_link","uri":"b://listed","name":"x"}]}"#),
];

/// A backend that has resources, and answers every read with its name.
async fn backend(name: &'static str, form: Form) -> Running {
    let read = handler(move |call: Call| async move {
        let uri: String = call.param("uri").unwrap();
        Answer::from(format!(r#"{{"contents":[{{"uri":"{uri}","text":"{name}"}}]}}"#))
    });
    let mut server = RawServer::builder()
        .form(form)
        .resource(&format!(r#"{{"uri":"{name}://listed","name":"x"}}"#), "{}")
        .script("resources/read", read)
        .offer(
            Kind::Tools,
            &format!(
                r#"{{"name":"app","inputSchema":{{"type":"object"}},"_meta":{{"ui":{{"resourceUri":"ui://{name}-app"}}}}}}"#
            ),
            fixed(r#"{"content":[]}"#),
        );
    for (tool, result) in RESULTS {
        let definition = format!(r#"{{"name":"{tool}","inputSchema":{{"type":"object"}}}}"#);
        server = server.tool(&definition, result);
    }
    server.start().await.unwrap()
}

async fn fixture(form: Form) -> ([Running; 2], Process) {
    let backends = [backend("a", form).await, backend("b", form).await];
    let gateway = Gateway::before(&[("a", backends[0].url()), ("b", backends[1].url())]);
    let process = serve(&gateway).await;
    (backends, process)
}

/// Which backend answers a read; the code of the error if none does.
async fn reader(client: &Client, uri: &str) -> Result<String, i64> {
    let params = format!(r#"{{"uri":"{uri}"}}"#);
    let answer = client.request("9", "resources/read", &params).await.unwrap();
    match answer.error_code() {
        Ok(code) => Err(code),
        Err(_) => Ok(answer.json()["result"]["contents"][0]["text"].as_str().unwrap().to_owned()),
    }
}

#[tokio::test]
async fn the_backend_that_has_handed_it_out_is_asked() {
    for form in [Form::Json, Form::Sse] {
        let (_backends, process) = fixture(form).await;
        let (client, other) = (connect(&process).await, connect(&process).await);
        for (tool, uri) in [
            ("link", "odd://link"),
            ("embed", "odd://embed"),
            ("ui", "ui://ui"),
            ("old", "ui://old"),
        ] {
            assert_eq!(reader(&client, uri).await, Err(-32002), "{tool}: nobody has it");
            for backend in ["b", "a"] {
                client
                    .call("1", &format!("{backend}_{tool}"), "{}")
                    .await
                    .unwrap()
                    .result()
                    .unwrap();
                assert_eq!(reader(&client, uri).await.as_deref(), Ok(backend), "{tool}");
            }
            assert_eq!(reader(&other, uri).await, Err(-32002), "{tool}: it is this session's own");
        }
    }
}

#[tokio::test]
async fn the_definition_of_a_tool_hands_its_resource_out() {
    let (_backends, process) = fixture(Form::Json).await;
    let client = connect(&process).await;
    let modern = ModernClient::new(&process.url());
    for backend in ["a", "b"] {
        let uri = format!("ui://{backend}-app");
        assert_eq!(reader(&client, &uri).await.as_deref(), Ok(backend));
        let read = modern.read(&uri).await.unwrap().result().unwrap();
        assert_eq!(read["contents"][0]["text"], backend);
    }
}

#[tokio::test]
async fn what_a_list_has_stays_where_it_is_listed() {
    let (_backends, process) = fixture(Form::Json).await;
    let client = connect(&process).await;
    client.call("1", "a_listed", "{}").await.unwrap().result().unwrap();
    assert_eq!(reader(&client, "b://listed").await.as_deref(), Ok("b"));
}
