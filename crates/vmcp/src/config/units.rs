//! How people write times and sizes: `1m30s`, `8MiB`.

use std::time::Duration;

/// Nanoseconds in each unit of time, largest first. Go's spelling, as in the reference system.
const TIMES: [(&str, u128); 8] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1000),
    ("\u{b5}s", 1000),
    ("\u{3bc}s", 1000),
    ("ns", 1),
];

const SIZES: [(&str, usize); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// Reads a duration such as `30s`, `1m30s`, `1.5h` or `500ms`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total: u128 = 0;
    while !rest.is_empty() || text.is_empty() {
        let (number, after) = split(rest, |c| !(c.is_ascii_digit() || c == '.'));
        let (unit, after) = split(after, |c| c.is_ascii_digit() || c == '.');
        let nanoseconds = TIMES.iter().find(|(name, _)| *name == unit)?.1;
        total = total.checked_add(amount(number, nanoseconds)?)?;
        rest = after;
    }
    Some(Duration::from_nanos(u64::try_from(total).ok()?))
}

/// Reads a number of bytes such as `1048576` or `8MiB`.
pub(super) fn size(text: &str) -> Option<i128> {
    let (number, unit) = split(text, |c| !(c.is_ascii_digit() || c == '-'));
    let bytes = match unit {
        "" => 1,
        unit => SIZES.iter().find(|(name, _)| *name == unit)?.1,
    };
    Some(whole(number)?.saturating_mul(i128::try_from(bytes).ok()?))
}

/// Reads a truth value, in all the words that YAML has had for them.
pub(super) fn flag(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "y" | "Y" | "on" | "On" | "ON" => {
            Some(true)
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "n" | "N" | "off" | "Off" | "OFF" => {
            Some(false)
        }
        _ => None,
    }
}

/// Reads a whole number. One that is too large for any use is as large as can be.
pub(super) fn whole(text: &str) -> Option<i128> {
    // The standard library would take a plus as well.
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| sign * digits.parse().unwrap_or(i128::MAX))
}

/// Writes a duration as people would.
pub(super) fn show_duration(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    let mut text = String::new();
    for (name, nanoseconds) in TIMES.iter().filter(|(name, _)| name.is_ascii()) {
        if rest >= *nanoseconds {
            text += &format!("{}{name}", rest / nanoseconds);
            rest %= nanoseconds;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Writes a number of bytes as people would.
pub(super) fn show_size(bytes: usize) -> String {
    let whole = |(_, unit): &&(&str, usize)| bytes >= *unit && bytes.is_multiple_of(*unit);
    match SIZES.iter().find(whole) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

/// A decimal number, times a unit, without rounding up.
fn amount(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than these name no time that could matter.
    let readable = !(whole.is_empty() && fraction.is_empty()) && number.len() <= 16;
    if !readable || !digits(whole) || !digits(fraction) {
        return None;
    }
    let value = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u128>().ok() };
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    Some(value(whole)? * unit + value(fraction)? * unit / scale)
}

fn split(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}
