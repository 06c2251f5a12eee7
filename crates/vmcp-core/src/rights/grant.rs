//! What one caller may use of one catalog.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Weak},
};

use vmcp_catalog::{Admission, Catalog, Item, could_expand};
use vmcp_model::{Digest, Kind, raw::Members};
use vmcp_policy::{Decision, Feature, Hints, Object, Policy, Right, Subject};

use super::failures::Failures;

/// The longest name that is judged, in bytes: that of the longest URI with a normal form.
const LONGEST_NAME: usize = 8 << 10;

/// What a caller may use of a catalog. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Granted {
    /// All that there is, whether the caller may use it or not.
    pub whole: Arc<Catalog>,
    /// What judges the caller's uses; `None` where everybody may do everything.
    pub grant: Option<Arc<Grant>>,
}

/// What judges the uses of one caller. It is kept for as long as the catalog is that it was made for.
pub struct Grant {
    judge: Judge,
    /// What the caller sees of the catalog: nothing that is never allowed. `None`: all of it.
    part: Option<Arc<Catalog>>,
    /// The catalog that it was made for.
    made_for: Weak<Catalog>,
}

/// Who decides about whom.
#[derive(Clone)]
pub(super) struct Judge {
    pub(super) policy: Arc<Policy>,
    pub(super) failures: Arc<Failures>,
    /// `None`: nobody can tell who it is, and nothing is allowed.
    pub(super) subject: Option<Subject>,
}

impl Granted {
    /// Everything, for everybody.
    pub fn whole(catalog: Arc<Catalog>) -> Self {
        Self { whole: catalog, grant: None }
    }

    /// What the caller sees.
    pub fn catalog(&self) -> &Arc<Catalog> {
        let part = self.grant.as_ref().and_then(|grant| grant.part.as_ref());
        part.unwrap_or(&self.whole)
    }
}

impl Judge {
    /// Judges everything. `shared` gives the catalog that is left of this one for all who are left the
    /// same, whom a key names, or lets it be made.
    pub(super) fn work_out(
        self,
        whole: &Arc<Catalog>,
        shared: impl FnOnce((Digest, Digest), &dyn Fn() -> Arc<Catalog>) -> Arc<Catalog>,
    ) -> Arc<Grant> {
        let mut admitted = HashMap::new();
        let mut rights = Vec::new();
        for item in whole.items() {
            let right = self.right(&item);
            rights.push(right as u8);
            let admission = match right {
                Right::Never => continue,
                Right::ByArguments => Admission::Judged,
                Right::Always => Admission::Free,
            };
            admitted.insert((item.kind, item.key), admission);
        }
        let key = (whole.digest(), Digest::of(&rights));
        let catalog =
            shared(key, &|| whole.restricted(|item| admitted.get(&(item.kind, item.key)).copied()));
        self.granting(catalog, whole)
    }

    /// Grants nothing.
    pub(super) fn nothing(self, whole: &Arc<Catalog>) -> Arc<Grant> {
        let nothing = whole.restricted(|_item| None);
        Self { subject: None, ..self }.granting(nothing, whole)
    }

    fn granting(self, left: Arc<Catalog>, whole: &Arc<Catalog>) -> Arc<Grant> {
        let part = Some(left).filter(|left| !Arc::ptr_eq(left, whole));
        Arc::new(Grant { judge: self, part, made_for: Arc::downgrade(whole) })
    }

    fn right(&self, item: &Item<'_>) -> Right {
        let Some(subject) = &self.subject else { return Right::Never };
        let fits = |uri: &str| could_expand(item.key, uri);
        self.policy.right(subject, &object_of(item, &fits))
    }

    fn decide(&self, object: &Object<'_>, arguments: Option<&[u8]>) -> Decision {
        let refused = |why: &str| Decision {
            is_allowed: false,
            policies: Vec::new(),
            errors: vec![why.to_owned()],
        };
        let Some(subject) = &self.subject else { return refused("nobody can tell who it is") };
        // It would keep others waiting, and nothing has such a name.
        if object.name.len() > LONGEST_NAME {
            return refused("the name is too long to be judged");
        }
        let decision = self.policy.decide(subject, object, arguments);
        self.failures.note(&decision.errors);
        decision
    }
}

impl Grant {
    /// Whether the catalog is there still that it was made for.
    pub(super) fn is_needed(&self) -> bool {
        self.made_for.strong_count() > 0
    }

    /// Whether the caller may use something now, with these arguments (JSON text).
    pub(crate) fn allows(&self, object: &Object<'_>, arguments: Option<&[u8]>) -> bool {
        self.decide(object, arguments).is_allowed
    }

    /// The same, and why.
    pub(crate) fn decide(&self, object: &Object<'_>, arguments: Option<&[u8]>) -> Decision {
        self.judge.decide(object, arguments)
    }

    /// Whether some policy tells this backend from others.
    pub(crate) fn names_backend(&self, id: &str) -> bool {
        self.judge.policy.names_backend(id)
    }
}

/// What is in a catalog, as policies see it. `fits` says what a template could expand to.
pub(crate) fn object_of<'a>(item: &Item<'a>, fits: &'a dyn Fn(&str) -> bool) -> Object<'a> {
    let feature = match item.kind {
        Kind::Tool => Feature::Tool(hints(item.json)),
        Kind::Prompt => Feature::Prompt,
        Kind::Resource => Feature::Resource { template: None },
        Kind::ResourceTemplate => Feature::Template { fits },
    };
    Object { feature, name: item.key, backend: item.route.backend().map(|id| id.as_str()) }
}

/// What a tool's definition says of it.
fn hints(json: &[u8]) -> Hints {
    let annotations = Members::parse(json).and_then(|members| members.value(json, "annotations"));
    let Some(annotations) = annotations else { return Hints::default() };
    let Some(members) = Members::parse(annotations) else { return Hints::default() };
    let hint = |name| match members.value(annotations, name) {
        Some(b"true") => Some(true),
        Some(b"false") => Some(false),
        _ => None,
    };
    Hints {
        read_only: hint("readOnlyHint"),
        destructive: hint("destructiveHint"),
        idempotent: hint("idempotentHint"),
        open_world: hint("openWorldHint"),
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = self.part.as_ref().map(|part| part.digest());
        f.debug_struct("Grant").field("part", &part).finish_non_exhaustive()
    }
}
