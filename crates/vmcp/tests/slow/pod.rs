//! vmcp in pods as ToolHive's operator makes them: with their arguments, files, variables and rights, and nothing else.
//!
//! `pod/cases` holds one pod for each shape that the operator gives its configuration: what it hands over, in other
//! words. `<name>` in a case stands for what a test starts: the URL of a server, the certificate of an authority.

mod contract;
#[cfg(feature = "kubernetes")]
mod discovered;
mod disk;
mod fixture;
#[cfg(feature = "kubernetes")]
mod kept;
mod refused;
#[cfg(feature = "kubernetes")]
mod reported;
mod served;
#[cfg(feature = "aws")]
mod strategies;
mod visit;

use vmcp_testkit::{RmcpServer, peers, raw};

use fixture::Pod;

/// The two backends of most pods: both have the tools `count` and `slow`.
struct Backends {
    maps: raw::Running,
    /// By somebody else.
    notes: RmcpServer,
}

impl Backends {
    async fn start() -> Self {
        Self {
            maps: peers::stateful().start().await.unwrap(),
            notes: peers::counting(0).await.unwrap(),
        }
    }

    /// The pod of a case before them, with its backends in the file whether it finds them in the cluster or not.
    fn pod(&self, case: &str) -> Pod {
        let (maps, notes) = (self.maps.url(), self.notes.url());
        Pod::read(case).listing(&["maps", "notes"]).with("maps", &maps).with("notes", &notes)
    }
}
