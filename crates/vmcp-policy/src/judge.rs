//! Asks Cedar whether the conditions of policies hold.

use std::collections::BTreeSet;

use cedar_policy::{
    Authorizer, Context, Entities, Entity, EvalResult, EvaluationError, PartialResponse, Request,
    RestrictedExpression,
};
use serde_json::Value;

use crate::{
    arguments::Attributes, asked::Asked, condition::Condition, kinds::Action, rule::Rule,
    subject::Caller, world::World,
};

/// What may come out of the evaluation of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Outcomes {
    pub(crate) satisfied: bool,
    pub(crate) unsatisfied: bool,
    pub(crate) failed: bool,
}

impl Outcomes {
    pub(crate) const ANY: Self = Self { satisfied: true, unsatisfied: true, failed: true };
    pub(crate) const SATISFIED: Self = Self { satisfied: true, unsatisfied: false, failed: false };
    const UNSATISFIED: Self = Self { satisfied: false, unsatisfied: true, failed: false };
    pub(crate) const FAILED: Self = Self { satisfied: false, unsatisfied: false, failed: true };

    /// The only one, if there is only one.
    pub(crate) fn settled(self) -> Option<Self> {
        [Self::SATISFIED, Self::UNSATISFIED, Self::FAILED].contains(&self).then_some(self)
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            satisfied: self.satisfied || other.satisfied,
            unsatisfied: self.unsatisfied || other.unsatisfied,
            failed: self.failed || other.failed,
        }
    }
}

/// What came of the evaluation of a policy where all is known.
pub(crate) enum Verdict {
    Satisfied,
    Unsatisfied,
    Failed(String),
}

impl From<Verdict> for Outcomes {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Satisfied => Self::SATISFIED,
            Verdict::Unsatisfied => Self::UNSATISFIED,
            Verdict::Failed(_) => Self::FAILED,
        }
    }
}

/// A request with all that policies may look at.
pub(crate) struct Stage {
    request: Request,
    entities: Entities,
}

/// What of the context is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    All,
    Nothing,
}

impl Stage {
    /// Sets up somebody who wants something with these attributes of arguments.
    ///
    /// # Errors
    /// If these entities cannot be together.
    pub(crate) fn new<'a>(
        world: &World,
        caller: &Caller,
        asked: &Asked,
        arguments: &Attributes,
        conditions: impl IntoIterator<Item = &'a Condition>,
        known: Known,
    ) -> Result<Self, String> {
        let attributes = asked.attributes.iter().cloned();
        let attributes = attributes.chain(owned(arguments));
        let resource =
            Entity::new(asked.uid.clone(), attributes.collect(), asked.ancestors.clone());
        let resource = resource.map_err(|error| error.to_string())?;
        let action = world.action(asked.action);
        let mut request = Request::builder()
            .principal(caller.uid.clone())
            .action(action.uid())
            .resource(asked.uid.clone());
        if known == Known::All {
            request = request.context(context(caller, arguments)?);
        }
        let mut entities = vec![action.clone(), resource];
        for entity in conditions.into_iter().flat_map(|condition| &condition.entities) {
            let uid = entity.uid();
            if uid != caller.uid && entities.iter().all(|other| other.uid() != uid) {
                entities.push(entity.clone());
            }
        }
        let entities = caller.entities.clone().add_entities(entities, None);
        let entities =
            entities.map_err(|error| format!("{error}: the entities lead in a circle"))?;
        Ok(Self { request: request.build(), entities })
    }

    /// The same for all that the action is done with.
    ///
    /// # Errors
    /// If these entities cannot be together.
    pub(crate) fn for_all(
        world: &World,
        caller: &Caller,
        action: Action,
        known: Known,
    ) -> Result<Self, String> {
        let kind = world.kinds.of(action).clone();
        let action = world.action(action);
        let mut request = Request::builder()
            .principal(caller.uid.clone())
            .action(action.uid())
            .unknown_resource_with_type(kind);
        if known == Known::All {
            request = request.context(caller.context.clone());
        }
        let entities = caller.entities.clone().add_entities([action.clone()], None);
        let entities = entities.map_err(|error| error.to_string())?;
        Ok(Self { request: request.build(), entities })
    }

    /// Evaluates a policy where all is known.
    pub(crate) fn verdict(&self, condition: &Condition) -> Verdict {
        if let Some(expression) = &condition.expression {
            return match cedar_policy::eval_expression(&self.request, &self.entities, expression) {
                Ok(EvalResult::Bool(true)) => Verdict::Satisfied,
                Ok(EvalResult::Bool(false)) => Verdict::Unsatisfied,
                Ok(_) => Verdict::Failed("the condition is neither true nor false".to_owned()),
                Err(error) => Verdict::Failed(without_values(&error)),
            };
        }
        let answer =
            Authorizer::new().is_authorized(&self.request, &condition.alone, &self.entities);
        if let Some(error) = answer.diagnostics().errors().next() {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
            return Verdict::Failed(without_values(error.inner()));
        }
        match answer.diagnostics().reason().next() {
            Some(_) => Verdict::Satisfied,
            None => Verdict::Unsatisfied,
        }
    }

    /// Evaluates a policy as far as something is known.
    pub(crate) fn outcomes(&self, condition: &Condition) -> Outcomes {
        let Self { request, entities } = self;
        let answer = Authorizer::new().is_authorized_partial(request, &condition.alone, entities);
        if answer.definitely_errored().next().is_some() {
            Outcomes::FAILED
        } else if answer.definitely_satisfied().next().is_some() {
            Outcomes::SATISFIED
        } else {
            left_open(&answer).unwrap_or(Outcomes::UNSATISFIED)
        }
    }
}

