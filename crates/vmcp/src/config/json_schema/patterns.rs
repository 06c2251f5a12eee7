//! What texts look like, as regular expressions that ECMA 262 and everybody else understands.

use std::{fmt::Write as _, time::Duration};

use http::HeaderName;
use vmcp_credentials::RESERVED;
use vmcp_model::BackendId;

use super::super::{
    passthrough,
    schema::{Form, LEAST_TIME},
    units::show_duration,
};

/// A variable in a text, which is checked when the variable's value is known; or `$${`.
pub(super) const VARIABLE: &str = r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}|\$\$\{";

/// `${` without a variable's name and `}`.
pub(super) const BROKEN_VARIABLE: &str =
    r"(^|[^$])\$\{(?![A-Za-z_][A-Za-z0-9_]*(:-((?!\$\{)[^}])*)?\})";

/// All words for truth values.
pub(super) const FLAG: &str =
    "^(true|True|TRUE|yes|Yes|YES|y|Y|on|On|ON|false|False|FALSE|no|No|NO|n|N|off|Off|OFF)$";

/// Those of them that mean no.
pub(super) const NO: &str = "^(false|False|FALSE|no|No|NO|n|N|off|Off|OFF)$";

const PORT: &str =
    "0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6([0-4][0-9]{3}|5([0-4][0-9]{2}|5([0-2][0-9]|3[0-5]))))";
const OCTET: &str = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const BRACKETED: &str = r"\[[0-9A-Fa-f:.]+\]";
const NAME: &str = "[A-Za-z0-9._-]+";

/// What a text of a form looks like, without a variable in it.
pub(super) fn of_form(form: Form) -> String {
    let url = |rest: &str| {
        let scheme = "[Hh][Tt][Tt][Pp][Ss]?";
        format!(r"^{scheme}://({BRACKETED}|[^\s/?#@:\[\]$]+)(:{PORT})?({rest})?$")
    };
    match form {
        Form::BackendName => format!("^[A-Za-z0-9._-]{{1,{}}}$", BackendId::MAX_LENGTH),
        Form::Url => url(r"[/?#]\S*"),
        Form::IssuerUrl => url(r"[/?][^\s#]*"),
        Form::Uri => {
            let url = url(r"[/?][^\s#]*");
            format!(r"{url}|^(?![Hh][Tt][Tt][Pp][Ss]?:)[A-Za-z][A-Za-z0-9+.-]*:[^\s#]+$")
        }
        Form::Issuer | Form::PublicUrl => url(r"/[^\s#?]*"),
        Form::HostPort => format!(r"^({BRACKETED}|[^\s/?#@:\[\]]+):{PORT}$"),
        Form::Listen => {
            format!(r"^(({OCTET}\.){{3}}{OCTET}|{BRACKETED}):(0+|{PORT})$")
        }
        Form::Network => {
            let (v4, v6) = ("(3[0-2]|[12]?[0-9])", "(12[0-8]|1[01][0-9]|[1-9]?[0-9])");
            let mapped = format!(r"({OCTET}\.){{3}}{OCTET}");
            format!(r"^({mapped}(/{v4})?|(?=[^/]*:)[0-9A-Fa-f:.]+(/{v6})?)$")
        }
        Form::Host => format!("^({BRACKETED}|{NAME})(:{PORT})?$"),
        Form::Origin => format!("^[A-Za-z][A-Za-z0-9+.-]*://({BRACKETED}|{NAME})(:{PORT})?$"),
        Form::Directory => "^/".to_owned(),
        Form::File => r"^/(?!(.*/)?\.\.(/|$))".to_owned(),
        Form::HeaderName | Form::Headers | Form::HeaderFiles => header_name(&RESERVED),
        Form::PassedHeader => {
            let all: Vec<_> = RESERVED.into_iter().chain(passthrough::REFUSED).collect();
            header_name(&all)
        }
        Form::HeaderValue => r"^[^\x00-\x08\x0a-\x1f\x7f]*$".to_owned(),
        Form::VariableName => "^[A-Za-z_][A-Za-z0-9_]*$".to_owned(),
        Form::Environment => r"^[^=\x00]+$".to_owned(),
        Form::KeyPrefix => ":$".to_owned(),
        Form::Scope => r"^[!#-\[\]-~]+$".to_owned(),
    }
}

/// The name of a header that may be set.
fn header_name(reserved: &[HeaderName]) -> String {
    let reserved = reserved.iter().map(any_case).collect::<Vec<_>>().join("|");
    format!("^(?!({reserved})$)[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
}

/// A name in whatever case.
fn any_case(name: &HeaderName) -> String {
    let letter = |c: char| match c {
        'a'..='z' => format!("[{}{c}]", c.to_ascii_uppercase()),
        c => c.to_string(),
    };
    name.as_str().chars().map(letter).collect()
}

/// A whole number between two, both included.
pub(super) fn number(least: usize, most: usize) -> String {
    let below = match least {
        0 => String::new(),
        least => format!("(?!0*({})$)", up_to(least - 1)),
    };
    format!("^{below}0*({})$", up_to(most))
}

/// A number of bytes from 1 on.
pub(super) fn size(most: usize) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1)];
    let alternatives = units.map(|(unit, bytes)| format!("({}){unit}", up_to(most / bytes)));
    format!("^(?!0+([KMG]iB)?$)0*({})$", alternatives.join("|"))
}

