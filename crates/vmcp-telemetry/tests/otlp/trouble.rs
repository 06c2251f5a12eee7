//! Receivers that are slow, that refuse, that break off, and that are not there.

use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use vmcp_telemetry::otlp::Config;
use vmcp_testkit::{identity::IdentityProvider, process::free_port};

use crate::{Receiver, config, exporter, nothing, receiver, requests, span, spans, until};

/// What the log says.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Listens to this thread.
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn lines(&self) -> Vec<String> {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = String::from_utf8(text).unwrap();
        text.lines().filter(|line| line.contains("telemetry")).map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn what_may_work_later_is_sent_again() {
    for behaviour in [
        r#"{"status": 503, "headers": {"Retry-After": "1"}}"#,
        r#"{"status": 429}"#,
        r#"{"status": 502, "text": "not now"}"#,
        r#"{"status": 504, "raw": "<html>"}"#,
        r#"{"close": true}"#,
        // More than an answer may have.
        r#"{"status": 400, "bytes": 100000}"#,
    ] {
        let receiver = receiver().await;
        receiver.behave(&format!("[{behaviour}]")).await;
        let exporter = exporter(config(&receiver), nothing());
        exporter.record([span(1), span(2)]);
        let received = receiver.until("two spans", |received| spans(received) == 2).await;
        assert_eq!(requests(&received), 2, "{behaviour}");
        until(&exporter, "exported", |exporter| exporter.stats().traces.exported == 2).await;
        assert_eq!(exporter.stats().traces.failed, 0, "{behaviour}");
    }
}

#[tokio::test]
async fn what_is_refused_is_lost_and_what_follows_is_not() {
    let receiver = receiver().await;
    receiver
        .behave(
            r#"[{"status": 400, "text": "bad\nspan"}, {"status": 500}, {"status": 401, "raw": "no"},
                {"status": 307, "headers": {"Location": "/v1/traces"}}]"#,
        )
        .await;
    let log = Log::default();
    let _listening = log.listen();
    let exporter = exporter(config(&receiver), nothing());
    for lost in 1..=4 {
        exporter.record([span(lost)]);
        let failed = u64::from(lost);
        until(&exporter, "lost", |exporter| exporter.stats().traces.failed == failed).await;
    }
    exporter.record([span(5)]);
    let received = receiver.until("a span", |received| spans(received) == 1).await;
    assert_eq!(received["spans"][0]["name"], "span 5");
    assert_eq!(requests(&received), 5);
    until(&exporter, "exported", |exporter| exporter.stats().traces.exported == 1).await;
    // The log has the first failure and the end of all, and no secret.
    let lines = log.lines();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("400 Bad Request bad span"), "{lines:#?}");
    assert!(lines[1].contains("exported again") && lines[1].contains("lost=4"), "{lines:#?}");
    assert!(!lines.concat().contains("the key"), "{lines:#?}");
}

#[tokio::test]
async fn what_is_taken_in_part_counts_as_such() {
    let receiver = receiver().await;
    receiver
        .behave(
            r#"[{"partial": [2, "two are too old"]}, {"partial": [0, "a remark"]}, {"raw": "{}"}]"#,
        )
        .await;
    let exporter = exporter(config(&receiver), nothing());
    for (exported, batch) in [(1, 0..3), (2, 3..4), (3, 4..5)] {
        exporter.record(batch.map(span));
        until(&exporter, "exported", |exporter| exporter.stats().traces.exported == exported).await;
    }
    assert_eq!(exporter.stats().traces.failed, 2);
    assert_eq!(requests(&receiver.received().await), 3);
}

/// Whoever records is never made to wait, and what waits is bounded.
#[tokio::test]
async fn a_slow_receiver_costs_what_there_is_no_room_for() {
    let receiver = receiver().await;
    receiver.behave(r#"[{"hold": true}]"#).await;
    let log = Log::default();
    let _listening = log.listen();
    let config = Config { timeout: crate::PATIENCE, max_spans: 1000, ..config(&receiver) };
    let exporter = exporter(config, nothing());
    exporter.record([span(0)]);
    receiver.until("a request", |received| requests(received) == 1).await;
    exporter.record((1..10_000).map(span));
    let stats = exporter.stats().traces;
    assert_eq!((stats.queued, stats.dropped), (1001, 8999));
    receiver.release().await;
    let received = receiver.until("all", |received| spans(received) == 1001).await;
    // The oldest are those that are kept, in batches.
    assert_eq!(received["spans"][1000]["name"], "span 1000");
    assert_eq!(requests(&received), 3);
    until(&exporter, "exported", |exporter| exporter.stats().traces.exported == 1001).await;
    assert_eq!(exporter.stats().traces.queued, 0);
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("WARN") && lines[0].contains("dropped=8999"), "{lines:#?}");
}

