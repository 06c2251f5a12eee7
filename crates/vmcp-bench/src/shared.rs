//! What it costs that records live in a Redis which two replicas share: against the same calls with
//! records in memory, in commands, and when a session goes to the other replica.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{self, Instant},
};

use crate::{
    case::Plan,
    client::{
        Connection, Session,
        message::{self, Request},
    },
    histogram::Histogram,
    load::{self, Load, Work},
    party::Party,
    report::Figures,
};

/// Sessions that go to the other replica.
const MOVED: usize = 1000;

/// How long commands are counted while nobody calls.
const QUIET: Duration = Duration::from_secs(2);

/// One figure.
#[derive(Debug, PartialEq)]
pub(crate) struct Shared {
    pub(crate) what: &'static str,
    pub(crate) value: f64,
    /// The most that the design allows.
    pub(crate) bar: Option<f64>,
}

/// Who takes part.
pub(crate) struct Parties<'a> {
    /// The Redis.
    pub(crate) store: &'a Party,
    /// With its records in memory.
    pub(crate) alone: &'a Party,
    /// With their records in Redis.
    pub(crate) replicas: [&'a Party; 2],
}

/// Measures everything.
pub(crate) async fn measure(parties: &Parties<'_>, plan: Plan) -> Result<Vec<Shared>> {
    let Parties { store, alone, replicas: [first, second] } = parties;
    let idle = quiet_rate(store.address).await?;
    let (mut without, mut with, mut commands) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let load = |address| Load { address, connections: 16, work: Work::Ask(Request::Echo(64)) };
        without.push(load::round(load(alone.address), plan.pace, alone.process).await?);
        // Sessions are opened before, and ended after what is counted.
        let counting = async {
            time::sleep(plan.pace.warm_up * 2).await;
            let (before, began) = (commands_of(store.address).await?, Instant::now());
            time::sleep(plan.pace.measured / 2).await;
            let counted = commands_of(store.address).await?.saturating_sub(before + 1);
            Ok::<_, anyhow::Error>(per_second(counted, began.elapsed()))
        };
        let driving = load::round(load(first.address), plan.pace, first.process);
        let (round, counted) = tokio::try_join!(driving, counting)?;
        commands.push(counted);
        with.push(round);
    }
    let (without, with) = (Figures::of(&without), Figures::of(&with));
    for figures in [&without, &with] {
        ensure!(figures.errors == 0, "calls fail: {:?}", figures.first_error);
    }
    commands.sort_by(f64::total_cmp);
    let commands = commands[commands.len() / 2];
    let moved = moved(store.address, first.address, second.address, idle).await?;
    let mut found = vec![
        figure("CPU per call in that with records in memory", with.cpu / without.cpu, Some(1.1)),
        figure("commands per call", commands / with.calls_per_second, Some(0.01)),
        figure("commands a second of two idle replicas", idle, None),
    ];
    found.extend(moved);
    Ok(found)
}

/// Opens sessions on one replica and goes on with them on the other.
async fn moved(
    store: SocketAddr,
    from: SocketAddr,
    to: SocketAddr,
    idle: f64,
) -> Result<Vec<Shared>> {
    let (mut here, mut there) = (Connection::open(from).await?, Connection::open(to).await?);
    let mut sessions = Vec::with_capacity(MOVED);
    for _ in 0..MOVED {
        let session = Session::open(&mut here).await?;
        call(&session, &mut here).await?;
        sessions.push(session);
    }
    // A replica reads its keys, its catalogs and its backends once.
    let first = Session::open(&mut there).await?;
    call(&first, &mut there).await?;
    let (before, began) = (commands_of(store).await?, Instant::now());
    let mut restored = Histogram::new();
    for session in &sessions {
        restored.record(call(session, &mut there).await?);
    }
    let counted = commands_of(store).await?.saturating_sub(before + 1);
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds fit")]
    let each = (counted as f64 - idle * began.elapsed().as_secs_f64()) / MOVED as f64;
    let mut again = Histogram::new();
    for session in &sessions {
        again.record(call(session, &mut there).await?);
    }
    for session in sessions.into_iter().chain([first]) {
        session.end(&mut there).await?;
    }
    Ok(vec![
        figure("commands to take a session up elsewhere", each, Some(1.1)),
        figure("us of its first call there, p50", restored.quantile(0.5), None),
        figure("us of its first call there, p99", restored.quantile(0.99), None),
        figure("us of its second call there, p50", again.quantile(0.5), None),
        figure("us of its second call there, p99", again.quantile(0.99), None),
    ])
}

async fn call(session: &Session, connection: &mut Connection) -> Result<Duration> {
    let began = Instant::now();
    let call = message::call("echo", r#""text":"x""#);
    let answer = session.post(connection, Bytes::from(call)).await?;
    ensure!(message::whole(&answer)?.get("result").is_some(), "a call fails");
    Ok(began.elapsed())
}

async fn quiet_rate(store: SocketAddr) -> Result<f64> {
    let (before, began) = (commands_of(store).await?, Instant::now());
    time::sleep(QUIET).await;
    let counted = commands_of(store).await?.saturating_sub(before + 1);
    Ok(per_second(counted, began.elapsed()))
}

/// How many commands a Redis has processed.
async fn commands_of(store: SocketAddr) -> Result<u64> {
    let mut stream = TcpStream::connect(store).await.context("cannot connect to Redis")?;
    stream.write_all(b"INFO stats\r\n").await?;
    let mut text = String::new();
    while !text.contains("total_writes_processed:") {
        let mut buffer = [0; 8192];
        let read = stream.read(&mut buffer).await?;
        ensure!(read > 0, "Redis ends the connection");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    let line = text.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
    line.context("Redis does not count commands")?.trim().parse().context("no number")
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few seconds fit")]
fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

fn figure(what: &'static str, value: f64, bar: Option<f64>) -> Shared {
    Shared { what, value, bar }
}
