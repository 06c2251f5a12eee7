//! What somebody may do before the arguments are known.

use std::{borrow::Cow, cell::OnceCell, collections::BTreeSet};

use cedar_policy::RestrictedExpression;

use crate::{
    arguments::Attributes,
    asked::Asked,
    condition::Condition,
    decision::Right,
    judge::{self, Known, Outcomes, Stage},
    reads::OfContext,
    rule::Rule,
    subject::Caller,
    world::World,
};

/// Of how many arguments all ways of being there or not are looked at.
const MAX_ARGUMENTS: usize = 6;

/// What is asked, of the policies that are about it.
pub(crate) struct Question<'a> {
    pub(crate) world: &'a World,
    pub(crate) caller: &'a Caller,
    pub(crate) asked: &'a Asked,
    pub(crate) rules: &'a [&'a Rule],
}

/// What all policies together may come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chances {
    /// Whether it may be allowed.
    pub(crate) allowed: bool,
    /// Whether a policy may forbid it or fail.
    pub(crate) refused: bool,
    /// Whether some policy permits it, whatever else happens.
    pub(crate) permitted: bool,
}

impl Chances {
    fn of(outcomes: impl IntoIterator<Item = (bool, Outcomes)>) -> Self {
        let mut may_be_permitted = false;
        let mut must_be_refused = false;
        let mut chances = Self { allowed: false, refused: false, permitted: false };
        for (permits, outcomes) in outcomes {
            chances.refused |= outcomes.failed;
            if permits {
                may_be_permitted |= outcomes.satisfied;
                chances.permitted |= outcomes == Outcomes::SATISFIED;
                must_be_refused |= !outcomes.satisfied && !outcomes.unsatisfied;
            } else {
                chances.refused |= outcomes.satisfied;
                must_be_refused |= !outcomes.unsatisfied;
            }
        }
        chances.allowed = may_be_permitted && !must_be_refused;
        chances
    }

    /// The right that these chances make.
    pub(crate) fn right(self) -> Right {
        if !self.allowed {
            Right::Never
        } else if self.permitted && !self.refused {
            Right::Always
        } else {
            Right::ByArguments
        }
    }
}

