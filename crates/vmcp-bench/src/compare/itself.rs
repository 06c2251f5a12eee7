//! vmcp against itself: two processes of it that differ in one thing, driven in turn.

use anyhow::Result;

use super::{Bench, Side, progress, row, turns};
use crate::{
    case::{self, Backends, Many},
    client::message::Request,
    crowd,
    load::Work,
    party,
    plan::{Plan, Turns},
    report::Row,
    setup::{Setup, Told},
};

/// Sessions that are there and do nothing.
const CROWD: usize = 10_000;
const CONNECTIONS: usize = 16;

impl Bench {
    /// Whether calls take longer beside many sessions that do nothing.
    pub(super) async fn beside_idle_sessions(&mut self) -> Result<Row> {
        progress(case::IDLE)?;
        let (mut empty, mut crowded) =
            (self.start(Backends::One).await?, self.start(Backends::One).await?);
        let sessions = crowd::open(crowded.address, CROWD).await?;
        let work = Work::Ask(Request::Echo(64));
        let sides = [
            Side { name: "none idle", party: &mut empty, work, token: None },
            Side { name: "10,000 idle", party: &mut crowded, work, token: None },
        ];
        let Plan { peak, paced, short, .. } = self.plan;
        // The bar is about the slowest calls, of which each round tells something else.
        let paced = Turns { rounds: short.rounds, ..paced };
        let compared = turns::compare(sides, CONNECTIONS, peak, paced).await?;
        drop(sessions);
        self.backend.alive()?;
        empty.kill().await?;
        crowded.kill().await?;
        Ok(row(case::IDLE, CONNECTIONS, compared, Some(case::BESIDE_IDLE)))
    }

    /// Whether a call costs more if its client speaks the modern era and its backend does not.
    pub(super) async fn across_eras(&mut self) -> Result<Row> {
        progress(case::ACROSS)?;
        let (mut legacy, mut modern) =
            (self.start(Backends::Legacy).await?, self.start(Backends::Legacy).await?);
        let request = Request::Echo(64);
        let sides = [
            Side {
                name: "legacy client",
                party: &mut legacy,
                work: Work::Ask(request),
                token: None,
            },
            Side {
                name: "modern client",
                party: &mut modern,
                work: Work::AskModern(request),
                token: None,
            },
        ];
        let Plan { peak, paced, .. } = self.plan;
        let compared = turns::compare(sides, CONNECTIONS, peak, paced).await?;
        self.backend.alive()?;
        legacy.kill().await?;
        modern.kill().await?;
        Ok(row(case::ACROSS, CONNECTIONS, compared, Some(case::ACROSS_ERAS)))
    }

    /// What a call costs more if something is told of it.
    pub(super) async fn told(
        &mut self,
        name: &'static str,
        told: Told,
        bar: Option<case::Bar>,
    ) -> Result<Row> {
        progress(name)?;
        let sections =
            Setup { told, ..Setup::PLAIN }.sections(self.backend.address, self.dir.path());
        let urls = self.urls(Backends::One);
        let mut silent = self.start(Backends::One).await?;
        let mut telling = party::vmcp(&self.vmcp, self.dir.path(), &urls, &sections).await?;
        let work = Work::Ask(Request::Echo(64));
        let sides = [
            Side { name: "nothing told", party: &mut silent, work, token: None },
            Side { name, party: &mut telling, work, token: None },
        ];
        let Plan { peak, paced, short, .. } = self.plan;
        let peak = Turns { rounds: short.rounds, ..peak };
        let compared = turns::compare(sides, CONNECTIONS, peak, paced).await?;
        self.backend.alive()?;
        silent.kill().await?;
        telling.kill().await?;
        Ok(row(name, CONNECTIONS, compared, bar))
    }

    /// Whether a call costs more where there are more tools.
    pub(super) async fn with_a_larger_catalog(&mut self) -> Result<Row> {
        progress(case::CATALOG)?;
        let (mut small, mut large) = (
            self.start(Backends::Many(Many::SPARSE)).await?,
            self.start(Backends::Many(Many::TYPICAL)).await?,
        );
        let work = Work::Ask(Request::OfMany(64));
        let sides = [
            Side { name: "20 tools", party: &mut small, work, token: None },
            Side { name: "1000 tools", party: &mut large, work, token: None },
        ];
        let Plan { peak, paced, short, .. } = self.plan;
        let peak = Turns { rounds: short.rounds, ..peak };
        let compared = turns::compare(sides, CONNECTIONS, peak, paced).await?;
        self.backend.alive()?;
        small.kill().await?;
        large.kill().await?;
        Ok(row(case::CATALOG, CONNECTIONS, compared, Some(case::LARGER_CATALOG)))
    }
}
