//! Who may do what, as Cedar policies say it (<https://docs.cedarpolicy.com>). Pure: it is given claims, what
//! is asked for and arguments, and says yes or no. The only crate that names Cedar.

mod arguments;
mod asked;
mod condition;
mod decision;
mod extent;
mod groups;
mod judge;
mod kinds;
mod object;
mod parse;
mod policy;
mod problem;
mod reads;
mod right;
mod rule;
mod settings;
mod subject;
mod value;
mod warnings;
mod world;

#[cfg(test)]
mod tests;

pub use decision::{Decision, Right};
pub use object::{Feature, Hints, Object};
pub use policy::Policy;
pub use problem::{Place, Problem};
pub use settings::Settings;
pub use subject::{NoSubject, Subject};
