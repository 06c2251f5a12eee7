//! What is known of the two sides of a backend, and which of them a client is served by. Pure.

use vmcp_model::Era;

/// Two facts, each asked once and remembered. A list of revisions says nothing about the second:
/// servers that name only the modern revision may answer `initialize` as well (specification
/// 2026-07-28, basic/versioning).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sides {
    /// Whether it answers `server/discover` as a modern server does.
    pub(super) modern: Option<bool>,
    /// Whether it answers `initialize`.
    pub(super) legacy: Option<bool>,
}

impl Sides {
    /// The era that clients of this one are served in: their own wherever there is that side.
    /// `None` while it is not known.
    pub(super) fn era_for(self, client: Era) -> Option<Era> {
        match (client, self.modern, self.legacy) {
            (Era::Modern, Some(true), _) | (Era::Legacy, Some(true), Some(false)) => {
                Some(Era::Modern)
            }
            // What is no modern server can only be a legacy one.
            (Era::Modern | Era::Legacy, Some(false), _) | (Era::Legacy, _, Some(true)) => {
                Some(Era::Legacy)
            }
            (Era::Modern, None, _) | (Era::Legacy, None | Some(true), None | Some(false)) => None,
        }
    }

    /// The newest era that it speaks, as far as is known.
    pub(super) fn newest(self) -> Option<Era> {
        match self {
            Self { modern: Some(true), .. } => Some(Era::Modern),
            Self { modern: Some(false), .. } | Self { legacy: Some(true), .. } => Some(Era::Legacy),
            Self { modern: None, legacy: None | Some(false) } => None,
        }
    }

    /// The word for it.
    pub(super) fn name(self) -> &'static str {
        match (self.newest(), self.legacy) {
            (Some(Era::Modern), Some(true)) => "both",
            (Some(Era::Modern), None | Some(false)) => "modern",
            (Some(Era::Legacy), _) => "legacy",
            (None, _) => "unknown",
        }
    }

    pub(super) fn to_bits(self) -> u8 {
        let bits = |fact: Option<bool>| fact.map_or(0, |is_so| 1 + u8::from(is_so));
        bits(self.modern) | bits(self.legacy) << 2
    }

    pub(super) fn from_bits(bits: u8) -> Self {
        let fact = |bits: u8| match bits & 3 {
            0 => None,
            bits => Some(bits == 2),
        };
        Self { modern: fact(bits), legacy: fact(bits >> 2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: [Option<bool>; 3] = [None, Some(false), Some(true)];

    #[test]
    fn bits_hold_every_pair_of_facts() {
        for (modern, legacy) in ANY.into_iter().flat_map(|one| ANY.map(|other| (one, other))) {
            let sides = Sides { modern, legacy };
            assert_eq!(Sides::from_bits(sides.to_bits()), sides);
        }
        assert_eq!(Sides::from_bits(0), Sides::default());
    }

    #[track_caller]
    fn check(modern: Option<bool>, legacy: Option<bool>, expected: &str) {
        let sides = Sides { modern, legacy };
        let word = |era: Option<Era>| match era {
            None => "?",
            Some(Era::Legacy) => "legacy",
            Some(Era::Modern) => "modern",
        };
        let [to_legacy, to_modern] =
            [Era::Legacy, Era::Modern].map(|client| word(sides.era_for(client)));
        assert_eq!(format!("{}: {to_legacy}, {to_modern}", sides.name()), expected);
    }

    #[test]
    fn a_client_is_served_by_the_side_of_its_own_era() {
        check(None, None, "unknown: ?, ?");
        check(None, Some(true), "legacy: legacy, ?");
        check(None, Some(false), "unknown: ?, ?");
        check(Some(true), None, "modern: ?, modern");
        check(Some(true), Some(true), "both: legacy, modern");
        check(Some(true), Some(false), "modern: modern, modern");
        check(Some(false), None, "legacy: legacy, legacy");
        check(Some(false), Some(true), "legacy: legacy, legacy");
        check(Some(false), Some(false), "legacy: legacy, legacy");
    }
}
