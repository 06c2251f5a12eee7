//! GET streams that end.

use std::time::Duration;

use http::Method;
use vmcp_model::ProtocolVersion;

use crate::peer::{Asked, Peer, Say, legacy, view};

/// However the backend asks to be asked again, and whether or not its streams have ids to go on from.
#[tokio::test]
async fn streams_that_end_at_once_are_opened_ever_less_often() {
    let mut listening = tokio::task::JoinSet::new();
    for text in ["id: 1\nretry: 0\n\n", "id: 1\ndata:\n\n", "id: 1\ndata: ping\n\n"] {
        listening.spawn(async move {
            let peer = Peer::start(move |asked: &Asked| match asked.verb {
                Method::GET => Say::Raw(200, "text/event-stream", text.to_owned()),
                _ => legacy(asked),
            })
            .await;
            let backend = peer.backend();
            let session = backend.open(&view(ProtocolVersion::LATEST_LEGACY, "{}")).await.unwrap();
            let mut events = backend.listen(&session).await.unwrap().unwrap();
            let heard = tokio::time::timeout(Duration::from_millis(1800), events.next()).await;
            assert!(heard.is_err(), "{text:?}: {heard:?}");
            let opened = peer.seen().iter().filter(|asked| asked.verb == Method::GET).count();
            assert!(opened <= 2, "{text:?}: {opened} streams");
        });
    }
    listening.join_all().await;
}

/// What waits for a call's stream to be taken up may be interrupted again and again.
#[tokio::test]
async fn a_stream_is_taken_up_again_though_whoever_waits_looks_up_meanwhile() {
    let answer = "id: 2\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n\n";
    let peer = Peer::start(move |asked: &Asked| match (&asked.verb, asked.method()) {
        (&Method::GET, _) => Say::Raw(200, "text/event-stream", answer.to_owned()),
        (_, "tools/call") => {
            Say::Raw(200, "text/event-stream", "id: 1\nretry: 400\ndata:\n\n".to_owned())
        }
        _ => legacy(asked),
    })
    .await;
    let backend = peer.backend();
    let session = backend.open(&view(ProtocolVersion::LATEST_LEGACY, "{}")).await.unwrap();
    let id = vmcp_wire::Id::parse(b"7").unwrap().key();
    let text = br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x"}}"#;
    let answer = backend.post(&session, text.as_slice().into(), Some(&id), None).await.unwrap();
    let vmcp_backend::Answer::Events(mut events) = answer else { panic!("a stream: {answer:?}") };
    let answered = async {
        loop {
            let look = tokio::time::timeout(Duration::from_millis(20), events.next());
            if let Ok(message) = look.await {
                return message;
            }
        }
    };
    let answered = tokio::time::timeout(Duration::from_secs(20), answered).await.unwrap();
    assert!(answered.unwrap().unwrap().result().is_some());
}
