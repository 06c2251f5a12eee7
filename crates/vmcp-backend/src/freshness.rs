//! How long what a backend said may be taken for true, and who may be shown it (specification
//! 2026-07-28, server/utilities/caching).

use std::time::Duration;

use vmcp_model::raw::Members;

/// No result is taken for true for longer, whatever it says of itself.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How long a result may be taken for true, and by whom. By default, not at all: so it is with what says
/// nothing about it, as the legacy era's results do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Freshness {
    pub ttl: Duration,
    /// It is the same for every caller.
    pub is_public: bool,
}

impl Freshness {
    /// Reads `ttlMs` and `cacheScope` of a result. What is absent or wrong promises nothing.
    pub(crate) fn of_result(result: &[u8]) -> Self {
        let Some(members) = Members::parse(result) else { return Self::default() };
        let ttl = members
            .value(result, "ttlMs")
            .and_then(|value| std::str::from_utf8(value).ok()?.parse::<f64>().ok())
            .filter(|milliseconds| *milliseconds > 0.0)
            .map_or(Duration::ZERO, |milliseconds| {
                Duration::try_from_secs_f64(milliseconds / 1000.0).unwrap_or(LONGEST).min(LONGEST)
            });
        Self { ttl, is_public: members.value(result, "cacheScope") == Some(b"\"public\"") }
    }

    /// Of something that is made of both.
    pub fn and(self, other: Self) -> Self {
        Self { ttl: self.ttl.min(other.ttl), is_public: self.is_public && other.is_public }
    }

    /// The same when so much time has passed.
    pub fn after(self, time: Duration) -> Self {
        Self { ttl: self.ttl.saturating_sub(time), ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Freshness;

    #[track_caller]
    fn check(result: &str, milliseconds: u128, is_public: bool) {
        let read = Freshness::of_result(result.as_bytes());
        assert_eq!((read.ttl.as_millis(), read.is_public), (milliseconds, is_public), "{result}");
    }

    #[test]
    fn what_is_wrong_promises_nothing() {
        check(r#"{"ttlMs":300000,"cacheScope":"public"}"#, 300_000, true);
        check(r#"{"ttlMs":3e5,"cacheScope":"private"}"#, 300_000, false);
        check(r#"{"ttlMs":0,"cacheScope":"public"}"#, 0, true);
        check(r#"{"ttlMs":-1,"cacheScope":"PUBLIC"}"#, 0, false);
        check(r#"{"ttlMs":"300000","cacheScope":true}"#, 0, false);
        check(r#"{"ttlMs":1e300}"#, 24 * 3_600_000, false);
        check(r#"{"tools":[]}"#, 0, false);
        check("[]", 0, false);
    }

    #[test]
    fn the_least_of_two_counts() {
        let one = Freshness::of_result(br#"{"ttlMs":2000,"cacheScope":"public"}"#);
        let other = Freshness::of_result(br#"{"ttlMs":1000,"cacheScope":"private"}"#);
        assert_eq!(one.and(other), other);
        assert_eq!(one.and(one), one);
        assert_eq!(one.after(one.ttl), Freshness { ttl: Duration::ZERO, is_public: true });
    }
}
