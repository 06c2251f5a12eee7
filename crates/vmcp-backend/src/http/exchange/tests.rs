//! The answer to a GET in, what it says about the backend's health out.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_util::task::TaskTracker;
use vmcp_model::{BackendId, ProtocolVersion};

use crate::{
    backend::Backend,
    config::Config,
    error::Error,
    health::{BreakerSettings, HealthSettings, Phase, Sign},
    session::Session,
};

/// Whether the breaker closes when this status answers the one request that is let through.
async fn closes(status: &str) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    let serving = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        let _request = connection.read(&mut [0; 4096]).await.unwrap();
        connection.write_all(answer.as_bytes()).await.unwrap();
        connection
    };
    let config = Config::plain(BackendId::new("a").unwrap(), url);
    let backend = Backend::new(&config, TaskTracker::new()).unwrap();
    let timeout = Duration::from_millis(50);
    let breaker = Some(BreakerSettings { failure_threshold: 1, timeout });
    backend.health.set(HealthSettings { breaker, ..HealthSettings::default() });
    backend.health.failed(Sign::Call, &Error::Broken("it broke".to_owned()));
    assert_eq!(backend.health.snapshot().breaker.unwrap().0, Phase::Open);
    tokio::time::sleep(2 * timeout).await;
    let session = Session::resumed(None, ProtocolVersion::LATEST_LEGACY, backend.facts()).unwrap();
    let (stream, _connection) = tokio::join!(backend.open_stream(&session, None), serving);
    drop(stream);
    backend.health.snapshot().breaker.unwrap().0 == Phase::Closed
}

/// The stream of a call that was sent breaks off while the backend is left alone.
#[tokio::test]
async fn a_stream_that_cannot_be_taken_up_has_broken_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
    let serving = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        let _request = connection.read(&mut [0; 4096]).await.unwrap();
        let answer =
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nid: 1\nretry: 100\n\n";
        connection.write_all(answer.as_bytes()).await.unwrap();
        connection.shutdown().await.unwrap();
    };
    let config = Config::plain(BackendId::new("a").unwrap(), url);
    let backend = Backend::new(&config, TaskTracker::new()).unwrap();
    let session = Session::resumed(None, ProtocolVersion::LATEST_LEGACY, backend.facts()).unwrap();
    let (stream, ()) = tokio::join!(backend.open_stream(&session, None), serving);
    let timeout = Duration::from_secs(60);
    let breaker = Some(BreakerSettings { failure_threshold: 1, timeout });
    backend.health.set(HealthSettings { breaker, ..HealthSettings::default() });
    backend.health.failed(Sign::Call, &Error::Broken("it broke".to_owned()));
    // It is tried ever less often.
    tokio::time::pause();
    let ended = stream.unwrap().unwrap().next().await;
    assert!(matches!(ended, Err(Error::Broken(_))), "{ended:?}");
}

#[tokio::test]
async fn a_stream_that_is_refused_for_a_fault_of_the_backend_is_no_sign_of_life() {
    for status in ["500 E", "502 E", "503 E", "504 E"] {
        assert!(!closes(status).await, "{status}");
    }
    for status in ["405 E", "409 E", "501 E"] {
        assert!(closes(status).await, "{status}");
    }
}
