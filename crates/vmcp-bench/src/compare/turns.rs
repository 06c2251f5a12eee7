//! Drives parties in turn, so that whatever slows this machine down for a while slows each of them
//! down.

use anyhow::Result;

use crate::{
    figures::{Figure, Rounds},
    load::{self, Load, Rate, Work},
    party::Party,
    plan::Turns,
    process,
};

/// How much of what the slower party can do both are given when latency is measured: enough for
/// calls to meet, and little enough for none of them to fall behind.
const SHARE_OF_PEAK: f64 = 0.5;

/// A party with what it is asked.
pub(super) struct Side<'a> {
    pub(super) name: &'static str,
    pub(super) party: &'a mut Party,
    pub(super) work: Work,
    /// What each request shows. It changes nothing for who does not look at it.
    pub(super) token: Option<&'static str>,
}

/// What two parties were found to do with the same load.
pub(super) struct Compared {
    pub(super) base: Rounds,
    pub(super) subject: Rounds,
    /// The calls a second at which their latency was measured; 0 if they answered none.
    pub(super) rate: f64,
}

/// Drives two parties as fast as each can, and then both at the same rate.
pub(super) async fn compare(
    mut sides: [Side<'_>; 2],
    connections: usize,
    peak: Turns,
    paced: Turns,
) -> Result<Compared> {
    let mut found = sides.each_ref().map(|side| Rounds::of(side.name));
    for side in in_turn(peak.rounds, 2) {
        let round = round(&mut sides[side], connections, Rate::Peak, peak).await?;
        found[side].peak.push(round);
    }
    let peaks = found.iter().filter_map(|rounds| rounds.median(Figure::CallsPerSecond));
    let rate = peaks.fold(f64::INFINITY, f64::min) * SHARE_OF_PEAK;
    for side in in_turn(paced.rounds, 2) {
        let round = round(&mut sides[side], connections, Rate::Fixed(rate), paced).await?;
        found[side].paced.push(round);
    }
    for (side, rounds) in sides.iter().zip(&mut found) {
        rounds.resident_kib = Some(process::resident_kib(side.party.process)?);
    }
    let [base, subject] = found;
    Ok(Compared { base, subject, rate })
}

/// Drives three parties over one connection, as fast as it gets its answers.
pub(super) async fn over_one_connection(
    mut sides: [Side<'_>; 3],
    turns: Turns,
) -> Result<[Rounds; 3]> {
    let mut found = sides.each_ref().map(|side| Rounds::of(side.name));
    for side in in_turn(turns.rounds, 3) {
        found[side].peak.push(round(&mut sides[side], 1, Rate::Peak, turns).await?);
    }
    Ok(found)
}

async fn round(
    side: &mut Side<'_>,
    connections: usize,
    rate: Rate,
    turns: Turns,
) -> Result<load::Round> {
    let Side { work, token, .. } = *side;
    let load = Load { address: side.party.address, connections, work, token };
    let round = load::round(load, rate, turns.pace, side.party.process).await;
    // A party that has ended says more than the calls that fail because of it.
    side.party.alive()?;
    round
}

/// Whose turn it is. Each time another one begins, so that none always comes after the same one.
fn in_turn(rounds: usize, parties: usize) -> impl Iterator<Item = usize> {
    (0..rounds).flat_map(move |round| (0..parties).map(move |turn| (round + turn) % parties))
}

#[cfg(test)]
mod tests {
    use super::in_turn;

    #[test]
    fn each_has_as_many_turns_and_begins_as_often() {
        assert_eq!(in_turn(3, 2).collect::<Vec<_>>(), [0, 1, 1, 0, 0, 1]);
        assert_eq!(in_turn(3, 3).collect::<Vec<_>>(), [0, 1, 2, 1, 2, 0, 2, 0, 1]);
    }
}
