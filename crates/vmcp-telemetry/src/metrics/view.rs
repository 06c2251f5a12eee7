//! Which part of what series are told apart by each metric of requests shows.

use vmcp_model::{
    Method,
    trail::{Via, Why},
};

use super::{
    cell::{Durations, Totals},
    key::{Facts, Named, Outcome, Sought},
};

/// What metrics with the same attributes have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum View {
    /// `mcp.server.operation.duration`.
    Operations,
    /// `mcp.client.operation.duration`.
    AtBackends,
    /// `toolhive_mcp_requests` and their durations.
    Requests,
    /// `toolhive_mcp_tool_calls`.
    Calls,
    /// `toolhive_vmcp_backend_requests` and their durations.
    Sent,
    /// `toolhive_vmcp_backend_errors`.
    Failed,
}

impl View {
    const ALL: [Self; 6] =
        [Self::Operations, Self::AtBackends, Self::Requests, Self::Calls, Self::Sent, Self::Failed];

    /// Those that are shown, with or without ToolHive's.
    pub(super) fn all(legacy: bool) -> &'static [Self] {
        if legacy { &Self::ALL } else { &Self::ALL[..2] }
    }

    /// What this shows of a key: keys of which it is the same make up one point. `None` if it shows nothing of it.
    pub(super) fn point<'a>(self, key: &Sought<'a>) -> Option<Sought<'a>> {
        let facts = key.facts;
        let Facts { via, method, version, status, outcome, named } = facts;
        let has_failed = outcome.error().is_some();
        let status_only = if has_failed { FAILED } else { Outcome::Answered };
        let any_name = if named == Named::Nothing { Named::Nothing } else { Named::Tool };
        // What no metric shows.
        let none = Facts {
            via: Via::Post,
            method,
            version: None,
            status: 0,
            outcome: Outcome::Answered,
            named: Named::Nothing,
        };
        let point = match self {
            Self::Operations => {
                method?;
                Sought::new(Facts { version, outcome, named, ..none }, "", key.name)
            }
            Self::AtBackends => Sought::new(Facts { outcome, ..none }, key.backend, ""),
            Self::Requests => {
                let outcome = status_only;
                let facts = Facts { via, status, outcome, named: any_name, ..none };
                Sought::new(facts, "", key.name)
            }
            Self::Calls => {
                let is_call = method == Some(Method::ToolsCall) && named == Named::Tool;
                let facts = Facts { outcome: status_only, named, ..none };
                return is_call.then(|| Sought::new(facts, "", key.name));
            }
            Self::Failed if matches!(outcome, Outcome::Answered | Outcome::ToolError) => {
                return None;
            }
            Self::Sent | Self::Failed => {
                Sought::new(Facts { named, ..none }, key.backend, key.name)
            }
        };
        Some(point)
    }

    /// What this shows of the numbers of a series.
    pub(super) fn durations(self, totals: &Totals) -> &Durations {
        match self {
            Self::Operations | Self::Requests | Self::Calls => &totals.took,
            Self::AtBackends | Self::Sent | Self::Failed => &totals.at_backend,
        }
    }
}

/// Stands for all that go wrong where one is like the other.
const FAILED: Outcome = Outcome::Failed(Why::Internal);
