//! What a replica does for another one that asks for what is not its caller's: a peer that has the keys, and is wrong
//! about everything else.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use vmcp_model::BackendId;
use vmcp_peer::{Asker, Error, Frames, Peer, Peers, Refusal, Request, Serve, Served};
use vmcp_store::{Address, Redis, Servers, SessionKey, Settings, Store, Validation};
use vmcp_testkit::{
    CHILD,
    client::{Client, fetch},
    gateway::{Gateway, eventually},
    redis::RedisServer,
};

use super::{over, replicated};

const PREFIX: &str = "thv:vmcp:session:";

/// The codes by which a holder says no.
const NOT_HELD: u16 = 1;
const NO_SUCH_SESSION: u16 = 2;
const NONSENSE: u16 = 4;

/// A store on the Redis of others.
fn store_of(redis: &RedisServer, tasks: &TaskTracker, stop: &CancellationToken) -> Redis {
    let address = Address { host: "127.0.0.1".to_owned(), port: redis.port() };
    let settings = Settings {
        servers: Servers::Single(address),
        db: 0,
        username: None,
        password: None,
        tls: None,
        prefix: PREFIX.to_owned(),
        dial_timeout: Duration::from_secs(5),
        command_timeout: Duration::from_secs(3),
        validation: Validation::Bus { max_staleness: Duration::from_secs(1) },
        keys: None,
    };
    Redis::start(settings, tasks, stop)
}

/// Nobody asks it anything.
struct Silent;

impl Serve for Silent {
    fn serve(&self, _asker: &Asker, _request: Request) -> Served {
        Box::pin(async { Err(Refusal::new(9, "nobody is here")) })
    }
}

/// An errand as replicas write it, with other members than the right ones.
fn errand(right: &Value, wrong: Value, request: &[u8]) -> Bytes {
    let mut head = right.clone();
    for (name, value) in wrong.as_object().unwrap() {
        head[name] = value.clone();
    }
    let head = head.to_string();
    let length = u32::try_from(head.len()).unwrap().to_be_bytes();
    [&length[..], head.as_bytes(), request].concat().into()
}

/// The first frame of an answer, or the code by which it is refused.
async fn said(asked: Result<Frames, Error>) -> Result<Bytes, u16> {
    match asked {
        Ok(mut frames) => match frames.next().await {
            Ok(first) => Ok(first.unwrap_or_default()),
            Err(Error::Refused(refusal)) => Err(refusal.code),
            Err(error) => panic!("{error}"),
        },
        Err(Error::Refused(refusal)) => Err(refusal.code),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_peer_gets_nothing_that_is_not_its_callers() {
    let redis = RedisServer::start().await.unwrap();
    let gateway =
        Gateway::before(&[]).backend(&format!("name: kid, command: python3, args: ['{CHILD}']"));
    let gateway = gateway.with("peer: {listen: '127.0.0.1:0'}");
    let cluster = replicated(1, &over(gateway, &redis.address(), "")).await;
    let client = Client::connect(&cluster.url_of(0)).await.unwrap();
    eventually("the program counts", async || {
        let counted = client.call("1", "kid_count", "{}").await.unwrap();
        counted.text().ok()
    })
    .await;
    let other = Client::connect(&cluster.url_of(0)).await.unwrap();
    let session = client.session().unwrap().to_owned();

    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let store: Arc<dyn Store> = Arc::new(store_of(&redis, &tasks, &stop));
    let record = eventually("the record can be read", async || {
        store.load(SessionKey::of(&session), store.clock().now()).await.ok().flatten()
    })
    .await;
    let kid = BackendId::new("kid").unwrap();
    let kept = record.backend(&kid).unwrap();
    let status = fetch(&cluster.replica(0).url_of("/status")).await.unwrap().1;
    let status: Value = serde_json::from_slice(&status).unwrap();
    let peer = Peer {
        name: status["peers"]["replica"].as_str().unwrap().to_owned(),
        address: status["peers"]["address"].as_str().unwrap().parse().unwrap(),
        epoch: 0,
    };
    let scope = vec![b"0".to_vec(), PREFIX.as_bytes().to_vec()];
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let keys = Arc::clone(&store);
    let peers = Peers::start(
        vmcp_peer::Settings::new("stranger", 0, scope),
        listener,
        Arc::new(move || keys.keys().ok()),
        Arc::new(Silent),
        &tasks,
        &stop,
    )
    .unwrap();
    let ask = async |path: &str, head: Bytes| {
        said(peers.ask(&peer, Request { path: path.to_owned(), head }).await).await
    };

    let right = json!({
        "session": session, "principal": null, "backend": "kid", "version": "2025-11-25",
        "link": kept.session_id,
    });
    let call = br#"c{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"count"}}"#;
    let count = ask("link", errand(&right, json!({}), call)).await.unwrap();
    assert!(String::from_utf8_lossy(&count).contains("\"2\""), "{count:?}");

    let someone = json!({"issuer": "https://idp.test", "subject": "ann"});
    let elsewhere = other.session().unwrap();
    for (wrong, code) in [
        (json!({"principal": someone}), NO_SUCH_SESSION),
        (json!({"session": elsewhere}), NOT_HELD),
        (json!({"session": "no such session"}), NO_SUCH_SESSION),
        (json!({"session": elsewhere, "principal": someone}), NO_SUCH_SESSION),
        (json!({"link": "link-0000000000000000-0"}), NOT_HELD),
        (json!({"backend": "nobody"}), NOT_HELD),
        (json!({"version": "1999-01-01"}), NONSENSE),
        (json!({"principal": {"issuer": "https://idp.test"}}), NONSENSE),
    ] {
        for request in [&call[..], b"t{}", b"l", b"x"] {
            let refused = ask("link", errand(&right, wrong.clone(), request)).await;
            assert_eq!(refused, Err(code), "{wrong}");
        }
    }
    for head in [&b""[..], b"\xff\xff\xff\xff", b"nonsense"] {
        assert_eq!(ask("link", Bytes::from_static(head)).await, Err(NONSENSE));
        assert_eq!(ask("end", Bytes::from_static(head)).await, Err(NONSENSE));
    }
    assert_eq!(ask("newer", Bytes::new()).await, Err(NONSENSE));
    // The link of a session that goes on is not ended.
    let key = BASE64_URL_SAFE_NO_PAD.encode(SessionKey::of(&session).as_bytes());
    let ending = json!({"key": key, "backend": "kid", "link": kept.session_id}).to_string();
    ask("end", ending.into()).await.unwrap();
    let counted = client.call("9", "kid_count", "{}").await.unwrap().text().unwrap();
    assert_eq!(counted, "3", "only what was its caller's was carried out");
    stop.cancel();
}
