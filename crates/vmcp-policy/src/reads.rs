//! What a policy can read, found out from its text, so that nothing else need be made, told apart or judged again.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use cedar_policy::{
    EntityUid, Policy,
    pst::{BinaryOp, Clause, Expr, Literal, Var},
};

use crate::kinds;

/// What the conditions of a policy can read.
///
/// Attributes have names that stand in the text: Cedar has no other way to one. So a name that stands nowhere is
/// read nowhere, except where the record `context` is used whole.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// The names of the attributes, of whatever they are.
    pub(crate) attributes: BTreeSet<String>,
    pub(crate) context: OfContext,
    /// Whether `resource` stands in it.
    pub(crate) resource: bool,
    /// Whether it may look into entities that it names itself.
    pub(crate) other_entities: bool,
    /// What it asks somebody to be `in`.
    pub(crate) ancestors: Ancestors,
    /// Whether there is something in it that this crate does not know, which may read everything.
    pub(crate) is_unknown: bool,
}

/// How `context` is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum OfContext {
    /// Only by attributes, which are named.
    #[default]
    Named,
    /// As a record.
    All,
}

/// What stands at the right of `in`.
#[derive(Debug)]
pub(crate) enum Ancestors {
    Literals(HashSet<EntityUid>),
    /// Something that is computed.
    Any,
}

impl Default for Ancestors {
    fn default() -> Self {
        Self::Literals(HashSet::new())
    }
}

impl Ancestors {
    pub(crate) fn add(&mut self, uid: EntityUid) {
        if let Self::Literals(literals) = self {
            literals.insert(uid);
        }
    }
}

impl Reads {
    pub(crate) fn of(policy: &Policy) -> Self {
        let mut reads = Self::default();
        let Ok(policy) = policy.to_pst() else {
            reads.unknown();
            return reads;
        };
        for clause in policy.body().clauses() {
            match clause {
                Clause::When(condition) | Clause::Unless(condition) => reads.expression(condition),
            }
        }
        reads
    }

    fn unknown(&mut self) {
        self.is_unknown = true;
        self.context = OfContext::All;
        self.resource = true;
        self.other_entities = true;
        self.ancestors = Ancestors::Any;
    }

    fn expressions<'a>(&mut self, expressions: impl IntoIterator<Item = &'a Arc<Expr>>) {
        expressions.into_iter().for_each(|expression| self.expression(expression));
    }

    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::Literal(_) => {}
            Expr::Var(Var::Context) => self.context = OfContext::All,
            Expr::Var(Var::Resource) => self.resource = true,
            Expr::Var(Var::Principal | Var::Action) => {}
            Expr::UnaryOp { expr, .. } | Expr::Like { expr, .. } => self.expression(expr),
            Expr::BinaryOp { op, left, right } => self.operation(*op, left, right),
            Expr::GetAttr { expr, attr } => {
                self.attributes.insert(attr.to_string());
                self.looked_into(expr);
            }
            Expr::HasAttr { expr, attrs } => {
                self.attributes.extend(attrs.iter().map(ToString::to_string));
                self.looked_into(expr);
            }
            Expr::Is { expr, in_expr, .. } => match in_expr {
                Some(ancestor) => self.operation(BinaryOp::In, expr, ancestor),
                None => self.expression(expr),
            },
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                self.expressions([cond, then_expr, else_expr]);
            }
            Expr::Set(items) => self.expressions(items),
            Expr::Record(fields) => self.expressions(fields.values()),
            _ => self.unknown(),
        }
    }

    fn operation(&mut self, op: BinaryOp, left: &Expr, right: &Expr) {
        match op {
            BinaryOp::In => {
                self.looked_into(left);
                self.ancestors(right);
            }
            BinaryOp::GetTag | BinaryOp::HasTag => {
                self.looked_into(left);
                self.expression(right);
            }
            _ => {
                self.expression(left);
                self.expression(right);
            }
        }
    }

    /// Something of which an attribute, a tag or an ancestor is read.
    fn looked_into(&mut self, expression: &Expr) {
        let mut root = expression;
        while let Expr::GetAttr { expr, .. } = root {
            root = expr;
        }
        // What the four variables have in their attributes is never an entity.
        self.other_entities |= !matches!(root, Expr::Var(_));
        if !matches!(expression, Expr::Var(Var::Context)) {
            self.expression(expression);
        }
    }

    fn ancestors(&mut self, expression: &Expr) {
        let literals = match expression {
            Expr::Set(items) => items.iter().map(|item| literal(item)).collect(),
            one => literal(one).map(|uid| vec![uid]),
        };
        match literals {
            Some(literals) => literals.into_iter().for_each(|uid| self.ancestors.add(uid)),
            None => {
                self.ancestors = Ancestors::Any;
                self.expression(expression);
            }
        }
    }
}

fn literal(expression: &Expr) -> Option<EntityUid> {
    match expression {
        Expr::Literal(Literal::EntityUID(uid)) => {
            Some(kinds::uid(&uid.ty.to_string().parse().ok()?, &uid.eid))
        }
        _ => None,
    }
}
