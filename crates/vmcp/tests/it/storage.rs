//! `sessionStorage` as operators meet it: secrets, TLS, keys and their rotation, with a real Redis.

use std::fs;

use http::StatusCode;
use serde_json::Value;
use vmcp_testkit::{
    client::{Client, fetch},
    gateway::{Gateway, eventually},
    peers,
    process::{Process, Program, free_port},
    raw::Running,
    redis::{RedisServer, RedisTls},
};

const OLD: &str = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";
const NEW: &str = "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=";

fn program(backend: &Running, storage: &str) -> Program {
    let storage = format!("sessionStorage: {{provider: redis, {storage}}}");
    Gateway::before(&[("a", backend.url())]).with(&storage).program(env!("CARGO_BIN_EXE_vmcp"))
}

async fn count(client: &Client, expected: u32) {
    let counted = client.call("1", "a_count", "{}").await.unwrap().text().unwrap();
    assert_eq!(counted, expected.to_string());
}

async fn json(url: &str) -> (StatusCode, Value) {
    let (status, body) = fetch(url).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn secrets_come_from_files_or_the_environment() {
    let backend = peers::stateful().start().await.unwrap();
    let redis = RedisTls::start("requirepass s3cret").await.unwrap();
    let files = tempfile::tempdir().unwrap();
    let directory = files.path().display();
    for (name, text) in [("ca.pem", &*redis.authority), ("password", "s3cret\n"), ("keys", OLD)] {
        fs::write(files.path().join(name), text).unwrap();
    }
    let usual =
        format!("address: '127.0.0.1:{}', tls: {{caBundlePath: '{directory}/ca.pem'}}", redis.port);
    let by_files =
        format!("{usual}, passwordFile: '{directory}/password', keysFile: '{directory}/keys'");
    let by_files = program(&backend, &by_files).start().await.unwrap();
    let by_default = program(&backend, &usual)
        .environment("THV_SESSION_REDIS_PASSWORD", "s3cret")
        .environment("VMCP_SESSION_HMAC_SECRET", OLD)
        .start()
        .await
        .unwrap();
    let client = Client::connect(&by_files.url()).await.unwrap();
    count(&client, 1).await;
    count(&client.at(&by_default.url()), 2).await;
    for process in [&by_files, &by_default] {
        let (status, ready) = json(&process.url_of("/readyz")).await;
        assert_eq!((status, &ready["store"]), (StatusCode::OK, &Value::from("ok")));
        let (_, status) = json(&process.url_of("/status")).await;
        assert_eq!((&status["store"], &status["records"]), (&Value::from("ok"), &Value::from(1)));
        let log = process.logged("reached the session store").await;
        assert!(!log.contains("s3cret") && !log.contains(OLD), "{log}");
        assert!(!log.contains("keys were made"), "{log}");
    }
}

/// Not a failure to start: what is wrong is said, once, and may be put right at Redis.
#[tokio::test]
async fn a_refused_password_is_said_and_not_ready() {
    let backend = peers::stateful().start().await.unwrap();
    let redis = RedisServer::with("requirepass another").await.unwrap();
    let process = program(&backend, &format!("address: '{}'", redis.address()))
        .environment("THV_SESSION_REDIS_PASSWORD", "s3cret")
        .ready_path("/health")
        .start()
        .await
        .unwrap();
    let said = "the session store cannot be reached yet";
    eventually("it is said", async || process.log().contains(said).then_some(())).await;
    assert_eq!(json(&process.url_of("/readyz")).await.0, StatusCode::SERVICE_UNAVAILABLE);
    let mut client = Client::new(&process.url());
    assert!(client.initialize().await.is_err());
    let ready = process.url_of("/readyz");
    redis.say("AUTH another\r\nCONFIG SET requirepass s3cret").await.unwrap();
    eventually("it is ready", async || (json(&ready).await.0 == StatusCode::OK).then_some(()))
        .await;
    count(&Client::connect(&process.url()).await.unwrap(), 1).await;
    let log = process.logged("keys were made").await;
    assert_eq!(log.matches(said).count(), 1, "{log}");
    assert!(log.to_lowercase().contains("password") && !log.contains("s3cret"), "{log}");
}

/// A session that was begun under the old key is its owner's under the new one.
#[tokio::test]
async fn keys_are_rotated_under_sessions() {
    let backend = peers::stateful().start().await.unwrap();
    let redis = RedisServer::start().await.unwrap();
    let replica = async |keys: &str| -> Process {
        let storage = format!("address: '{}', keysEnv: KEYS", redis.address());
        program(&backend, &storage).environment("KEYS", keys).start().await.unwrap()
    };
    let first = replica(OLD).await;
    let client = Client::connect(&first.url()).await.unwrap();
    count(&client, 1).await;
    let learning = replica(&format!("{OLD}\n{NEW}")).await;
    count(&client.at(&learning.url()), 2).await;
    first.terminate().await.unwrap();
    let using = replica(&format!("{NEW}\n{OLD}")).await;
    count(&client.at(&using.url()), 3).await;
    let later = Client::connect(&using.url()).await.unwrap();
    count(&later, 1).await;
    count(&later.at(&learning.url()), 2).await;
    learning.terminate().await.unwrap();
    let last = replica(NEW).await;
    count(&later.at(&last.url()), 3).await;
    // A session from before is not served any more, and not said to be unknown either.
    let refused = client.at(&last.url()).post(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await;
    assert_eq!(refused.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    count(&client.at(&using.url()), 4).await;
}

/// What this replica has put there is gone with it: it must not go on believing that it is there.
#[tokio::test]
async fn a_redis_that_has_lost_everything_gets_catalogs_again() {
    let backend = peers::stateful().start().await.unwrap();
    let mut redis = RedisServer::start().await.unwrap();
    let storage = format!("address: '{}'", redis.address());
    let first = program(&backend, &storage).start().await.unwrap();
    count(&Client::connect(&first.url()).await.unwrap(), 1).await;
    redis.kill().await.unwrap();
    redis.restart().await.unwrap();
    eventually("the replica is on the bus again", async || {
        redis.say("INFO commandstats").await.unwrap().contains("cmdstat_publish").then_some(())
    })
    .await;
    let client =
        eventually("sessions begin again", async || Client::connect(&first.url()).await.ok()).await;
    // One that has never seen the backend knows the session's tools from Redis alone.
    let dead = format!("http://127.0.0.1:{}/mcp", free_port().unwrap());
    let storage = format!("sessionStorage: {{provider: redis, {storage}}}");
    let cold = Gateway::before(&[("a", dead)]).with(&storage);
    let cold = cold.start(env!("CARGO_BIN_EXE_vmcp")).await.unwrap();
    let listed = client.at(&cold.url()).request("2", "tools/list", "{}").await.unwrap();
    assert!(listed.items("tools").unwrap().iter().any(|tool| tool.contains("a_count")));
}
