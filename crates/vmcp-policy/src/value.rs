//! JSON values as values of Cedar.

use cedar_policy::RestrictedExpression;
use serde_json::{Value, value::RawValue};

/// How many arrays and objects a value may lie in; what lies deeper is left out.
const MAX_DEPTH: usize = 10;
/// How many digits a decimal of Cedar has after the point.
const DECIMAL_PLACES: usize = 4;

/// A value, as far as Cedar can say it.
pub(crate) fn whole(value: &Value) -> Option<RestrictedExpression> {
    at_depth(value, 0)
}

fn at_depth(value: &Value, depth: usize) -> Option<RestrictedExpression> {
    if depth > MAX_DEPTH {
        return None;
    }
    match value {
        Value::Null => None,
        Value::Bool(value) => Some(RestrictedExpression::new_bool(*value)),
        Value::Number(number) => self::number(&number.to_string()),
        Value::String(text) => Some(RestrictedExpression::new_string(text.clone())),
        Value::Array(items) => {
            let items = items.iter().filter_map(|item| at_depth(item, depth + 1));
            Some(RestrictedExpression::new_set(items))
        }
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), at_depth(value, depth + 1)?)));
            let record = RestrictedExpression::new_record(fields);
            Some(record.expect("no name is twice in a map"))
        }
    }
}

/// A string, a truth value or a number that Cedar can say; `None` of anything else.
///
/// # Errors
/// If the text of a string cannot be read.
pub(crate) fn scalar(raw: &RawValue) -> Result<Option<RestrictedExpression>, serde_json::Error> {
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'"') => Some(RestrictedExpression::new_string(serde_json::from_str(text)?)),
        Some(b't') => Some(RestrictedExpression::new_bool(true)),
        Some(b'f') => Some(RestrictedExpression::new_bool(false)),
        Some(b'-' | b'0'..=b'9') => number(text),
        _ => None,
    })
}

/// A number by its value, however it is written: an integer that Cedar can hold becomes one (`1e2` and `100.0`
/// too, so that nobody gets around a policy by writing a number differently), another number a decimal.
/// What it has behind a decimal's last place is cut off, as in the reference: left out, it would get around what
/// forbids. `None` if it is too large for both.
fn number(text: &str) -> Option<RestrictedExpression> {
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return Some(RestrictedExpression::new_long(0));
    }
    // The value is `kept` × 10^exponent.
    let places = i64::try_from(DECIMAL_PLACES).ok()?;
    let exponent: i64 = exponent.parse().ok()?;
    let dropped = i64::try_from(digits.len() - kept.len()).ok()?;
    let exponent =
        exponent.checked_add(dropped)?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    // So many of its units, 10^-places, without what is less than one.
    let units = |places: i64| -> Option<i64> {
        let power = exponent.checked_add(places)?;
        let less = usize::try_from(power.saturating_neg()).unwrap_or(0);
        let whole = &kept[..kept.len().saturating_sub(less)];
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let power = 10_i128.checked_pow(u32::try_from(power.max(0)).ok()?)?;
        let value = whole.checked_mul(power)?;
        i64::try_from(if is_negative { -value } else { value }).ok()
    };
    if exponent >= 0 {
        return Some(RestrictedExpression::new_long(units(0)?));
    }
    let value = units(places)?.unsigned_abs();
    let sign = if is_negative { "-" } else { "" };
    let one = 10_u64.pow(u32::try_from(DECIMAL_PLACES).ok()?);
    let text = format!("{sign}{}.{:0DECIMAL_PLACES$}", value / one, value % one);
    Some(RestrictedExpression::new_decimal(text))
}
