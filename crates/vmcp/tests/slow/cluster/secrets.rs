//! What somebody learns who reads all of Redis, and the wires to it: nothing of who calls, and no id
//! with which to call.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use vmcp_testkit::{
    client::{Client, fetch},
    cluster::Relay,
    gateway::{Gateway, eventually},
    identity::{AUDIENCE, IdentityProvider},
    peers,
    redis::RedisServer,
    token_endpoint::{Given, TokenEndpoint},
};

use super::{of_each, over};

const SUBJECT: &str = "alice-of-the-accounts";
const CLIENT: &str = "a-client-with-a-name";
const SHOWN: &str = "token-for-the-backend";
const CLIENT_SECRET: &str = "s3cret-of-vmcp";
const TENANT: &str = "the-tenant-of-alice";

/// Everything that a server holds, as it would write it to a file.
async fn everything(redis: &RedisServer) -> Vec<u8> {
    for command in ["CONFIG SET rdbcompression no", "SAVE"] {
        assert_eq!(redis.say(command).await.unwrap(), "+OK");
    }
    std::fs::read(redis.process().unwrap().directory().join("dump.rdb")).unwrap()
}

fn holds(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

/// What must not be found, with its name.
fn needles(
    client: &Client,
    token: &str,
    provider: &IdentityProvider,
    backend: &str,
) -> Vec<(&'static str, Vec<u8>)> {
    let id = client.session().unwrap();
    let raw = BASE64_URL_SAFE_NO_PAD.decode(id).unwrap();
    let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    let (_, random) = backend.rsplit_once('-').unwrap();
    vec![
        ("the session's id", id.into()),
        ("the session's id, in bytes", raw),
        ("the session's id, in hexadecimal", hex.into()),
        ("the token", token.into()),
        ("the signature of the token", token.rsplit('.').next().unwrap().into()),
        ("the backend session's id", backend.into()),
        ("what is random in it", random.into()),
        ("the subject", SUBJECT.into()),
        ("the issuer", provider.issuer().into()),
        ("the issuer's address", provider.issuer().trim_start_matches("http://").into()),
        ("the client's name", CLIENT.into()),
        ("a capability of the client", "x-of-this-client-only".into()),
        ("a subscription", "ask://one".into()),
        ("what the backend is shown", SHOWN.into()),
        ("the client's secret", CLIENT_SECRET.into()),
        ("a header that is passed on", TENANT.into()),
    ]
}

#[tokio::test]
async fn a_reader_of_redis_learns_no_id_and_no_identity() {
    let backend = peers::asking().start().await.unwrap();
    let redis = RedisServer::start().await.unwrap();
    let provider = IdentityProvider::start().await.unwrap();
    let relays = [Relay::to(redis.port()).await.unwrap(), Relay::to(redis.port()).await.unwrap()];
    let issuer = provider.issuer();
    let incoming = format!(
        "type: oidc, oidc: {{issuer: '{issuer}', audience: {AUDIENCE}, resource: 'https://mcp.example/mcp', insecureAllowHttp: true, jwksAllowPrivateIp: true}}"
    );
    let endpoint = TokenEndpoint::start().await.unwrap();
    endpoint.set_script(|_asked| Given::token(SHOWN, 3600));
    let outgoing = format!(
        "passthroughHeaders: [X-Tenant]
outgoingAuth: {{backends: {{a: {{type: token_exchange, tokenExchange: {{tokenUrl: '{}', clientId: vmcp, \
         clientSecret: {CLIENT_SECRET}}}}}}}}}",
        endpoint.url()
    );
    let gateway = |relay: &Relay| {
        let gateway = Gateway::before(&[("a", backend.url())]).incoming(&incoming).with(&outgoing);
        over(gateway, &relay.address(), "").yaml()
    };
    let cluster = of_each(relays.iter().map(gateway).collect::<Vec<_>>()).await;
    let token = provider.token(SUBJECT);
    let mut client = Client::new(&cluster.url_of(0))
        .with_header("authorization", &format!("Bearer {token}"))
        .with_header("x-tenant", TENANT);
    let hello = format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{{"elicitation":{{"form":{{}}}},"experimental":{{"x-of-this-client-only":{{}}}}}},"clientInfo":{{"name":"{CLIENT}","version":"1"}}}}}}"#
    );
    let response = client.post(hello).await.unwrap();
    let id = response.header("mcp-session-id").unwrap().to_owned();
    client = client.with_session(&id, "2025-11-25");
    let elsewhere = client.at(&cluster.url_of(1));
    // Everything that leaves something in the record, or on the bus, from both replicas.
    client.request("1", "resources/subscribe", r#"{"uri":"ask://one"}"#).await.unwrap();
    elsewhere.request("2", "logging/setLevel", r#"{"level":"error"}"#).await.unwrap();
    let mut stream = elsewhere.listen(None).await.unwrap();
    let mut call = client.open_call("3", "a_ask_form", "{}").await.unwrap();
    let question = call.message().await.unwrap().unwrap();
    elsewhere.notify("notifications/cancelled", r#"{"requestId":77}"#).await.unwrap();
    let ours = eventually("the backend session is there", async || {
        let mut sessions = backend.sessions().into_iter();
        sessions.find(|session| !session.subscriptions().is_empty())
    })
    .await;
    let needles = needles(&client, &token, &provider, ours.id());
    let during = everything(&redis).await;
    elsewhere.answer(&question, r#"{"action":"accept"}"#).await.unwrap();
    call.answer("3").await.unwrap();
    let seen = backend.seen();
    let shown = |name: &str| seen.last().unwrap().headers[name].to_str().unwrap().to_owned();
    assert_eq!(
        (shown("authorization"), shown("x-tenant")),
        (format!("Bearer {SHOWN}"), TENANT.into())
    );
    for number in 0..2 {
        let (_, status) = fetch(&cluster.url_of(number).replace("/mcp", "/status")).await.unwrap();
        for (what, needle) in &needles {
            assert!(!holds(&status, needle), "{what} is readable in the status");
        }
    }
    assert_eq!(client.delete().await.unwrap(), 200);
    while stream.message().await.unwrap().is_some() {}
    let after = everything(&redis).await;
    let wires = relays.iter().flat_map(Relay::passed).collect();
    for (place, text) in [("Redis", during), ("Redis afterwards", after), ("the wires", wires)] {
        assert!(holds(&text, b"thv:vmcp:session:"), "{place} was not looked at");
        for (what, needle) in &needles {
            assert!(!holds(&text, needle), "{what} is readable in {place}");
        }
    }
    // What is there would have been found.
    for (number, (what, needle)) in needles.iter().enumerate() {
        let Ok(needle) = std::str::from_utf8(needle) else { continue };
        redis.say(&format!("SET control{number} {needle}")).await.unwrap();
        assert!(holds(&everything(&redis).await, needle.as_bytes()), "{what} would not be found");
    }
}
