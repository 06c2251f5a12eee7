//! Who asks.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, OnceLock},
};

use cedar_policy::{Context, Entities, Entity, EntityUid, RestrictedExpression};
use serde_json::{Map, Value};
use vmcp_model::Digest;

use crate::{
    groups,
    judge::Outcomes,
    kinds::{self, Action},
    reads::Ancestors,
    rule::{ReadOfCallers, Rule},
    settings::Settings,
    value,
    world::World,
};

/// What the attributes of claims are called.
const PREFIX: &str = "claim_";

/// A caller, as policies see one: made once of claims, used for each request. Cheap to clone.
///
/// It belongs to the [`Policy`](crate::Policy) that made it, or one with an equal digest: another one denies it
/// everything.
#[derive(Clone)]
pub struct Subject {
    pub(crate) caller: Arc<Caller>,
}

/// Why claims make nobody: every use is denied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSubject {
    #[error("the claims have no \"sub\", so they say of nobody who it is")]
    Missing,
    #[error("the claims are no JSON object")]
    Unreadable,
}

/// Of a caller only what some policy can read.
pub(crate) struct Caller {
    /// Whose policies these are.
    pub(crate) policy: Digest,
    key: Digest,
    pub(crate) uid: EntityUid,
    /// The caller alone.
    pub(crate) entities: Entities,
    /// The claims as attributes, and the context that they make.
    pub(crate) claims: Vec<(String, RestrictedExpression)>,
    pub(crate) context: Context,
    /// Of each policy whether it is about this caller.
    pub(crate) concerns: Vec<bool>,
    /// What policies come to for this caller, whatever is asked for: for each action, for each policy.
    found: [OnceLock<Box<[Found]>>; Action::ALL.len()],
}

/// What a policy comes to for each way of its arguments to be there or not, if this depends on nothing else.
type Found = OnceLock<Option<Box<[Outcomes]>>>;

impl Caller {
    /// Where to keep what a policy comes to for an action, whatever it is done with.
    pub(crate) fn found(&self, action: Action, rule: &Rule) -> &Found {
        let all = || self.concerns.iter().map(|_| OnceLock::new()).collect();
        &self.found[action as usize].get_or_init(all)[rule.number]
    }
}

impl Subject {
    /// Two callers with equal keys have the same rights to everything ([`crate::Policy::right`]): it holds
    /// all that the policies can read of a caller, and nothing else. Keys of different policies differ.
    pub fn key(&self) -> Digest {
        self.caller.key
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("key", &self.caller.key).finish_non_exhaustive()
    }
}

/// What callers are made with.
pub(crate) struct Callers<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) policy: Digest,
    pub(crate) world: &'a World,
    pub(crate) rules: &'a [Rule],
    pub(crate) read: &'a ReadOfCallers,
    /// What policies and entities name: anybody else is like anybody else.
    pub(crate) named: &'a HashSet<EntityUid>,
}

impl Callers<'_> {
    pub(crate) fn subject(&self, claims: &[u8]) -> Result<Subject, NoSubject> {
        let Ok(Value::Object(claims)) = serde_json::from_slice(claims) else {
            return Err(NoSubject::Unreadable);
        };
        let sub = claims.get("sub").and_then(Value::as_str).filter(|sub| !sub.is_empty());
        let uid = kinds::uid(&self.world.kinds.client, sub.ok_or(NoSubject::Missing)?);
        let ancestors = self.ancestors(&uid, &claims);
        let read = self.read_claims(&claims);
        let attributes: Vec<_> = read
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value::whole(value)?)))
            .collect();
        let key = self.key(&uid, &ancestors, &read);
        let concerns = self.rules.iter().map(|rule| rule.principal.holds(&uid, &ancestors));
        let entity =
            Entity::new(uid.clone(), attributes.iter().cloned().collect(), ancestors.clone());
        let entity = entity.expect("claims are plain values");
        let entities = Entities::from_entities([entity], None);
        let context = Context::from_pairs(attributes.iter().cloned());
        let caller = Caller {
            policy: self.policy,
            key,
            concerns: concerns.collect(),
            uid,
            entities: entities.expect("one entity, which is not in itself"),
            context: context.expect("claims are plain values, each name once"),
            claims: attributes,
            found: Default::default(),
        };
        Ok(Subject { caller: Arc::new(caller) })
    }

    /// The groups that somebody is in, and what these are in, as far as it matters.
    fn ancestors(&self, uid: &EntityUid, claims: &Map<String, Value>) -> HashSet<EntityUid> {
        let groups = groups::of(self.settings, claims);
        let group = |name: &String| kinds::uid(&self.world.kinds.group, name);
        let mut above = self.world.above(groups.iter().map(group));
        // Nothing is in itself: Cedar takes no circles.
        above.remove(uid);
        if let Ancestors::Literals(matter) = &self.read.ancestors {
            above.retain(|uid| matter.contains(uid));
        }
        above
    }

    /// The claims that some policy reads, by the names of their attributes, in the order of these.
    fn read_claims<'c>(&self, claims: &'c Map<String, Value>) -> Vec<(String, &'c Value)> {
        let named = claims.iter().map(|(name, value)| (format!("{PREFIX}{name}"), value));
        let is_read =
            |name: &String| self.read.claims.as_ref().is_none_or(|read| read.contains(name));
        let mut read: Vec<_> = named.filter(|(name, _)| is_read(name)).collect();
        read.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        read
    }

    fn key(
        &self,
        uid: &EntityUid,
        ancestors: &HashSet<EntityUid>,
        claims: &[(String, &Value)],
    ) -> Digest {
        let uid = if self.named.contains(uid) { uid.to_string() } else { String::new() };
        let mut above: Vec<_> = ancestors.iter().map(ToString::to_string).collect();
        above.sort_unstable();
        let claims: Vec<_> = claims.iter().map(|(name, value)| (name, value.to_string())).collect();
        let count = above.len().to_be_bytes();
        let mut parts: Vec<&[u8]> = vec![self.policy.as_bytes(), uid.as_bytes(), &count];
        parts.extend(above.iter().map(String::as_bytes));
        for (name, value) in &claims {
            parts.push(name.as_bytes());
            parts.push(value.as_bytes());
        }
        Digest::of_parts(parts)
    }
}
