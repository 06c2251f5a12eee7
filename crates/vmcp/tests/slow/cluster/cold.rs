//! A replica that has just started, and sessions that all come to it at once.

use std::{path::Path, time::Duration};

use vmcp_testkit::cluster::Cold;

const SESSIONS: usize = 2000;
const CONNECTIONS: usize = 64;

/// Bytes that a session with one backend session may cost Redis, index included.
const MOST: u64 = 1400;

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_replica_takes_every_session_up_at_once() {
    let binary = Path::new(env!("CARGO_BIN_EXE_vmcp"));
    let cold = Cold::measure(binary, SESSIONS, CONNECTIONS).await.unwrap();
    println!(
        "{SESSIONS} sessions on a cold replica: {} bytes each in Redis, first call p50 {:?}, p99 {:?}, max {:?}, {:.2} commands",
        cold.bytes_a_session,
        cold.first.quantile(500),
        cold.first.quantile(990),
        cold.first.quantile(1000),
        cold.first.commands,
    );
    for pass in [&cold.first, &cold.second] {
        assert_eq!(pass.failed, 0, "{:#?}", pass.examples);
    }
    assert!(cold.bytes_a_session <= MOST, "{} bytes", cold.bytes_a_session);
    assert!(cold.first.commands < 1.5, "{} commands to take a session up", cold.first.commands);
    assert!(cold.second.commands < 0.1, "{} commands for a call", cold.second.commands);
    // On a busy machine and without optimisation: nobody waits for a timeout.
    assert!(cold.first.quantile(1000) < Duration::from_secs(3), "{:?}", cold.first.quantile(1000));
}
