//! One policy: whom and what it is about, and what it asks of them.

use std::collections::{BTreeSet, HashSet};

use cedar_policy::{
    ActionConstraint, Effect, EntityTypeName, EntityUid, PrincipalConstraint, ResourceConstraint,
};

use crate::{
    condition::Condition,
    reads::{Ancestors, OfContext, Reads},
    world::World,
};

/// A policy, taken apart so that Cedar need evaluate no more than the conditions of those that apply.
pub(crate) struct Rule {
    pub(crate) number: usize,
    /// What it is called in decisions.
    pub(crate) name: String,
    pub(crate) permits: bool,
    pub(crate) principal: Constraint,
    /// `None` stands for all.
    pub(crate) actions: Option<Vec<EntityUid>>,
    pub(crate) resource: Constraint,
    /// Without one it is satisfied by whatever it is about.
    pub(crate) condition: Option<Condition>,
}

/// What a policy's head asks of its principal or its resource.
pub(crate) enum Constraint {
    Any,
    In(EntityUid),
    Eq(EntityUid),
    Is(EntityTypeName),
    IsIn(EntityTypeName, EntityUid),
}

impl Constraint {
    pub(crate) fn holds(&self, uid: &EntityUid, ancestors: &HashSet<EntityUid>) -> bool {
        let is_in = |wanted: &EntityUid| uid == wanted || ancestors.contains(wanted);
        match self {
            Self::Any => true,
            Self::In(wanted) => is_in(wanted),
            Self::Eq(wanted) => uid == wanted,
            Self::Is(kind) => uid.type_name() == kind,
            Self::IsIn(kind, wanted) => uid.type_name() == kind && is_in(wanted),
        }
    }

    fn uid(&self) -> Option<&EntityUid> {
        match self {
            Self::Any | Self::Is(_) => None,
            Self::In(uid) | Self::Eq(uid) | Self::IsIn(_, uid) => Some(uid),
        }
    }
}

impl From<PrincipalConstraint> for Constraint {
    fn from(constraint: PrincipalConstraint) -> Self {
        match constraint {
            PrincipalConstraint::Any => Self::Any,
            PrincipalConstraint::In(uid) => Self::In(uid),
            PrincipalConstraint::Eq(uid) => Self::Eq(uid),
            PrincipalConstraint::Is(kind) => Self::Is(kind),
            PrincipalConstraint::IsIn(kind, uid) => Self::IsIn(kind, uid),
        }
    }
}

impl From<ResourceConstraint> for Constraint {
    fn from(constraint: ResourceConstraint) -> Self {
        match constraint {
            ResourceConstraint::Any => Self::Any,
            ResourceConstraint::In(uid) => Self::In(uid),
            ResourceConstraint::Eq(uid) => Self::Eq(uid),
            ResourceConstraint::Is(kind) => Self::Is(kind),
            ResourceConstraint::IsIn(kind, uid) => Self::IsIn(kind, uid),
        }
    }
}

impl Rule {
    /// A policy of this name, and all that it can read.
    pub(crate) fn new(
        number: usize,
        name: String,
        policy: &cedar_policy::Policy,
        world: &World,
    ) -> (Self, Reads) {
        let mut reads = Reads::of(policy);
        let principal = Constraint::from(policy.principal_constraint());
        if let (false, Some(uid)) = (matches!(principal, Constraint::Eq(_)), principal.uid()) {
            reads.ancestors.add(uid.clone());
        }
        let has_clauses = policy.has_non_scope_constraint();
        let condition = has_clauses.then(|| Condition::new(policy, &reads, world));
        let rule = Self {
            number,
            name,
            permits: policy.effect() == Effect::Permit,
            principal,
            actions: match policy.action_constraint() {
                ActionConstraint::Any => None,
                ActionConstraint::In(uids) => Some(uids),
                ActionConstraint::Eq(uid) => Some(vec![uid]),
            },
            resource: policy.resource_constraint().into(),
            condition,
        };
        (rule, reads)
    }
}

/// What the callers of some policies are told apart by.
#[derive(Debug, Default)]
pub(crate) struct ReadOfCallers {
    /// The names of the claims' attributes; `None` stands for all.
    pub(crate) claims: Option<BTreeSet<String>>,
    pub(crate) ancestors: Ancestors,
}

impl ReadOfCallers {
    pub(crate) fn of<'a>(all: impl IntoIterator<Item = &'a Reads>) -> Self {
        let mut read = Self { claims: Some(BTreeSet::new()), ancestors: Ancestors::default() };
        for reads in all {
            match &mut read.claims {
                claims if reads.context == OfContext::All => *claims = None,
                Some(claims) => claims.extend(reads.attributes.iter().cloned()),
                None => {}
            }
            match &reads.ancestors {
                Ancestors::Any => read.ancestors = Ancestors::Any,
                Ancestors::Literals(uids) => {
                    uids.iter().for_each(|uid| read.ancestors.add(uid.clone()));
                }
            }
        }
        read
    }
}
