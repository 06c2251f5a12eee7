//! A stream lasts no longer than the token of whoever opened it.

use serde_json::json;
use vmcp_testkit::{
    identity::{IdentityProvider, now},
    modern_client::ModernClient,
    peers,
};

use super::{guarding, showing};
use crate::streams::{numbers, say, subscribed};

/// A token that is good for five seconds more, as clocks may be 60 s apart.
fn ending(provider: &IdentityProvider, subject: &str) -> String {
    let mut claims = provider.claims(subject);
    claims["exp"] = json!(now() - 55);
    provider.key().sign(&claims)
}

#[tokio::test]
async fn a_get_stream_ends_and_goes_on_with_a_new_token() {
    let guarded = guarding(peers::asking()).await;
    let owner = guarded.connect("alice").await;
    let session = subscribed(&owner, &guarded.backend).await;
    let ending = showing(&owner, &ending(&guarded.provider, "alice"));
    let mut stream = ending.listen(None).await.unwrap();
    say(&session, 1).await;
    let (heard, last) = numbers(&mut stream, 1).await;
    assert_eq!(heard, [1]);
    assert!(stream.message().await.unwrap().is_none(), "it ends in order");
    let last = last.unwrap();
    assert_eq!(ending.listen(Some(&last)).await.unwrap().status(), 401);
    say(&session, 2).await;
    let mut again = owner.listen(Some(&last)).await.unwrap();
    assert_eq!(numbers(&mut again, 1).await.0, [2], "what came meanwhile");
    say(&session, 3).await;
    assert_eq!(numbers(&mut again, 1).await.0, [3]);
}

#[tokio::test]
async fn a_stream_of_changes_ends() {
    let guarded = guarding(peers::stateful()).await;
    let modern = |token: &str| {
        ModernClient::new(&guarded.process.url())
            .header("authorization", &format!("Bearer {token}"))
    };
    let lasting = modern(&guarded.provider.token("alice"));
    let mut lasting = lasting.listen(json!({"toolsListChanged": true})).await.unwrap();
    let ending = modern(&ending(&guarded.provider, "alice"));
    let ending = ending.listen(json!({"toolsListChanged": true})).await.unwrap();
    assert!(ending.ended().await.unwrap().is_none(), "no answer is its own");
    lasting.quiet_for(std::time::Duration::from_millis(100)).await.unwrap();
}