/// The outcomes that what is left of a policy can have; `None` if nothing is left.
fn left_open(answer: &PartialResponse) -> Option<Outcomes> {
    let rest = answer.nontrivial_residuals().next()?;
    // As JSON, since Cedar's own syntax tree has no unknown values.
    let Ok(rest) = rest.to_json() else {
        return Some(Outcomes::ANY);
    };
    let mut satisfied = true;
    let mut unsatisfied = false;
    for clause in rest["conditions"].as_array().into_iter().flatten() {
        let (can_hold, can_fail) = match clause["kind"].as_str() {
            Some("when") => truths(&clause["body"]),
            Some("unless") => swap(truths(&clause["body"])),
            _ => (true, true),
        };
        satisfied &= can_hold;
        unsatisfied |= can_fail;
    }
    Some(Outcomes { satisfied, unsatisfied, failed: true })
}

/// Whether an expression can be true and whether it can be false, by its connectives alone.
fn truths(expression: &Value) -> (bool, bool) {
    let operation = expression.as_object().and_then(|operation| operation.iter().next());
    let Some((operator, operands)) = operation else {
        return (true, true);
    };
    let truths = |name: &str| truths(&operands[name]);
    match (operator.as_str(), operands) {
        ("Value", Value::Bool(value)) => (*value, !*value),
        ("!", _) => swap(truths("arg")),
        ("&&", _) => {
            let (left, right) = (truths("left"), truths("right"));
            (left.0 && right.0, left.1 || (left.0 && right.1))
        }
        ("||", _) => {
            let (left, right) = (truths("left"), truths("right"));
            (left.0 || (left.1 && right.0), left.1 && right.1)
        }
        ("if-then-else", _) => {
            let (cond, then, other) = (truths("if"), truths("then"), truths("else"));
            ((cond.0 && then.0) || (cond.1 && other.0), (cond.0 && then.1) || (cond.1 && other.1))
        }
        _ => (true, true),
    }
}

fn swap((one, other): (bool, bool)) -> (bool, bool) {
    (other, one)
}

fn context(caller: &Caller, arguments: &Attributes) -> Result<Context, String> {
    if arguments.is_empty() {
        return Ok(caller.context.clone());
    }
    let pairs = caller.claims.iter().cloned().chain(owned(arguments));
    Context::from_pairs(pairs).map_err(|error| error.to_string())
}

fn owned(arguments: &Attributes) -> impl Iterator<Item = (String, RestrictedExpression)> {
    arguments.iter().map(|(name, value)| (name.clone(), value.clone()))
}

/// What went wrong, without what callers sent.
fn without_values(error: &EvaluationError) -> String {
    match error {
        EvaluationError::IntegerOverflow(_) => "a number becomes too large".to_owned(),
        EvaluationError::FailedExtensionFunctionExecution(_) => {
            "a function such as `ip` or `decimal` does not take what it is given".to_owned()
        }
        error => error.to_string(),
    }
}

/// The attributes of arguments that these policies name.
pub(crate) fn named<'a>(conditions: impl IntoIterator<Item = &'a Condition>) -> BTreeSet<String> {
    conditions.into_iter().flat_map(|condition| condition.arguments.iter().cloned()).collect()
}

/// The conditions of these policies.
pub(crate) fn conditions<'a>(rules: &[&'a Rule]) -> impl Iterator<Item = &'a Condition> {
    rules.iter().filter_map(|rule| rule.condition.as_ref())
}
