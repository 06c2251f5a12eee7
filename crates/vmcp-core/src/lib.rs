//! What a principal can list, call, read and get, across all backends.
//!
//! [`Vmcp`] is a domain object: who calls, what they were shown and which backend sessions to use
//! are parameters. It knows no transport, no session lifecycle and no store.

mod background;
mod budget;
mod call;
mod caller;
mod eras;
mod handed;
mod inbound;
mod kept;
mod known;
mod lent;
mod lost;
mod own_bounds;
mod own_offers;
mod places;
mod relay;
mod route;
mod send;
mod state;
mod tasks;
mod view;
mod views;
mod vmcp;

pub use background::Background;
pub use budget::{Budget, Reserved};
pub use call::{CallEvent, CallStream, OpenQuestion, Outcome};
pub use caller::{BackendSessions, Caller, ClientCapabilities, Pending};
pub use handed::handed_out;
pub use inbound::{Inbound, Notice, NoticeKind, Question, receive};
pub use kept::{Alias, Borrower, Bridge, Reuse, Shown, Unread};
pub use known::{Found, Known, KnownKind, KnownKinds};
pub use lent::{Lent, level_params};
pub use own_bounds::{Charge, OWN_BACKENDS, OwnBounds};
pub use own_offers::{OwnOffer, OwnOffers};
pub use places::Places;
pub use relay::Relay;
pub use route::Routed;
pub use state::Keys;
pub use view::{BackendState, OfferStatus, Settled, View};
pub use vmcp::{Config, PartialFailure, Replaced, Reply, Vmcp};
pub use vmcp_backend::Freshness;
