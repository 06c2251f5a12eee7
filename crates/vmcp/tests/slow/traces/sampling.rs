//! What a client says of its place in a trace, and how much is recorded.

use http::Method;
use vmcp_testkit::{
    client::Client,
    gateway::Gateway,
    raw::{Answer, RawServer},
};

use super::{
    PARENT, TRACE, Traced,
    hops::{Asked, Asker, Chain, Got, Told, assert_chain},
    trace_id, traceparent,
};

const STATE: &str = "congo=t61rcWkgMzE";

/// What the client says counts in its message before its headers; what is none of it begins a trace.
#[tokio::test]
async fn a_call_has_the_parent_that_it_names() {
    let chain = Chain::start("1").await;
    let (first, second) = (traceparent(&trace_id(1), "01"), traceparent(&trace_id(2), "01"));
    let malformed = format!("00-{TRACE}-{PARENT}");
    let unknown = format!("ff-{TRACE}-{PARENT}-01");
    let none = Told::default();
    let in_header = Told { header: Some(&first), ..none };
    let in_meta = Told { meta: Some(&first), ..none };
    // A name, what the client says, whose trace it is, and what others have added.
    let rows = [
        ("header", in_header, Some(1), None),
        (
            "header with state",
            Told { header_state: Some(STATE), ..in_header },
            Some(1),
            Some(STATE),
        ),
        ("message", in_meta, Some(1), None),
        ("message with state", Told { meta_state: Some(STATE), ..in_meta }, Some(1), Some(STATE)),
        ("both", Told { header: Some(&second), ..in_meta }, Some(1), None),
        (
            "state of the other",
            Told { header: Some(&second), header_state: Some(STATE), ..in_meta },
            Some(1),
            None,
        ),
        ("malformed message", Told { meta: Some(&malformed), ..in_header }, Some(1), None),
        ("nothing", none, None, None),
        (
            "malformed",
            Told { header: Some(&malformed), header_state: Some(STATE), ..none },
            None,
            None,
        ),
        ("malformed both", Told { header: Some("01"), meta: Some(&unknown), ..none }, None, None),
        ("state alone", Told { header_state: Some(STATE), ..none }, None, None),
    ];
    let mut calls = Vec::new();
    for asker in Asker::BOTH {
        for (name, told, of, state) in rows {
            // Each has a trace of its own.
            let own = trace_id(100 + calls.len());
            let renamed = |text: Option<&str>| text.map(|text| text.replace(&trace_id(1), &own));
            let (header, meta) = (renamed(told.header), renamed(told.meta));
            let told = Told { header: header.as_deref(), meta: meta.as_deref(), ..told };
            let got = chain.call(asker, Asked::Raw, told).await;
            calls.push((format!("{asker:?} {name}"), of.map(|_one| own), state, got));
        }
    }
    let (spans, _records) = chain.end().await;
    for (name, own, state, got) in &calls {
        println!("{name}: {got:?}");
        let told = got.header.as_deref().unwrap_or_else(|| panic!("{name}"));
        assert_eq!(got.meta.as_deref(), Some(told), "{name}");
        let state = state.map(str::to_owned);
        assert_eq!((&got.header_state, &got.meta_state), (&state, &state), "{name}");
        match own {
            Some(own) => assert_chain(&spans, own, PARENT, told),
            None => {
                let begun = &told[3..35];
                assert!(begun != TRACE, "{name}: {told}");
                assert_chain(&spans, begun, "", told);
            }
        }
    }
    for untold in [TRACE, &trace_id(2)] {
        assert!(spans.of_trace(untold).is_empty(), "{untold}");
    }
}

