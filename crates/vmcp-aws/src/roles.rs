//! Which role a caller takes on.

use std::cell::LazyCell;

use serde_json::Value;

use crate::{
    arn::RoleArn,
    matcher::{Claims, Matcher},
};

/// Which callers take which roles on.
#[derive(Debug, PartialEq, Eq)]
pub struct Roles {
    /// In the order in which they are asked.
    rules: Vec<Rule>,
    fallback: Option<RoleArn>,
    /// The claim that holds a caller's groups or roles.
    claim: Box<str>,
}

/// One rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    pub when: When,
    pub role: RoleArn,
    /// Lower ones are asked first, and those without one last.
    pub priority: Option<i64>,
}

/// Of whom a rule holds.
#[derive(Debug, PartialEq, Eq)]
pub enum When {
    /// The claim of groups or roles holds this one.
    Has(Box<str>),
    Matches(Matcher),
}

impl Roles {
    /// `claim` holds a caller's groups or roles; a dot leads into an object (`realm_access.roles`) unless a claim
    /// has the whole name.
    pub fn new(mut rules: Vec<Rule>, fallback: Option<RoleArn>, claim: &str) -> Self {
        // Stable: of equal ones the first in the file counts.
        rules.sort_by_key(|rule| rule.priority.map_or((1, 0), |priority| (0, priority)));
        Self { rules, fallback, claim: claim.into() }
    }

    /// The role of a caller of whom this is said; `None` if there is none for it.
    pub fn choose(&self, claims: &Value) -> Option<&RoleArn> {
        let groups = found(claims, &self.claim);
        let read = LazyCell::new(|| Claims::new(claims));
        let holds = |rule: &&Rule| match &rule.when {
            When::Has(name) => has(groups, name),
            When::Matches(matcher) => matcher.holds(&read),
        };
        let role = self.rules.iter().find(holds).map(|rule| &rule.role);
        role.or(self.fallback.as_ref())
    }

    /// Every role that some caller may take on.
    pub fn all(&self) -> impl Iterator<Item = &RoleArn> {
        self.rules.iter().map(|rule| &rule.role).chain(&self.fallback)
    }
}

/// A claim, or what a path leads to.
fn found<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    if let Some(claim) = claims.get(name) {
        return Some(claim);
    }
    name.split('.').try_fold(claims, |claims, part| claims.get(part))
}

/// Whether a claim holds a name: as one of a list, or as the whole text or one of its words.
fn has(claim: Option<&Value>, name: &str) -> bool {
    match claim {
        Some(Value::Array(items)) => items.iter().any(|item| item.as_str() == Some(name)),
        Some(Value::String(text)) => text == name || text.split(' ').any(|word| word == name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Roles, Rule, When};
    use crate::{arn::RoleArn, matcher::Matcher};

    fn role(name: &str) -> RoleArn {
        RoleArn::parse(&format!("arn:aws:iam::123456789012:role/{name}")).unwrap()
    }

    fn has(name: &str, to: &str, priority: Option<i64>) -> Rule {
        Rule { when: When::Has(name.into()), role: role(to), priority }
    }

    fn chosen(roles: &Roles, claims: &Value) -> Option<String> {
        let role = roles.choose(claims)?;
        role.as_str().rsplit_once('/').map(|(_, name)| name.to_owned())
    }

    #[test]
    fn the_first_rule_that_holds_counts() {
        let matcher = Matcher::parse("claims.email.endsWith('@example.org')").unwrap();
        let rules = vec![
            has("readers", "late", None),
            has("readers", "second", Some(20)),
            has("admins", "first", Some(-1)),
            has("admins", "never", Some(-1)),
            Rule { when: When::Matches(matcher), role: role("mail"), priority: Some(10) },
        ];
        let roles = Roles::new(rules, Some(role("others")), "groups");
        for (claims, expected) in [
            (json!({"groups": ["readers", "admins"]}), "first"),
            (json!({"groups": ["readers"], "email": "a@example.org"}), "mail"),
            (json!({"groups": ["readers"], "email": 7}), "second"),
            (json!({"groups": ["guests"]}), "others"),
            (json!({}), "others"),
        ] {
            assert_eq!(chosen(&roles, &claims).as_deref(), Some(expected), "{claims}");
        }
    }

    #[test]
    fn a_claim_may_be_one_text_and_stand_in_an_object() {
        let roles = Roles::new(vec![has("admins", "a", None)], None, "realm_access.roles");
        for (claims, expected) in [
            (json!({"realm_access": {"roles": ["admins"]}}), Some("a")),
            (json!({"realm_access": {"roles": "admins"}}), Some("a")),
            (json!({"realm_access": {"roles": "readers admins"}}), Some("a")),
            (json!({"realm_access.roles": ["admins"]}), Some("a")),
            (json!({"realm_access": {"roles": "no-admins"}}), None),
            (json!({"realm_access": {"roles": {"admins": true}}}), None),
            (json!({"realm_access": ["roles"]}), None),
        ] {
            assert_eq!(chosen(&roles, &claims).as_deref(), expected, "{claims}");
        }
    }
}
