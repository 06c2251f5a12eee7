//! Protocol revisions and the two eras they fall into.

use std::fmt;

/// How a peer speaks: with a handshake and sessions, or stateless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Era {
    /// Revisions 2024-11-05 to 2025-11-25: `initialize`, then a session.
    Legacy,
    /// Revision 2026-07-28: no session; every request says what it needs.
    Modern,
}

/// A revision of the protocol that vmcp can speak, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtocolVersion {
    V2024_11_05,
    V2025_03_26,
    V2025_06_18,
    V2025_11_25,
    V2026_07_28,
}

impl ProtocolVersion {
    /// The newest revision that begins with `initialize`.
    pub const LATEST_LEGACY: Self = Self::V2025_11_25;

    /// What a session speaks when a request names no revision: the last one before the
    /// `MCP-Protocol-Version` header existed (specification 2025-11-25, basic/transports).
    pub const WITHOUT_HEADER: Self = Self::V2025_03_26;

    /// The revision of the modern era.
    pub const MODERN: Self = Self::V2026_07_28;

    /// Every revision, oldest first.
    pub const ALL: [Self; 5] = [
        Self::V2024_11_05,
        Self::V2025_03_26,
        Self::V2025_06_18,
        Self::V2025_11_25,
        Self::V2026_07_28,
    ];

    /// Reads a revision's date.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.name() == name)
    }

    /// Reads the date of a revision that begins with `initialize`.
    pub fn legacy_from_name(name: &str) -> Option<Self> {
        Self::from_name(name).filter(|version| version.era() == Era::Legacy)
    }

    /// The revision's date, as the wire writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The era that the revision belongs to.
    pub const fn era(self) -> Era {
        match self {
            Self::V2024_11_05 | Self::V2025_03_26 | Self::V2025_06_18 | Self::V2025_11_25 => {
                Era::Legacy
            }
            Self::V2026_07_28 => Era::Modern,
        }
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
