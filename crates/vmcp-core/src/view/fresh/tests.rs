//! Terms of several backends in, those of their view out.

use std::time::Duration;

use tokio::time::Instant;
use vmcp_backend::Freshness;
use vmcp_model::Kind;

use super::{Fresh, KINDS, Term, Terms};

fn terms(seconds: u64, is_public: bool) -> Terms {
    Terms([Term { until: Instant::now() + Duration::from_secs(seconds), is_public }; KINDS])
}

#[tokio::test(start_paused = true)]
async fn a_view_is_as_fresh_as_the_least_of_its_backends() {
    let fresh = Fresh::new();
    let of = |fresh: &Fresh| fresh.of(Kind::Tool);
    assert_eq!(of(&fresh), Freshness::default());
    fresh.set([terms(60, true), terms(10, true)].into_iter());
    assert_eq!(of(&fresh), Freshness { ttl: Duration::from_secs(10), is_public: true });
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(of(&fresh).ttl, Duration::from_secs(6));
    fresh.set([terms(60, true), terms(10, false)].into_iter());
    assert_eq!(of(&fresh), Freshness { ttl: Duration::from_secs(10), is_public: false });
    fresh.set([terms(60, true), Terms::unknown()].into_iter());
    assert_eq!(of(&fresh), Freshness::default());
    fresh.set(std::iter::empty());
    assert_eq!(of(&fresh), Freshness::default());
}

#[tokio::test(start_paused = true)]
async fn what_is_over_waits_until_somebody_asks() {
    const AGES: Duration = Duration::from_secs(3600);
    let fresh = Fresh::new();
    let asked = |time| tokio::time::timeout(AGES, fresh.asked_since(time));
    tokio::time::advance(Duration::from_secs(1)).await;
    fresh.ask();
    let over = Instant::now() + Duration::from_secs(10);
    assert!(asked(over).await.is_err(), "it was asked for while it was fresh");
    fresh.ask();
    assert!(asked(over).await.is_ok());
    assert!(asked(Instant::now() + Duration::from_secs(1)).await.is_err());
    let over = Instant::now();
    let (came, ()) = tokio::join!(asked(over), async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        fresh.ask();
    });
    assert!(came.is_ok());
    assert_eq!(over.elapsed(), Duration::from_secs(5));
}