impl Question<'_> {
    /// The right to something that takes arguments.
    pub(crate) fn right(&self) -> Right {
        let reads_arguments =
            |rule: &Rule| rule.condition.as_ref().is_some_and(Condition::reads_arguments);
        let (open, settled): (Vec<&Rule>, Vec<&Rule>) =
            self.rules.iter().copied().partition(|rule| reads_arguments(rule));
        let settled = self.without_arguments(&settled);
        let chances = Chances::of(settled.iter().copied());
        let may_be_permitted = chances.permitted || open.iter().any(|rule| rule.permits);
        if chances.refused || !may_be_permitted {
            return Right::Never;
        }
        if open.is_empty() {
            return chances.right();
        }
        self.by_arguments(&settled, &open)
    }

    /// What these policies may come to, where some of the resource may be unknown, but no arguments are.
    pub(crate) fn chances(&self) -> Chances {
        Chances::of(self.without_arguments(self.rules))
    }

    /// What each of these policies may come to if there are no arguments.
    fn without_arguments(&self, rules: &[&Rule]) -> Vec<(bool, Outcomes)> {
        let stage = OnceCell::new();
        let set_up = || self.stage(judge::conditions(rules), &Attributes::new(), Known::All);
        let here = |condition: &Condition| match stage.get_or_init(set_up) {
            Ok(stage) if self.asked.is_known => stage.verdict(condition).into(),
            Ok(stage) => stage.outcomes(condition),
            Err(_) => Outcomes::FAILED,
        };
        let outcomes = |rule: &Rule| match &rule.condition {
            None => Outcomes::SATISFIED,
            Some(condition) => {
                // The first row is that of no arguments.
                let found = self.found(rule, condition).and_then(|rows| rows[0].settled());
                found.unwrap_or_else(|| here(condition))
            }
        };
        rules.iter().map(|rule| (rule.permits, outcomes(rule))).collect()
    }

    fn stage<'c>(
        &self,
        conditions: impl IntoIterator<Item = &'c Condition>,
        arguments: &Attributes,
        known: Known,
    ) -> Result<Stage, String> {
        Stage::new(self.world, self.caller, self.asked, arguments, conditions, known)
    }

    /// What a policy comes to whatever is asked for, if that can be said.
    fn found(&self, rule: &Rule, condition: &Condition) -> Option<&[Outcomes]> {
        let found = self.caller.found(self.asked.action, rule);
        found.get_or_init(|| self.for_all(condition)).as_deref()
    }

    fn for_all(&self, condition: &Condition) -> Option<Box<[Outcomes]>> {
        // What is asked for may be one of the entities that it looks into.
        if condition.looks_around || condition.is_unknown {
            return None;
        }
        if !condition.reads_resource {
            return Some(self.rows(condition));
        }
        let known = if condition.reads_arguments() { Known::Nothing } else { Known::All };
        let stage = Stage::for_all(self.world, self.caller, self.asked.action, known).ok()?;
        let outcome = stage.outcomes(condition).settled()?;
        Some(vec![outcome; rows(condition)].into())
    }

    /// What a policy may come to, for each way of its arguments to be there or not.
    fn rows(&self, condition: &Condition) -> Box<[Outcomes]> {
        let names: Vec<&str> = condition.arguments.iter().map(String::as_str).collect();
        if condition.is_unknown || names.len() > MAX_ARGUMENTS {
            return [Outcomes::ANY].into();
        }
        let known = match condition.context {
            OfContext::Named => Known::All,
            OfContext::All => Known::Nothing,
        };
        let rows = subsets(&names).map(|present| {
            let unknown = |name: &str| (name.to_owned(), RestrictedExpression::new_unknown(name));
            let arguments: Attributes = present.map(unknown).collect();
            let stage = self.stage([condition], &arguments, known);
            stage.map_or(Outcomes::FAILED, |stage| stage.outcomes(condition))
        });
        rows.collect()
    }

    fn by_arguments(&self, settled: &[(bool, Outcomes)], open: &[&Rule]) -> Right {
        let named = judge::named(judge::conditions(open));
        let named: Vec<&str> = named.iter().map(String::as_str).collect();
        let tables: Vec<Table<'_>> = open.iter().map(|rule| Table::new(self, rule)).collect();
        let together = |outcomes: &dyn Fn(&Table<'_>) -> Outcomes| {
            let open = tables.iter().map(|table| (table.permits, outcomes(table)));
            Chances::of(settled.iter().copied().chain(open))
        };
        if named.len() > MAX_ARGUMENTS {
            return together(&|table| table.all()).right();
        }
        let mut rights = subsets(&named).map(|present| {
            let present: BTreeSet<&str> = present.collect();
            together(&|table| table.at(&present)).right()
        });
        let first = rights.next().expect("nothing has a subset: nothing");
        rights.fold(first, |all, right| if all == right { all } else { Right::ByArguments })
    }
}

/// How many rows the table of a policy has.
fn rows(condition: &Condition) -> usize {
    let count = condition.arguments.len();
    if count > MAX_ARGUMENTS { 1 } else { 1 << count }
}

/// What a policy may come to, for each way of its arguments to be there or not.
struct Table<'a> {
    permits: bool,
    /// The arguments that tell the rows apart, the first counting least.
    arguments: Vec<&'a str>,
    rows: Cow<'a, [Outcomes]>,
}

impl<'a> Table<'a> {
    fn new(question: &'a Question<'_>, rule: &'a Rule) -> Self {
        let rows = match &rule.condition {
            None => Cow::Owned(vec![Outcomes::SATISFIED]),
            Some(condition) => match question.found(rule, condition) {
                Some(rows) => Cow::Borrowed(rows),
                None => Cow::Owned(question.rows(condition).into_vec()),
            },
        };
        let arguments = rule.condition.iter().flat_map(|condition| &condition.arguments);
        let arguments = arguments.map(String::as_str).take(rows.len().ilog2() as usize).collect();
        Self { permits: rule.permits, arguments, rows }
    }

    /// The outcomes if these arguments are present.
    fn at(&self, present: &BTreeSet<&str>) -> Outcomes {
        let here = self.arguments.iter().enumerate().filter(|(_, name)| present.contains(*name));
        self.rows[here.map(|(at, _)| 1 << at).sum::<usize>()]
    }

    /// The outcomes whatever is present.
    fn all(&self) -> Outcomes {
        self.rows.iter().fold(Outcomes::default(), |all, row| all.or(*row))
    }
}

/// Every way of some of these names to be there: in the order of binary numbers, the first name counting least.
fn subsets<'a>(names: &[&'a str]) -> impl Iterator<Item = impl Iterator<Item = &'a str>> {
    (0..1_usize << names.len()).map(move |number| {
        let here = names.iter().enumerate().filter(move |(at, _)| number >> at & 1 == 1);
        here.map(|(_, name)| *name)
    })
}
