//! Conditions about a caller, in the Common Expression Language (cel-spec), over the variable `claims`.

use cel::{
    Context, ExecutionError, Program, Value,
    common::ast::{EntryExpr, Expr, IdedExpr},
    objects::Map,
};
use serde_json::Value as Json;

/// The functions of the language that are known here, besides its operators and macros. The others (times,
/// durations, conversions of them) are refused by name.
const FUNCTIONS: [&str; 15] = [
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "size",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "bool",
    "type",
    "dyn",
    "has",
    "min",
];

/// The names of types, which are values of their own.
const TYPES: [&str; 11] =
    ["bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "string", "type", "uint"];

/// The longest text, in bytes: each level of an expression takes its part of the stack, of which this much is
/// there.
const LONGEST: usize = 1024;
const STACK: usize = 16 << 20;

/// A condition.
pub struct Matcher {
    text: Box<str>,
    program: Program,
}

/// Why a text is no condition that can be used here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMatcher {
    #[error("is longer than 1024 bytes")]
    Long,
    #[error("is not an expression of CEL: {0}")]
    Syntax(String),
    #[error("names the variable {0}; only claims is there")]
    Variable(String),
    #[error("calls {0}, which is not supported here")]
    Function(String),
}

impl Matcher {
    /// # Errors
    /// If it is no expression, or uses what is not there.
    pub fn parse(text: &str) -> Result<Self, InvalidMatcher> {
        if text.len() > LONGEST {
            return Err(InvalidMatcher::Long);
        }
        let program = stacker::grow(STACK, || Program::compile(text)).map_err(|errors| {
            let first = errors.to_string();
            InvalidMatcher::Syntax(first.lines().next().unwrap_or_default().to_owned())
        })?;
        let references = program.references();
        let mut known = vec!["claims"];
        known.extend(TYPES);
        collect_bound(program.expression(), &mut known);
        if let Some(other) = references.variables().into_iter().find(|name| !known.contains(name)) {
            return Err(InvalidMatcher::Variable(other.to_owned()));
        }
        let is_operator = |name: &str| !name.starts_with(|c: char| c.is_ascii_alphabetic());
        let mut called = references.functions().into_iter().filter(|name| !is_operator(name));
        if let Some(other) = called.find(|name| !FUNCTIONS.contains(name)) {
            return Err(InvalidMatcher::Function(other.to_owned()));
        }
        Ok(Self { text: text.into(), program })
    }

    /// Whether it holds of these claims. One that fails, or gives something else than true, does not.
    pub fn holds(&self, claims: &Claims) -> bool {
        matches!(self.evaluate(claims), Ok(Value::Bool(true)))
    }

    /// What it comes to.
    ///
    /// # Errors
    /// If it has none, as that of a claim that is not there.
    pub fn evaluate(&self, claims: &Claims) -> Result<Value, ExecutionError> {
        stacker::grow(STACK, || self.program.execute(&claims.0))
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What is said of a caller, for any number of conditions.
pub struct Claims(Context<'static, 'static>);

impl Claims {
    pub fn new(json: &Json) -> Self {
        let mut context = Context::default();
        context.add_variable_from_value("claims", value(json));
        Self(context)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Matcher {}

impl std::fmt::Debug for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Matcher").field(&self.text).finish()
    }
}

/// Collects the variables that macros such as `exists` bring in.
fn collect_bound<'a>(expression: &'a IdedExpr, names: &mut Vec<&'a str>) {
    match &expression.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        Expr::Call(call) => {
            let parts = call.target.as_deref().into_iter().chain(&call.args);
            parts.for_each(|part| collect_bound(part, names));
        }
        Expr::Comprehension(over) => {
            names.push(&over.iter_var);
            names.extend(over.iter_var2.as_deref());
            names.push(&over.accu_var);
            let parts =
                [&over.iter_range, &over.accu_init, &over.loop_cond, &over.loop_step, &over.result];
            parts.into_iter().for_each(|part| collect_bound(part, names));
        }
        Expr::List(list) => list.elements.iter().for_each(|part| collect_bound(part, names)),
        Expr::Select(select) => collect_bound(&select.operand, names),
        Expr::Map(map) => map.entries.iter().for_each(|entry| collect_in(&entry.expr, names)),
        Expr::Struct(of) => of.entries.iter().for_each(|entry| collect_in(&entry.expr, names)),
    }
}

fn collect_in<'a>(entry: &'a EntryExpr, names: &mut Vec<&'a str>) {
    match entry {
        EntryExpr::StructField(field) => collect_bound(&field.value, names),
        EntryExpr::MapEntry(entry) => {
            collect_bound(&entry.key, names);
            collect_bound(&entry.value, names);
        }
    }
}

/// Claims as expressions see them. All numbers are doubles, as JSON has no others.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(is) => Value::Bool(*is),
        Json::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Value::String(text.clone().into()),
        Json::Array(items) => Value::List(items.iter().map(value).collect::<Vec<_>>().into()),
        Json::Object(members) => {
            let members = members.iter().map(|(name, member)| (name.clone().into(), value(member)));
            Value::Map(Map { map: std::sync::Arc::new(members.collect()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Whatever is accepted is worked out by a thread with little room for its stack.
    #[test]
    fn the_deepest_expressions_have_room() {
        let times = |count: usize, text: &str| text.repeat(count);
        let deep = [
            format!("size('a'{})>1", times(250, "+'a'")),
            format!("claims{}", times(500, ".b")),
            format!("claims{}", times(330, "[0]")),
            format!("{}true", times(1000, "!")),
            format!("{}1{}==1", times(500, "("), times(500, ")")),
            format!("{}1{}==1", times(500, "["), times(500, "]")),
            format!("claims.a{}", times(80, "||claims.a")),
        ];
        let work = move || {
            for text in deep {
                if let Ok(matcher) = Matcher::parse(&text) {
                    matcher.holds(&Claims::new(&json!({"a": false, "b": {"b": 1}})));
                }
            }
            assert_eq!(Matcher::parse(&times(1025, " ")), Err(InvalidMatcher::Long));
        };
        // The workers have twice as much.
        let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(work);
        thread.unwrap().join().unwrap();
    }
}
