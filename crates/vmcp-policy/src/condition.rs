//! What a policy asks of those that its head is about.

use std::collections::BTreeSet;

use cedar_policy::{
    Entity, Expression, Policy, PolicySet,
    pst::{BinaryOp, Clause, Expr, Literal, UnaryOp},
};

use crate::{
    arguments,
    reads::{OfContext, Reads},
    world::World,
};

/// The clauses of a policy, ready to be evaluated.
pub(crate) struct Condition {
    /// All clauses as one expression, which is quicker to evaluate than a policy.
    pub(crate) expression: Option<Expression>,
    /// The same as the only policy.
    pub(crate) alone: PolicySet,
    /// The attributes of arguments that it names.
    pub(crate) arguments: BTreeSet<String>,
    pub(crate) context: OfContext,
    pub(crate) is_unknown: bool,
    pub(crate) reads_resource: bool,
    /// Whether it may look into entities that it names itself.
    pub(crate) looks_around: bool,
    /// The configured entities that it can look into.
    pub(crate) entities: Vec<Entity>,
}

impl Condition {
    /// The clauses of a policy that has some.
    pub(crate) fn new(policy: &Policy, reads: &Reads, world: &World) -> Self {
        let names = reads.attributes.iter();
        let (expression, alone) = match headless(policy) {
            Some((expression, policy)) => (Some(expression), policy),
            None => (None, policy.clone()),
        };
        Self {
            expression,
            alone: PolicySet::from_policies([alone]).expect("one policy is no duplicate"),
            arguments: names.filter(|name| name.starts_with(arguments::PREFIX)).cloned().collect(),
            context: reads.context,
            is_unknown: reads.is_unknown,
            reads_resource: reads.resource,
            looks_around: reads.other_entities,
            entities: if reads.other_entities {
                world.reachable(policy.entity_literals())
            } else {
                Vec::new()
            },
        }
    }

    pub(crate) fn reads_arguments(&self) -> bool {
        self.context == OfContext::All || self.is_unknown || !self.arguments.is_empty()
    }
}

/// The clauses of a policy as one expression, and as a policy without a head. `None` if Cedar does not read
/// again what it wrote itself.
fn headless(policy: &Policy) -> Option<(Expression, Policy)> {
    let policy = policy.to_pst().ok()?;
    let mut all = Expr::Literal(Literal::Bool(true));
    let mut text = "true".to_owned();
    for clause in policy.body().clauses() {
        let (written, right) = match clause {
            Clause::When(condition) => (format!("({condition})"), condition.clone()),
            Clause::Unless(condition) => {
                let not = Expr::UnaryOp { op: UnaryOp::Not, expr: condition.clone() };
                (format!("(!({condition}))"), not.into())
            }
        };
        text = format!("{text} && {written}");
        all = Expr::BinaryOp { op: BinaryOp::And, left: all.into(), right };
    }
    let headless = format!("permit(principal, action, resource) when {{ {text} }};");
    let headless = Policy::parse(None, headless).ok()?;
    let read = headless.to_pst().ok()?;
    let is_same = matches!(read.body().clauses().as_slice(), [Clause::When(read)] if **read == all);
    is_same.then_some(())?;
    Some((text.parse().ok()?, headless))
}
