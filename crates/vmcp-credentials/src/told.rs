//! What may be told of what a token endpoint says when it refuses: `error` and `error_description` (RFC 6749,
//! section 5.2), and nothing that was sent to it.

/// Characters that are told of a description, and of an error's name.
const LONGEST: (usize, usize) = (200, 60);

/// A piece of a secret that is this long gives it away.
const PIECE: usize = 8;

/// An error in one line: its name, and what is said of it.
pub(crate) fn told(error: &str, description: Option<&str>, secrets: &[String]) -> String {
    let Some(error) = clean(error, LONGEST.1, secrets) else {
        return "an error that cannot be told".to_owned();
    };
    match description.and_then(|text| clean(text, LONGEST.0, secrets)) {
        Some(description) => format!("{error} ({description})"),
        None => error,
    }
}

/// A text in one line, unless it gives a secret away.
#[cfg(feature = "aws")]
pub(crate) fn line(text: &str, secrets: &[String]) -> String {
    clean(text, 2 * LONGEST.0, secrets).unwrap_or_else(|| "an error that cannot be told".to_owned())
}

/// A text in one line, as much of it as may be told. None if that is nothing, or it holds a secret.
fn clean(text: &str, longest: usize, secrets: &[String]) -> Option<String> {
    // What cannot be seen could stand between the parts of a secret.
    let visible: String = text.chars().filter(|c| !c.is_control()).collect();
    if secrets.iter().any(|secret| gives_away(&visible, secret)) {
        return None;
    }
    let spaced = text.replace(|c: char| c.is_control(), " ");
    let line = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut told: String = line.chars().take(longest).collect();
    if told.len() < line.len() {
        told.push('…');
    }
    (!told.is_empty()).then_some(told)
}

/// Whether a text holds a secret, or a piece of it.
fn gives_away(text: &str, secret: &str) -> bool {
    if secret.len() <= PIECE {
        return !secret.is_empty() && text.contains(secret);
    }
    text.as_bytes()
        .windows(PIECE)
        .any(|piece| std::str::from_utf8(piece).is_ok_and(|piece| secret.contains(piece)))
}

#[cfg(test)]
mod tests {
    use super::told;

    #[track_caller]
    fn check(error: &str, description: &str, expected: &str) {
        let secrets = ["s3cret-of-the-client".to_owned(), "pw".to_owned()];
        assert_eq!(told(error, Some(description), &secrets), expected);
    }

    #[test]
    fn an_error_is_told_in_one_line() {
        check(
            "invalid_client",
            "No such\r\n\tclient.\u{1b}[31m",
            "invalid_client (No such client. [31m)",
        );
        check("invalid_client", "", "invalid_client");
        check(
            "invalid_client",
            &"x".repeat(201),
            &format!("invalid_client ({}…)", "x".repeat(200)),
        );
        check(" \n", "why", "an error that cannot be told");
    }

    #[test]
    fn what_was_sent_is_not_told() {
        check("invalid_client", "bad secret s3cret-of-the-client", "invalid_client");
        check("invalid_client", "bad secret s3cret-o", "invalid_client");
        check("invalid_client", "bad secret s3cr\u{0}et-of\nthe", "invalid_client");
        check("invalid_client", "pw is wrong", "invalid_client");
        check("s3cret-of-the-client", "why", "an error that cannot be told");
        check("invalid_client", "the secret is wrong", "invalid_client (the secret is wrong)");
    }
}
