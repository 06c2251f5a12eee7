//! What an idle session costs vmcp in memory: opens many and looks how much the process grows.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use tokio::time;

use crate::{
    case::{Limit, Many},
    client::{Connection, Session},
    crowd, process,
    report::Line,
};

/// Opened and ended before anything is counted, so that pools and buffers have their size.
const WARM_UP: usize = 200;
/// What is freed is not given back at once.
const SETTLE: Duration = Duration::from_millis(1500);
/// So many that what the process keeps for itself, some megabytes more or less, tells little.
const SESSIONS: usize = 10_000;
/// How many sessions there are when the memory of large numbers is looked at.
const CROWDS: [usize; 5] = [1000, 5000, 10_000, 20_000, 50_000];

/// Measures the three states that the design names, one after the other.
pub(crate) async fn states(address: SocketAddr, process: u32, behind: Many) -> Result<Vec<Line>> {
    warm_up(address, behind.backends).await?;

    let empty = settled(process).await?;
    let crowd: Arc<[Session]> = crowd::open(address, SESSIONS).await?.into();
    let opened = settled(process).await?;
    crowd::call_each(address, &crowd, behind.backends).await?;
    let called = settled(process).await?;
    let mut streams = Vec::with_capacity(SESSIONS);
    for session in crowd.iter() {
        let mut connection = Connection::open(address).await?;
        let stream = session.listen(&mut connection).await.with_context(|| {
            format!("with {} streams open; is the limit of open files too low?", streams.len())
        })?;
        streams.push((connection, stream));
    }
    let listening = settled(process).await?;

    let line = |state: &str, now, limit| Line {
        what: format!("idle session {state}"),
        unit: "KiB",
        value: each(empty, now, SESSIONS),
        limit: Some(limit),
    };
    Ok(vec![
        line("before any call", opened, Limit::new(2.0, 1.0)),
        line(
            &format!("after a call to each of {} backends", behind.backends),
            called,
            Limit::new(4.0, 2.0),
        ),
        line("with a GET stream open", listening, Limit::new(12.0, 8.0)),
    ])
}

/// Measures whether a session costs the same however many there are.
pub(crate) async fn growth(address: SocketAddr, process: u32, behind: Many) -> Result<Vec<Line>> {
    warm_up(address, behind.backends).await?;
    let empty = settled(process).await?;
    let (mut crowd, mut seen) = (Vec::new(), vec![(0, empty)]);
    for sessions in CROWDS {
        crowd.extend(crowd::open(address, sessions - crowd.len()).await?);
        seen.push((sessions, settled(process).await?));
    }
    let Many { backends, tools } = behind;
    Ok(growth_lines(&format!("{backends} x {tools} tools"), &seen))
}

/// `seen` is how many sessions there were, and the memory then.
fn growth_lines(behind: &str, seen: &[(usize, u64)]) -> Vec<Line> {
    let line = |what, unit, value| Line {
        what: format!("idle session over {behind}, {what}"),
        unit,
        value,
        limit: None,
    };
    let between = |(fewer, before), (more, after)| each(before, after, more - fewer);
    let mut lines = Vec::new();
    for pair in seen.windows(2) {
        let what = format!("each from {} to {}", pair[0].0, pair[1].0);
        lines.push(line(what, "KiB", between(pair[0], pair[1])));
    }
    // The first sessions also fill what was begun for them, and steps that are near each other
    // differ by what the process keeps for itself.
    if let [_, first, .., next_to_last, last] = *seen {
        let ratio = between(next_to_last, last) / between(first, next_to_last);
        lines.push(line("the last step in all between".to_owned(), "x", ratio));
    }
    lines
}

async fn warm_up(address: SocketAddr, backends: usize) -> Result<()> {
    let sessions: Arc<[Session]> = crowd::open(address, WARM_UP).await?.into();
    crowd::call_each(address, &sessions, backends).await?;
    let mut connection = Connection::open(address).await?;
    for session in sessions.iter() {
        session.end(&mut connection).await?;
    }
    Ok(())
}

async fn settled(process: u32) -> Result<u64> {
    time::sleep(SETTLE).await;
    process::resident_kib(process)
}

/// Less than nothing if the process has given back more than the sessions took.
#[expect(clippy::cast_precision_loss, reason = "KiB of memory fit")]
fn each(before: u64, after: u64, sessions: usize) -> f64 {
    (after as f64 - before as f64) / sessions as f64
}

#[cfg(test)]
mod tests {
    use super::growth_lines;

    #[test]
    fn growth_is_told_step_by_step_and_from_far_apart() {
        let seen = [(0, 100), (10, 130), (20, 140), (30, 160), (70, 220)];
        let lines = growth_lines("2 x 1 tools", &seen);
        let values: Vec<_> = lines.iter().map(|line| (line.value, line.unit)).collect();
        assert_eq!(values, [(3.0, "KiB"), (1.0, "KiB"), (2.0, "KiB"), (1.5, "KiB"), (1.0, "x")]);
        assert_eq!(lines[1].what, "idle session over 2 x 1 tools, each from 10 to 20");
    }
}