/// It is passed on that nothing is to be recorded, and nothing is.
#[tokio::test]
async fn what_its_client_does_not_record_is_not_exported() {
    let chain = Chain::start("1").await;
    let mut calls = Vec::new();
    for asker in Asker::BOTH {
        for asked in [Asked::Raw, Asked::Modern, Asked::Program] {
            for is_in_message in [false, true] {
                let trace = trace_id(calls.len());
                let parent = traceparent(&trace, "00");
                let told = match is_in_message {
                    false => Told { header: Some(&parent), ..Told::default() },
                    true => Told { meta: Some(&parent), ..Told::default() },
                };
                let got = chain.call(asker, asked, told).await;
                calls.push((format!("{asker:?} {asked:?} {is_in_message}"), trace, got));
            }
        }
    }
    let (spans, records) = chain.end().await;
    for (name, trace, got) in &calls {
        println!("{name}: {got:?}");
        for told in [&got.header, &got.meta].into_iter().flatten() {
            assert!(told.starts_with(&format!("00-{trace}-")), "{name}: {told}");
            assert!(told.ends_with("-00") && !told.contains(PARENT), "{name}: {told}");
        }
        assert!(got.header.is_some() || got.meta.is_some(), "{name}");
        if name.ends_with("true") {
            assert!(got.meta.is_some(), "{name}");
        }
        assert!(spans.of_trace(trace).is_empty(), "{name}");
        // The records of both tell of it all the same.
        for records in &records {
            let has =
                |record: &serde_json::Value| record["metadata"]["extra"]["trace_id"] == **trace;
            assert_eq!(records.iter().filter(|record| has(record)).count(), 1, "{name}");
        }
    }
}

/// With a rate of 0 only what a trace has led to is recorded.
#[tokio::test]
async fn without_a_parent_the_rate_decides() {
    let chain = Chain::start("0").await;
    for asker in Asker::BOTH {
        for asked in [Asked::Raw, Asked::Modern, Asked::Program] {
            let got = chain.call(asker, asked, Told::default()).await;
            assert_eq!(got, Got::default(), "{asker:?} {asked:?}");
        }
        let malformed = Told { header: Some("00-1"), ..Told::default() };
        assert_eq!(chain.call(asker, Asked::Raw, malformed).await, Got::default());
    }
    let (spans, records) = chain.end().await;
    assert!(spans.0.is_empty(), "{:#?}", spans.0);
    let is_traced =
        |record: &serde_json::Value| record["metadata"]["extra"].get("trace_id").is_some();
    assert!(!records.iter().flatten().any(is_traced), "{records:#?}");
}

/// Lines of `tracestate` are one list, of which only whole members are left away; two lines of `traceparent` are none.
#[tokio::test]
async fn headers_that_come_twice_or_are_long_are_read_as_the_specification_has_it() {
    let tool = r#"{"name":"echo","inputSchema":{"type":"object"}}"#;
    let backend = RawServer::builder().tool(tool, Answer::text("raw")).start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]);
    let traced = Traced::start(&gateway, ", samplingRate: '0'").await;
    let client = Client::connect(&traced.url()).await.unwrap();
    let parent = traceparent(&trace_id(1), "01");
    let other = traceparent(&trace_id(2), "01");
    let members = |count: usize| {
        (0..count).map(|one| format!("k{one:02}={}", "v".repeat(60))).collect::<Vec<_>>().join(",")
    };
    let (long, alone) = (members(9), "v".repeat(513));
    // Seven of 64 bytes and the commas between them are 454; eight would be 519.
    let kept = members(7);
    for (parents, states, passed_on) in [
        (&[&*parent][..], &["a=1", "b=2"][..], Some(Some("a=1,b=2"))),
        (&[&*parent], &[&*long], Some(Some(&*kept))),
        (&[&*parent], &[&*kept, "a=1"], Some(Some(&*format!("{kept},a=1")))),
        (&[&*parent], &[&*alone], Some(None)),
        (&[&*parent, &*other], &["a=1"], None),
        (&[&*parent, &*parent], &["a=1"], None),
    ] {
        let parents = parents.iter().map(|parent| ("traceparent", *parent));
        let headers: Vec<_> =
            parents.chain(states.iter().map(|state| ("tracestate", *state))).collect();
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a_echo"}}"#;
        let answer = client.send(Method::POST, &headers, call.into()).await.unwrap();
        answer.bytes().await.unwrap();
        let seen = backend.seen();
        let last = seen.iter().rev().find(|seen| seen.method == "tools/call").unwrap();
        let told = |name: &str| last.headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(told("traceparent").is_some(), passed_on.is_some(), "{headers:?}");
        assert_eq!(told("tracestate"), passed_on.flatten(), "{headers:?}");
    }
    let spans = traced.end().await;
    assert_eq!(spans.of_trace(&trace_id(1)).len(), 2 * 4);
    assert_eq!(spans.traces().len(), 1);
}
