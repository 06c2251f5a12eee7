//! A case: who asks for what, and what is to come of it.

use std::collections::BTreeMap;

use serde::Deserialize;
use vmcp_policy::{Feature, Hints, Object, Policy, Right};

/// One case of the corpus; `tests/corpus/README.md` says what its keys mean.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) case: String,
    pub(crate) claims: Option<String>,
    pub(crate) tool: Option<String>,
    pub(crate) prompt: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) template: Option<String>,
    pub(crate) method: Option<String>,
    pub(crate) of: Option<String>,
    #[serde(default)]
    pub(crate) fits: Vec<String>,
    pub(crate) backend: Option<String>,
    #[serde(default)]
    pub(crate) hints: BTreeMap<String, bool>,
    pub(crate) arguments: Option<String>,
    pub(crate) decision: Option<Judgement>,
    pub(crate) list: Option<Listing>,
    /// What another system decides, which `tools/policies` looks at.
    #[serde(rename = "reference")]
    pub(crate) _reference: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Judgement {
    Allow,
    Deny,
}

#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Listing {
    Shown,
    Hidden,
}

impl Case {
    /// What `policy` does otherwise than the case says.
    pub(crate) fn differences(&self, policy: &Policy) -> Vec<String> {
        let mut differences = Vec::new();
        let fits = |uri: &str| self.fits.iter().any(|one| one == uri);
        let object = self.object(&fits);
        let claims = self.claims.as_deref().expect("a case has claims");
        let arguments = self.arguments.as_deref().map(str::as_bytes);
        let (decision, why, right) = match policy.subject(claims.as_bytes()) {
            Ok(subject) => {
                let decision = policy.decide(&subject, &object, arguments);
                let why = format!("by {:?}, errors {:?}", decision.policies, decision.errors);
                let right = policy.right(&subject, &object);
                if right == Right::Always && !decision.is_allowed {
                    differences.push(format!("always allowed, and denied: {why}"));
                }
                (if decision.is_allowed { Judgement::Allow } else { Judgement::Deny }, why, right)
            }
            Err(error) => (Judgement::Deny, error.to_string(), Right::Never),
        };
        // A template is not read; its URIs are.
        let is_judged = self.template.is_none();
        if is_judged && self.decision != Some(decision) {
            differences.push(format!("expected {:?}, was {decision:?} {why}", self.decision));
        }
        if is_judged && decision == Judgement::Allow && right == Right::Never {
            differences.push("allowed, and may never be".to_owned());
        }
        let list = if right == Right::Never { Listing::Hidden } else { Listing::Shown };
        if self.list.is_some_and(|expected| expected != list) {
            differences.push(format!("expected {:?}, was {list:?} ({right:?})", self.list));
        }
        differences
    }

    fn object<'a>(&'a self, fits: &'a dyn Fn(&str) -> bool) -> Object<'a> {
        let feature = [
            (&self.tool, Feature::Tool(self.hints())),
            (&self.prompt, Feature::Prompt),
            (&self.resource, Feature::Resource { template: self.of.as_deref() }),
            (&self.template, Feature::Template { fits }),
            (&self.method, Feature::Method),
        ];
        let mut named =
            feature.into_iter().filter_map(|(name, feature)| Some((name.as_deref()?, feature)));
        let (name, feature) = named.next().expect("a case names what is asked for");
        assert!(named.next().is_none(), "{:?} names two things", self.case);
        Object { feature, name, backend: self.backend.as_deref() }
    }

    fn hints(&self) -> Hints {
        let mut hints = Hints::default();
        for (name, value) in &self.hints {
            let hint = match name.as_str() {
                "readOnly" => &mut hints.read_only,
                "destructive" => &mut hints.destructive,
                "idempotent" => &mut hints.idempotent,
                "openWorld" => &mut hints.open_world,
                other => panic!("{other:?} is no hint"),
            };
            *hint = Some(*value);
        }
        hints
    }
}
