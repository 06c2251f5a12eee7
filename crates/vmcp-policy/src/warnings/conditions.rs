//! Walks through a policy: its head is read as the conditions that it stands for.

use std::sync::Arc;

use cedar_policy::{
    Policy,
    pst::{
        ActionConstraint, BinaryOp, Clause, EntityOrSlot, EntityType, EntityUID, Expr, Literal,
        PrincipalConstraint, ResourceConstraint, Var,
    },
};

use crate::{
    kinds::Action,
    warnings::{
        attributes, decimals,
        known::{Known, listed, shown},
    },
};

/// What is odd about one policy.
pub(super) fn of(known: &Known<'_>, policy: &Policy) -> Vec<String> {
    let Ok(policy) = policy.to_pst() else {
        return Vec::new();
    };
    let policy = policy.body();
    let actions = actions(&policy.action);
    let mut walk = Walk { known, actions, found: Vec::new() };
    if let Some(head) = principal(&policy.principal) {
        walk.expression(&head);
    }
    if let Some(head) = action(&policy.action) {
        walk.expression(&head);
    }
    if let Some(head) = resource(&policy.resource) {
        walk.expression(&head);
    }
    for clause in policy.clauses() {
        match clause {
            Clause::When(condition) | Clause::Unless(condition) => walk.expression(condition),
        }
    }
    walk.found
}

/// The actions that a head lets through; all, if it names none that there is.
fn actions(head: &ActionConstraint) -> Vec<Action> {
    let named: &[EntityUID] = match head {
        ActionConstraint::Any => &[],
        ActionConstraint::Eq(uid) => std::slice::from_ref(uid),
        ActionConstraint::In(uids) => uids,
    };
    let is_named = |action: &Action| named.iter().any(|uid| uid.eid.as_str() == action.name());
    let actions: Vec<Action> = Action::ALL.into_iter().filter(is_named).collect();
    if actions.is_empty() { Action::ALL.to_vec() } else { actions }
}

fn principal(head: &PrincipalConstraint) -> Option<Expr> {
    let of = Var::Principal;
    match head {
        PrincipalConstraint::Any => None,
        PrincipalConstraint::Eq(uid) => operation(of, BinaryOp::Eq, uid),
        PrincipalConstraint::In(uid) => operation(of, BinaryOp::In, uid),
        PrincipalConstraint::Is(kind) => Some(is(of, kind, None)),
        PrincipalConstraint::IsIn(kind, uid) => Some(is(of, kind, literal(uid))),
    }
}

fn resource(head: &ResourceConstraint) -> Option<Expr> {
    let of = Var::Resource;
    match head {
        ResourceConstraint::Any => None,
        ResourceConstraint::Eq(uid) => operation(of, BinaryOp::Eq, uid),
        ResourceConstraint::In(uid) => operation(of, BinaryOp::In, uid),
        ResourceConstraint::Is(kind) => Some(is(of, kind, None)),
        ResourceConstraint::IsIn(kind, uid) => Some(is(of, kind, literal(uid))),
    }
}

fn action(head: &ActionConstraint) -> Option<Expr> {
    let uids = match head {
        ActionConstraint::Any => return None,
        ActionConstraint::Eq(uid) => vec![uid.clone()],
        ActionConstraint::In(uids) => uids.clone(),
    };
    let items = uids.into_iter().map(|uid| Arc::new(Expr::Literal(Literal::EntityUID(uid))));
    let (left, right) = (Arc::new(Expr::Var(Var::Action)), Arc::new(Expr::Set(items.collect())));
    Some(Expr::BinaryOp { op: BinaryOp::In, left, right })
}

fn operation(var: Var, op: BinaryOp, uid: &EntityOrSlot) -> Option<Expr> {
    Some(Expr::BinaryOp { op, left: Arc::new(Expr::Var(var)), right: literal(uid)? })
}

fn is(var: Var, kind: &EntityType, in_expr: Option<Arc<Expr>>) -> Expr {
    Expr::Is { expr: Arc::new(Expr::Var(var)), entity_type: kind.clone(), in_expr }
}

/// Templates, which have slots, are refused.
fn literal(uid: &EntityOrSlot) -> Option<Arc<Expr>> {
    match uid {
        EntityOrSlot::Entity(uid) => Some(Arc::new(Expr::Literal(Literal::EntityUID(uid.clone())))),
        EntityOrSlot::Slot(_) => None,
    }
}

struct Walk<'a> {
    known: &'a Known<'a>,
    /// What may be asked for, as far as the head says.
    actions: Vec<Action>,
    found: Vec<String>,
}

