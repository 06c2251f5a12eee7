//! Which arguments of a program are secrets, or hold some.

use super::is_secret_name;

/// Options whose values are `NAME=value` or `Name: value`.
const OF_PAIRS: [&str; 6] = ["-e", "--env", "-H", "--header", "--headers", "--set"];

/// How tokens of well-known services begin.
const PREFIXES: [&str; 12] = [
    "sk-",
    "pk-",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "eyJ",
    "AKIA",
    "hf_",
];

/// The shortest text that may be a token for nothing but how it looks.
const TOKEN: usize = 20;

/// Everything in the arguments that is a secret by the option that it stands behind, by its name, or by how it
/// looks.
pub(super) fn secrets(args: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (place, argument) in args.iter().enumerate() {
        let option = place.checked_sub(1).map(|before| args[before].as_str());
        let option = option.filter(|option| option.starts_with('-') && !option.contains('='));
        if option.is_some_and(is_secret_name) && !argument.starts_with("--") {
            found.push(argument.clone());
        }
        let is_pair = option.is_some_and(|option| OF_PAIRS.contains(&option));
        found.extend(of_pair(argument, is_pair));
        found.extend(of_url(argument));
        if looks_like_token(argument) {
            found.push(argument.clone());
        }
    }
    found
}

/// The secrets in a URL: who is named before its host, and what its query holds.
pub(super) fn of_url(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let Some((_, rest)) = text.split_once("://") else { return found };
    if let Some((user, _)) = rest.rsplit_once('@') {
        found.push(user.to_owned());
        found.extend(user.split_once(':').map(|(_, password)| password.to_owned()));
    }
    if let Some((_, query)) = rest.split_once('?') {
        let values = query.split('&').filter_map(|pair| pair.split_once('='));
        found.extend(values.map(|(_, value)| value.to_owned()));
    }
    found
}

/// What `NAME=value`, `--name=value`, `Name: value` or `a=b;Password=c` holds. `is_secret` says that any value
/// is one.
fn of_pair(argument: &str, is_secret: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut add = |name: &str, value: &str| {
        let names_pair = OF_PAIRS.contains(&name);
        if is_secret || names_pair || is_secret_name(name) {
            found.push(value.to_owned());
            // Behind a scheme, a name or a header's name stands what counts.
            let last = value.rsplit([' ', '=', ':']).next().unwrap_or_default();
            found.push(last.to_owned());
        }
    };
    for part in argument.split(';') {
        if let Some((name, value)) = part.split_once('=') {
            add(name.trim(), value.trim());
        } else if let Some((name, value)) = part.split_once(": ") {
            add(name.trim(), value.trim());
        }
    }
    found
}

fn looks_like_token(argument: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b"-_+=".contains(&b);
    let has = |is: fn(&u8) -> bool| argument.bytes().any(|b| is(&b));
    let is_random = argument.len() >= TOKEN
        && !argument.starts_with('-')
        && argument.bytes().all(is_part)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit);
    PREFIXES.iter().any(|prefix| argument.starts_with(prefix)) || is_random
}