/// Spans do not go one by one while there is much of them: each request would hold a few.
#[tokio::test]
async fn what_comes_while_a_batch_is_sent_waits_for_others() {
    let receiver = receiver().await;
    receiver.behave(r#"[{"hold": true}]"#).await;
    let config = Config { timeout: crate::PATIENCE, ..config(&receiver) };
    let exporter = exporter(Config { batch_interval: crate::PATIENCE, ..config }, nothing());
    exporter.record((0..512).map(span));
    receiver.until("a request", |received| requests(received) == 1).await;
    exporter.record([span(512)]);
    receiver.release().await;
    until(&exporter, "exported", |exporter| exporter.stats().traces.exported == 512).await;
    exporter.record((513..1024).map(span));
    let received = receiver.until("all", |received| spans(received) == 1024).await;
    assert_eq!(requests(&received), 2);
}

#[tokio::test]
async fn a_receiver_that_comes_back_gets_what_has_waited() {
    let program = Receiver::program().port(free_port().unwrap());
    let receiver = Receiver::start_as(&program).await.unwrap();
    let log = Log::default();
    let _listening = log.listen();
    let exporter = exporter(config(&receiver), nothing());
    receiver.kill().await.unwrap();
    exporter.record((0..600).map(span));
    let deadline = tokio::time::Instant::now() + crate::PATIENCE;
    while log.lines().is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "nothing is said of it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let receiver = Receiver::start_as(&program).await.unwrap();
    receiver.until("all", |received| spans(received) == 600).await;
    until(&exporter, "exported", |exporter| exporter.stats().traces.exported == 600).await;
    let lines = log.lines();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("WARN") && lines[0].contains("cannot be reached"), "{lines:#?}");
    assert!(lines[1].contains("exported again") && lines[1].contains("lost=0"), "{lines:#?}");
}

/// What is being sent when the end comes is sent once more by the end: nobody knows whether it was taken.
#[tokio::test]
async fn the_end_takes_over_what_is_being_sent() {
    let receiver = receiver().await;
    receiver.behave(r#"[{"hold": true}]"#).await;
    let exporter = exporter(config(&receiver), nothing());
    exporter.record([span(0)]);
    receiver.until("a request", |received| requests(received) == 1).await;
    exporter.record([span(1), span(2)]);
    exporter.flush(crate::PATIENCE).await;
    let stats = exporter.stats().traces;
    assert_eq!((stats.exported, stats.failed, stats.dropped, stats.queued), (3, 0, 0, 0));
    assert_eq!(spans(&receiver.received().await), 3);
    receiver.release().await;
}

#[tokio::test]
async fn the_end_waits_no_longer_than_it_may() {
    let receiver = receiver().await;
    receiver.behave(r#"[{"hold": true}, {"hold": true}]"#).await;
    let exporter = exporter(config(&receiver), nothing());
    exporter.record([span(0)]);
    receiver.until("a request", |received| requests(received) == 1).await;
    exporter.record([span(1), span(2)]);
    exporter.flush(Duration::from_millis(200)).await;
    let stats = exporter.stats().traces;
    assert_eq!((stats.exported, stats.failed, stats.dropped, stats.queued), (0, 1, 2, 0));
    receiver.release().await;
}

/// The provider's server takes no telemetry, but says so by TLS.
#[tokio::test]
async fn a_receiver_is_believed_whose_authority_is_configured() {
    let server = IdentityProvider::start_with_tls().await.unwrap();
    let other = IdentityProvider::start_with_tls().await.unwrap();
    let url = format!("{}/v1/traces", server.issuer());
    for (ca_bundle, said) in [
        (server.authority().as_bytes().to_vec(), "404 Not Found"),
        (other.authority().as_bytes().to_vec(), "certificate"),
    ] {
        let log = Log::default();
        let _listening = log.listen();
        let config = Config {
            traces: Some(url.parse().unwrap()),
            ca_bundle: Some(ca_bundle),
            batch_interval: Duration::from_millis(20),
            ..Config::new(SystemTime::now())
        };
        let exporter = exporter(config, nothing());
        exporter.record([span(0)]);
        until(&exporter, said, |_| log.lines().concat().contains(said)).await;
    }
}

/// A URL may have secrets before its host and behind its path.
#[tokio::test]
async fn what_needs_tls_is_not_sent_without() {
    let receiver = receiver().await;
    let host = receiver.url().replace("http://", "");
    for (insecure, url) in [
        (false, format!("http://{host}/v1/traces?key=hidden")),
        (true, format!("http://user:hidden@{host}/v1/traces")),
    ] {
        let log = Log::default();
        let _listening = log.listen();
        let traces = Some(url.parse().unwrap());
        let exporter = exporter(Config { traces, insecure, ..config(&receiver) }, nothing());
        exporter.record([span(0)]);
        until(&exporter, "lost", |exporter| exporter.stats().traces.failed == 1).await;
        let said = log.lines().concat();
        assert!(said.contains(&format!("http://{host}/v1/traces is not")), "{said}");
        assert!(!said.contains("hidden"), "{said}");
    }
    assert_eq!(requests(&receiver.received().await), 0);
}
