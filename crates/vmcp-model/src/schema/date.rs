//! Dates and times.

/// Whether a JSON string is a date and time as RFC 3339 writes them, which is what readers take of
/// ISO 8601: `"2025-01-12T15:00:58Z"`.
pub(super) fn is_date_time(json: &[u8]) -> bool {
    let date_time = || {
        let text = json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let rest = date(text)?.strip_prefix(b"T")?;
        let rest = fraction(seconds(minutes(rest)?)?)?;
        let is_zoned = rest == b"Z"
            || matches!(rest, [b'+' | b'-', zone @ ..] if minutes(zone).is_some_and(<[u8]>::is_empty));
        is_zoned.then_some(())
    };
    date_time().is_some()
}

/// A number of so many digits within bounds, and what follows it.
fn number(
    text: &[u8],
    digits: usize,
    bounds: std::ops::RangeInclusive<u16>,
) -> Option<(u16, &[u8])> {
    let (number, rest) = text.split_at_checked(digits)?;
    if !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    bounds.contains(&number).then_some((number, rest))
}

/// What follows a day that there is.
fn date(text: &[u8]) -> Option<&[u8]> {
    let (year, rest) = number(text, 4, 0..=9999)?;
    let (month, rest) = number(rest.strip_prefix(b"-")?, 2, 1..=12)?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    Some(number(rest.strip_prefix(b"-")?, 2, 1..=days)?.1)
}

/// What follows `15:04`.
fn minutes(text: &[u8]) -> Option<&[u8]> {
    let (_hour, rest) = number(text, 2, 0..=23)?;
    Some(number(rest.strip_prefix(b":")?, 2, 0..=59)?.1)
}

/// What follows `:05`.
fn seconds(text: &[u8]) -> Option<&[u8]> {
    Some(number(text.strip_prefix(b":")?, 2, 0..=59)?.1)
}

/// What follows `.678`, if that stands there.
fn fraction(text: &[u8]) -> Option<&[u8]> {
    let Some(rest) = text.strip_prefix(b".") else { return Some(text) };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    // More than nine are more than readers keep, and some refuse them.
    (1..=9).contains(&digits).then(|| &rest[digits..])
}