/// A duration. What consists of several units, or has a fraction, is not compared with the bounds.
pub(super) fn duration(most: Duration) -> String {
    let bound = |unit: u128| usize::try_from(most.as_nanos() / unit).unwrap_or(usize::MAX);
    let units = [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000)];
    let mut one = units.map(|(name, unit)| format!("({}){name}", up_to(bound(unit)))).join("|");
    // Writing to a string cannot fail.
    let _written = write!(one, "|({})ms", up_to(bound(1_000_000)));
    let unit = "(h|m|s|ms|us|µs|μs|ns)";
    let (number, fraction) = (r"([0-9]+\.?[0-9]*|\.[0-9]+)", r"([0-9]+\.[0-9]*|\.[0-9]+)");
    let least = show_duration(LEAST_TIME);
    debug_assert_eq!(least, "1ms", "the smaller units are written for it");
    format!(
        "^((?!0+[a-z]+$)0*({one})|0*[1-9][0-9]{{3,}}(us|µs|μs)|0*[1-9][0-9]{{6,}}ns|{fraction}{unit}|({number}{unit}){{2,}})$"
    )
}

/// No duration at all, in any unit.
pub(super) const ZERO: &str = "^(0|([0.]+(h|m|s|ms|us|µs|μs|ns))+)$";

/// A whole number without zeros before it, of at most so much.
fn up_to(most: usize) -> String {
    let digits = most.to_string();
    // Fewer digits, or as many that are the same up to one that is less.
    let mut alternatives = match digits.len() {
        1 => Vec::new(),
        2 => vec!["[0-9]".to_owned()],
        length => vec!["0".to_owned(), format!("[1-9][0-9]{{0,{}}}", length - 2)],
    };
    for (index, digit) in digits.char_indices() {
        let least = if index == 0 && digits.len() > 1 { '1' } else { '0' };
        let rest = digits.len() - index - 1;
        if digit > least {
            let below = char::from_u32(u32::from(digit) - 1).unwrap_or(least);
            alternatives.push(format!("{}[{least}-{below}][0-9]{{{rest}}}", &digits[..index]));
        }
    }
    alternatives.push(digits);
    alternatives.join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(pattern: &str) -> impl Fn(&str) -> bool + use<> {
        let schema = serde_json::json!({"type": "string", "pattern": pattern});
        let validator = jsonschema::draft202012::new(&schema).expect(pattern);
        move |text| validator.is_valid(&serde_json::json!(text))
    }

    #[test]
    fn numbers_are_compared_by_their_digits() {
        for most in [0_usize, 1, 9, 10, 64, 100, 168, 720, 1024] {
            for least in [0, 1, 16].into_iter().filter(|least| *least <= most) {
                let matches = matcher(&number(least, most));
                for value in 0..=(most + 11) {
                    let expected = (least..=most).contains(&value);
                    assert_eq!(
                        matches(&value.to_string()),
                        expected,
                        "{value} of {least} to {most}"
                    );
                }
                assert!(matches(&format!("00{most}")), "{most}");
                assert!(!matches("") && !matches("-1"), "{least} to {most}");
            }
        }
    }

    #[test]
    fn durations_and_sizes_are_those_that_are_read() {
        use super::super::super::units;
        let most = Duration::from_secs(168 * 3600);
        let matches = matcher(&duration(most));
        for text in [
            "1ms",
            "0s",
            "0h",
            "00s",
            "168h",
            "169h",
            "10080m",
            "10081m",
            "604800s",
            "604801s",
            "1.5h",
            ".5s",
            "1m30s",
            "999us",
            "1000us",
            "1000µs",
            "999999ns",
            "1000000ns",
            "604800000ms",
            "604800001ms",
            "5",
            "5sec",
            "1d",
            "",
            "h",
            "1h30",
            "007s",
        ] {
            let read = units::duration(text).is_some_and(|time| time >= LEAST_TIME && time <= most);
            assert_eq!(matches(text), read, "{text}");
        }
        let matches = matcher(&size(1 << 30));
        for text in [
            "0",
            "1",
            "0KiB",
            "1GiB",
            "2GiB",
            "1024MiB",
            "1025MiB",
            "8MB",
            "1073741824",
            "1073741825",
            "",
        ] {
            let read = units::size(text).is_some_and(|size| (1..=1 << 30).contains(&size));
            assert_eq!(matches(text), read, "{text}");
        }
    }
}
