//! Integers that are compared as decimals, as policies for ToolHive do.

use cedar_policy::pst::{BinaryOp, Expr, Literal, UnaryOp};

use crate::warnings::attributes::{self, shown};

/// That a claim or an argument is compared with a decimal that is an integer.
pub(super) fn of(op: BinaryOp, left: &Expr, right: &Expr) -> Option<String> {
    let (fails, sign, turned) = match op {
        BinaryOp::DecimalLessThan => ("`.lessThan` fails for it", "<", ">"),
        BinaryOp::DecimalLessEq => ("`.lessThanOrEqual` fails for it", "<=", ">="),
        BinaryOp::DecimalGreater => ("`.greaterThan` fails for it", ">", "<"),
        BinaryOp::DecimalGreaterEq => ("`.greaterThanOrEqual` fails for it", ">=", "<="),
        BinaryOp::Eq => ("it equals no decimal", "==", "=="),
        BinaryOp::NotEq => ("it equals no decimal", "!=", "!="),
        _ => return None,
    };
    let (value, decimal, sign) = match (claim_or_argument(left), literal(right)) {
        (Some(value), Some(decimal)) => (value, decimal, sign),
        _ => (claim_or_argument(right)?, literal(left)?, turned),
    };
    let integer = integer(decimal)?;
    Some(format!(
        "`decimal({decimal:?})` is compared with `{value}`, of which an integer is a long (in ToolHive it is a \
         decimal), so {fails}: write `{value} {sign} {integer}`"
    ))
}

/// `context.arg_n`, as it is written.
fn claim_or_argument(expression: &Expr) -> Option<String> {
    let Expr::GetAttr { expr, attr } = expression else { return None };
    let Expr::Var(var) = &**expr else { return None };
    attributes::is_claim_or_argument(attr).then(|| shown(var, attr))
}

/// The text of `decimal("...")`.
fn literal(expression: &Expr) -> Option<&str> {
    let Expr::UnaryOp { op: UnaryOp::Decimal, expr } = expression else { return None };
    match &**expr {
        Expr::Literal(Literal::String(text)) => Some(text),
        _ => None,
    }
}

fn integer(decimal: &str) -> Option<i64> {
    let (integer, fraction) = decimal.split_once('.')?;
    integer.parse().ok().filter(|_| fraction.chars().all(|digit| digit == '0'))
}
