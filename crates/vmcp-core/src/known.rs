//! What backends have offered before, for whoever begins without having asked them.

use std::{collections::BTreeMap, sync::Arc};

use vmcp_backend::ClientView;
use vmcp_model::{BackendId, Era, Offer};

/// Kinds of clients that are remembered while none of them is here.
const KINDS: usize = 32;

/// Bytes of what a kind of clients says that it can do, if it is to be remembered.
const CAPABILITIES: usize = 4 << 10;

/// What backends have offered before this process began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// What clients are offered that can do nothing.
    pub offers: BTreeMap<BackendId, Arc<Offer>>,
    pub kinds: KnownKinds,
}

/// What kinds of clients were found to be offered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownKinds(Vec<(ClientView, KnownKind)>);

/// The same of one kind.
pub type KnownKind = BTreeMap<BackendId, Found>;

/// What a kind of clients was found to be offered by one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What these clients were offered, where that is something else.
    pub own: Option<Arc<Offer>>,
    /// What those were offered then who can do nothing. While they are, nobody looks again.
    pub compared: Arc<Offer>,
}

impl KnownKinds {
    /// Remembers a kind, which counts as the one that was here last. The one that has been away longest
    /// is forgotten for it if there are too many.
    pub fn remember(&mut self, client: &ClientView, kind: KnownKind) {
        self.0.retain(|(known, _)| known != client);
        let is_long = client.capabilities_for(Era::Legacy).len() > CAPABILITIES;
        // What somebody is offered by a credential of their own is nobody else's to know.
        if kind.is_empty() || is_long || client.subject().is_some() {
            return;
        }
        self.0.push((client.clone(), kind));
        self.0.drain(..self.0.len().saturating_sub(KINDS));
    }

    /// What is known of a kind.
    pub fn get(&self, client: &ClientView) -> Option<&KnownKind> {
        self.0.iter().find(|(known, _)| known == client).map(|(_, kind)| kind)
    }

    /// All kinds, the one first that has been away longest.
    pub fn iter(&self) -> impl Iterator<Item = (&ClientView, &KnownKind)> {
        self.0.iter().map(|(client, kind)| (client, kind))
    }

    /// Forgets what was found of some backends.
    pub(crate) fn forget(&mut self, which: &dyn Fn(&BackendId) -> bool) {
        for (_, kind) in &mut self.0 {
            kind.retain(|backend, _| !which(backend));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use vmcp_model::ProtocolVersion;

    use super::*;

    fn client(capabilities: String) -> ClientView {
        ClientView::new(ProtocolVersion::LATEST_LEGACY, Bytes::from(capabilities))
    }

    fn kind() -> KnownKind {
        let found = Found { own: None, compared: Arc::default() };
        [(BackendId::new("a").unwrap(), found)].into()
    }

    #[test]
    fn so_many_are_remembered_and_the_one_that_is_away_longest_is_forgotten() {
        let mut known = KnownKinds::default();
        let clients: Vec<_> =
            (0..=KINDS).map(|number| client(format!(r#"{{"experimental":{number}}}"#))).collect();
        for client in &clients[..KINDS] {
            known.remember(client, kind());
        }
        // The first is here again.
        known.remember(&clients[0], kind());
        known.remember(&clients[KINDS], kind());
        assert_eq!(known.iter().count(), KINDS);
        assert!(known.get(&clients[0]).is_some());
        assert!(known.get(&clients[1]).is_none());
    }

    #[test]
    fn what_says_too_much_of_itself_is_not_remembered() {
        let mut known = KnownKinds::default();
        known.remember(&client(format!(r#"{{"experimental":"{}"}}"#, "x".repeat(5000))), kind());
        assert_eq!(known.iter().count(), 0);
    }

    #[test]
    fn what_is_offered_to_one_person_is_not_remembered() {
        let mut known = KnownKinds::default();
        let alice = client("{}".to_owned()).shown(Some(vmcp_backend::Subject::new(
            vmcp_model::Digest::of(b"alice"),
            &vmcp_model::Identity::unproved(vmcp_model::Principal::Anonymous),
        )));
        known.remember(&alice, kind());
        assert_eq!(known.iter().count(), 0);
    }

    #[test]
    fn what_is_another_backend_now_is_forgotten() {
        let mut known = KnownKinds::default();
        let sampler = client(r#"{"sampling":{}}"#.to_owned());
        known.remember(&sampler, kind());
        known.forget(&|backend| backend.as_str() == "a");
        assert!(known.get(&sampler).unwrap().is_empty());
    }
}