impl Walk<'_> {
    fn expressions<'e>(&mut self, expressions: impl IntoIterator<Item = &'e Arc<Expr>>) {
        expressions.into_iter().for_each(|expression| self.expression(expression));
    }

    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::Literal(Literal::EntityUID(uid)) => self.found.extend(self.known.entity(uid)),
            Expr::UnaryOp { expr, .. } | Expr::Like { expr, .. } => self.expression(expr),
            Expr::BinaryOp { op, left, right } => self.operation(*op, left, right),
            Expr::GetAttr { expr, attr } => self.attribute(expr, &[attr]),
            Expr::HasAttr { expr, attrs } => {
                self.attribute(expr, &attrs.iter().map(AsRef::as_ref).collect::<Vec<_>>());
            }
            Expr::Is { expr, entity_type, in_expr } => {
                self.is(expr, &entity_type.to_string());
                if let Some(ancestor) = in_expr {
                    self.is_in(expr, ancestor);
                }
            }
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                self.expressions([cond, then_expr, else_expr]);
            }
            Expr::Set(items) => self.expressions(items),
            Expr::Record(fields) => self.expressions(fields.values()),
            // Other literals and the variables by themselves; and whatever no policy's text holds.
            _ => {}
        }
    }

    fn operation(&mut self, op: BinaryOp, left: &Arc<Expr>, right: &Arc<Expr>) {
        self.found.extend(decimals::of(op, left, right));
        match (op, &**left, &**right) {
            (
                BinaryOp::Eq | BinaryOp::NotEq,
                Expr::Var(var),
                Expr::Literal(Literal::EntityUID(uid)),
            )
            | (
                BinaryOp::Eq | BinaryOp::NotEq,
                Expr::Literal(Literal::EntityUID(uid)),
                Expr::Var(var),
            ) => match self.never(var, &uid.ty.to_string(), Some(uid)) {
                Some(message) => self.found.push(message),
                None => self.found.extend(self.known.entity(uid)),
            },
            (BinaryOp::In, ..) => self.is_in(left, right),
            _ => self.expressions([left, right]),
        }
    }

    fn is(&mut self, expression: &Arc<Expr>, kind: &str) {
        let found = match &**expression {
            Expr::Var(var) => self.never(var, kind, None),
            _ => {
                self.expression(expression);
                self.known.kind(kind)
            }
        };
        self.found.extend(found);
    }

    fn is_in(&mut self, left: &Arc<Expr>, right: &Arc<Expr>) {
        let Expr::Var(var) = &**left else {
            return self.expressions([left, right]);
        };
        let items = match &**right {
            Expr::Set(items) => items.as_slice(),
            _ => std::slice::from_ref(right),
        };
        for item in items {
            match &**item {
                Expr::Literal(Literal::EntityUID(uid)) => {
                    let never = self.never_in(var, uid);
                    self.found.extend(never.or_else(|| self.known.entity(uid)));
                }
                other => self.expression(other),
            }
        }
    }

    /// That a variable is never of this type, or never this entity.
    fn never(&self, var: &Var, kind: &str, uid: Option<&EntityUID>) -> Option<String> {
        let (is, instead) = match uid {
            Some(uid) => (format!("is never `{}`", shown(uid)), uid.eid.as_str()),
            None => (format!("is never of the type `{kind}`"), "..."),
        };
        match var {
            Var::Principal if kind == "Client" => None,
            Var::Principal => {
                let group = kind == self.known.group || (kind.ends_with("Group") && uid.is_some());
                let hint = match group {
                    true => format!(
                        "for a group write `principal in {}::{instead:?}`",
                        self.known.group
                    ),
                    false => "callers are of the type `Client`, `Client::\"<sub>\"`".to_owned(),
                };
                Some(format!("`principal` {is}: {hint}"))
            }
            Var::Action if kind == "Action" => None,
            Var::Action => Some(format!("`action` {is}: actions are of the type `Action`")),
            Var::Resource if self.actions.iter().any(|action| action.kind() == kind) => None,
            Var::Resource => {
                let hint = match kind {
                    "Backend" | "MCP" => {
                        format!("for what it has write `resource in {kind}::{instead:?}`")
                    }
                    _ => self.kinds_asked_for(),
                };
                Some(format!("`resource` {is}: {hint}"))
            }
            // A record; Cedar says so when it compares it.
            Var::Context => None,
        }
    }

    fn kinds_asked_for(&self) -> String {
        let kinds = listed(self.actions.iter().map(|action| action.kind()), "or");
        if self.actions.len() == Action::ALL.len() {
            return format!("it is of the type {kinds}");
        }
        let actions = listed(self.actions.iter().map(|action| action.name()), "or");
        format!("with the action {actions} it is of the type {kinds}")
    }

    /// That a variable is never in this entity.
    fn never_in(&self, var: &Var, uid: &EntityUID) -> Option<String> {
        let kind = uid.ty.to_string();
        if self.known.is_named(uid) && *var != Var::Action {
            return None;
        }
        let of_request = Action::ALL.iter().any(|action| action.kind() == kind);
        match var {
            Var::Action => self.never(var, &kind, Some(uid)),
            Var::Principal if of_request || ["Action", "MCP", "Backend"].contains(&&*kind) => {
                Some(format!(
                    "`principal` is never in `{}`: callers are in groups, `{}::\"...\"`",
                    shown(uid),
                    self.known.group
                ))
            }
            Var::Resource if of_request => self.never(var, &kind, Some(uid)),
            Var::Resource if kind == self.known.group || ["Client", "Action"].contains(&&*kind) => {
                Some(format!(
                    "`resource` is never in `{}`: what is asked for is in its backend, `Backend::\"...\"`, and in \
                     this server, `MCP::{:?}`",
                    shown(uid),
                    self.known.server
                ))
            }
            Var::Principal => self.known.group_kind(&kind),
            Var::Resource | Var::Context => None,
        }
    }

    /// An attribute, and those that are looked for in it.
    fn attribute(&mut self, of: &Arc<Expr>, path: &[&str]) {
        match &**of {
            Expr::Var(var) => self.found.extend(attributes::of(var, path, &self.actions)),
            Expr::GetAttr { expr, attr } => {
                let path: Vec<&str> =
                    std::iter::once(attr.as_str()).chain(path.iter().copied()).collect();
                self.attribute(expr, &path);
            }
            _ => self.expression(of),
        }
    }
}
