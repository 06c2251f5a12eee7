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
    case::Limit,
    client::{
        Connection, Session,
        message::{self, Request},
    },
    figures::{Figure, Rounds, Spread},
    histogram::Histogram,
    load::{self, Load, Rate, Work},
    party::Party,
    plan::Turns,
    report::Line,
};

/// Sessions that go to the other replica.
const MOVED: usize = 1000;

/// How long commands are counted while nobody calls.
const QUIET: Duration = Duration::from_secs(2);

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
pub(crate) async fn measure(parties: &Parties<'_>, turns: Turns) -> Result<Vec<Line>> {
    let Parties { store, alone, replicas: [first, second] } = parties;
    let idle = quiet_rate(store.address).await?;
    let (mut without, mut with) = (Rounds::of("memory"), Rounds::of("Redis"));
    let mut commands = Vec::new();
    for _ in 0..turns.rounds {
        without.peak.push(round(alone, turns).await?);
        let (round, counted) =
            tokio::try_join!(round(first, turns), commands_within(store.address, turns))?;
        commands.push(counted);
        with.peak.push(round);
    }
    for rounds in [&without, &with] {
        ensure!(rounds.errors() == 0, "calls fail: {:?}", rounds.first_error());
    }
    let cpu = Spread::of_ratios(Figure::Cpu, &without, &with).context("no rounds")?.median;
    let commands = Spread::of(commands).context("no rounds")?.median;
    let calls = with.median(Figure::CallsPerSecond).context("no rounds")?;
    let mut lines = vec![
        line("CPU per call in that with records in memory", "x", cpu, Some(Limit::new(1.1, 1.0))),
        line("commands per call", "", commands / calls, Some(Limit::bar(0.01))),
        line("commands a second of two idle replicas", "", idle, None),
    ];
    lines.extend(moved(store.address, first.address, second.address, idle).await?);
    Ok(lines)
}

async fn round(party: &Party, turns: Turns) -> Result<load::Round> {
    let work = Work::Ask(Request::Echo(64));
    let load = Load { address: party.address, connections: 16, work, token: None };
    load::round(load, Rate::Peak, turns.pace, party.process).await
}

/// How many commands a second there are in the middle of a round: sessions are opened before, and
/// ended after what is counted.
async fn commands_within(store: SocketAddr, turns: Turns) -> Result<f64> {
    time::sleep(turns.pace.warm_up * 2).await;
    let (before, began) = (commands_of(store).await?, Instant::now());
    time::sleep(turns.pace.measured / 2).await;
    let counted = commands_of(store).await?.saturating_sub(before + 1);
    Ok(per_second(counted, began.elapsed()))
}

/// Opens sessions on one replica and goes on with them on the other.
async fn moved(
    store: SocketAddr,
    from: SocketAddr,
    to: SocketAddr,
    idle: f64,
) -> Result<Vec<Line>> {
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
    let mut restored = Histogram::default();
    for session in &sessions {
        restored.record(call(session, &mut there).await?);
    }
    let counted = commands_of(store).await?.saturating_sub(before + 1);
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds fit")]
    let each = (counted as f64 - idle * began.elapsed().as_secs_f64()) / MOVED as f64;
    let mut again = Histogram::default();
    for session in &sessions {
        again.record(call(session, &mut there).await?);
    }
    for session in sessions.into_iter().chain([first]) {
        session.end(&mut there).await?;
    }
    let micros = |what, value| line(what, "us", value, None);
    Ok(vec![
        line("commands to take a session up elsewhere", "", each, Some(Limit::bar(1.1))),
        micros("its first call there, p50", restored.quantile(0.5)),
        micros("its first call there, p99", restored.quantile(0.99)),
        micros("its second call there, p50", again.quantile(0.5)),
        micros("its second call there, p99", again.quantile(0.99)),
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

fn line(what: &str, unit: &'static str, value: f64, limit: Option<Limit>) -> Line {
    Line { what: format!("records in Redis: {what}"), unit, value, limit }
}
