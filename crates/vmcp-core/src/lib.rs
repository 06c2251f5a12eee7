//! What a principal can list, call, read and get, across all backends.
//!
//! [`Vmcp`] is a domain object: who calls, what they were shown and which backend sessions to use
//! are parameters. It knows no transport, no session lifecycle and no store.

mod admission;
mod answering;
mod apart;
mod background;
mod budget;
mod call;
mod call_stream;
mod caller;
mod calls;
mod completion;
mod counts;
mod eras;
mod handed;
mod inbound;
mod kept;
mod known;
mod lent;
mod lost;
mod own;
mod own_bounds;
mod own_offers;
mod partial;
mod places;
mod quotas;
mod relay;
mod resolve;
mod rights;
mod signal;
mod state;
mod tasks;
mod view;
mod views;
mod vmcp;

pub use answering::{Answering, Whole};
pub use background::Background;
pub use budget::{Budget, Reserved};
pub use call_stream::{CallEvent, CallStream, OpenQuestion};
pub use caller::{BackendSessions, Caller, ClientCapabilities, Pending};
pub use calls::{Calls, Ticket, UnderWay};
pub use counts::ViewCounts;
pub use handed::handed_out;
pub use inbound::{Inbound, Notice, NoticeKind, Question, receive};
pub use kept::{Alias, Borrower, Bridge, Reuse, Shown, Unread};
pub use known::{Found, Known, KnownKind, KnownKinds};
pub use lent::{Lent, level_params};
pub use own::status_tool;
pub use own_bounds::{Charge, OWN_BACKENDS, OwnBounds};
pub use own_offers::{OwnOffer, OwnOffers};
pub use partial::PartialFailure;
pub use places::Places;
pub use quotas::{ClientKey, CountedSession, Quotas};
pub use relay::Relay;
pub use resolve::{Resolved, Routed};
pub use rights::{Denial, Explanation, Grant, Granted, Rights, Use, Used, explain};
pub use state::Keys;
pub use view::{BackendState, OfferStatus, Settled, View};
pub use vmcp::{Config, Replaced, Vmcp};
pub use vmcp_backend::Freshness;
pub use vmcp_policy::Hints;
