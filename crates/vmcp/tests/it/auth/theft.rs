//! A session belongs to its principal: to anybody else it is unknown, whatever they try, and it
//! takes no harm.

use vmcp_testkit::{
    client::Client,
    peers,
    raw::{Answer, Kind, Running, fixed},
};

use super::{Guarded, count, every_request, guarded, guarding, send, showing, whole};

/// Tries everything on a session, and compares with a session that there is not.
async fn try_everything(thief: &Client) {
    let unknown = "0".repeat(thief.session().unwrap().len());
    let nowhere = thief.clone().with_session(&unknown, "2025-11-25");
    for request in every_request() {
        let stolen = whole(send(thief, &request).await).await;
        let unknown = whole(send(&nowhere, &request).await).await;
        assert_eq!(stolen, unknown, "{request:?}");
        assert_eq!(stolen.0, 404, "{request:?}");
    }
}

#[tokio::test]
async fn a_stolen_session_is_an_unknown_one() {
    let guarded = guarded().await;
    let owner = guarded.connect("alice").await;
    let mut get = owner.listen(None).await.unwrap();
    assert_eq!(count(&owner).await, "1");
    let before = seen(&guarded.backend);
    let thief = showing(&owner, &guarded.provider.token("bob"));
    try_everything(&thief).await;
    assert_eq!(seen(&guarded.backend), before, "the backend heard nothing of it");
    assert_eq!(count(&owner).await, "2", "the owner's session is as it was");
    let added = r#"{"name":"added","inputSchema":{"type":"object"}}"#;
    guarded.backend.add(Kind::Tools, added, fixed(Answer::text("new"))).await;
    let told = get.message().await.unwrap().unwrap();
    assert_eq!(told.method().unwrap(), "notifications/tools/list_changed", "its stream, too");
    // The thief has a session of its own, beside.
    let bob = guarded.connect("bob").await;
    assert_eq!(count(&bob).await, "1");
    assert_eq!(owner.delete().await.unwrap(), 200);
    // Its stream ends with the session, and not before.
    while get.message().await.unwrap().is_some() {}
    try_everything(&showing(&owner, &guarded.provider.token("bob"))).await;
    assert_eq!(owner.delete().await.unwrap(), 404, "nor does it exist for its owner now");
    assert_eq!(count(&bob).await, "2");
}

/// What a backend was asked in its sessions.
fn seen(backend: &Running) -> Vec<String> {
    let methods = backend.seen();
    methods.iter().map(|seen| seen.method.clone()).collect()
}

#[tokio::test]
async fn nobody_else_answers_a_question_or_takes_a_stream() {
    let guarded: Guarded = guarding(peers::asking()).await;
    let owner = guarded.connect("alice").await;
    let mut call = owner.open_call("5", "a_ask_form", "{}").await.unwrap();
    let question = call.message().await.unwrap().unwrap();
    let thief = showing(&owner, &guarded.provider.token("bob"));
    let accepted = r#"{"action":"accept","content":{"name":"Mallory"}}"#;
    assert_eq!(thief.answer(&question, accepted).await.unwrap(), 404);
    let cancelled = thief.notify("notifications/cancelled", r#"{"requestId":5}"#);
    assert_eq!(cancelled.await.unwrap(), 404);
    let stream = thief.listen(question.event_id.as_deref()).await.unwrap();
    assert_eq!(stream.status(), 404);
    try_everything(&thief).await;
    let named = r#"{"action":"accept","content":{"name":"Ann"}}"#;
    assert_eq!(owner.answer(&question, named).await.unwrap(), 202);
    let answer = call.answer("5").await.unwrap();
    assert!(answer.result().unwrap().contains("Ann"), "{answer:?}");
    assert_eq!(guarded.backend.counters().stray_answers(), 0);
}
