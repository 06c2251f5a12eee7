//! What a backend says in `WWW-Authenticate` about a credential that is not enough (RFC 6750, section 3).
//! Pure.

use http::{HeaderMap, header};

/// Characters of a value that are passed on.
const LENGTH: usize = 500;

/// Why a credential is not enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Such as `insufficient_scope`.
    pub error: Box<str>,
    /// The scopes that are needed, with spaces in between.
    pub scope: Option<Box<str>>,
}

/// Reads the first challenge that names an error.
pub(super) fn denial(headers: &HeaderMap) -> Option<Denial> {
    headers.get_all(header::WWW_AUTHENTICATE).iter().find_map(|value| {
        let challenge = value.to_str().ok()?;
        let error = parameter(challenge, "error")?;
        Some(Denial { error, scope: parameter(challenge, "scope") })
    })
}

/// The value of a parameter, of characters that RFC 6750 allows in it.
fn parameter(challenge: &str, name: &str) -> Option<Box<str>> {
    let mut rest = challenge;
    while let Some(at) = rest.find('=') {
        let (before, behind) = (&rest[..at], &rest[at + 1..]);
        let found = before.trim_end().rsplit([' ', ',', '\t']).next().unwrap_or_default();
        let (value, more) = match behind.trim_start().strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => {
                let bare = behind.trim_start();
                bare.split_at(bare.find([',', ' ']).unwrap_or(bare.len()))
            }
        };
        if found.eq_ignore_ascii_case(name) {
            let allowed = |char: &char| matches!(char, ' '..='~') && !matches!(char, '"' | '\\');
            let value: String = value.chars().filter(allowed).take(LENGTH).collect();
            return if value.is_empty() { None } else { Some(value.into()) };
        }
        rest = more;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(challenge: &str, error: Option<&str>, scope: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::WWW_AUTHENTICATE, challenge.parse().unwrap());
        let found = denial(&headers);
        assert_eq!(found.as_ref().map(|denial| &*denial.error), error, "{challenge}");
        assert_eq!(found.and_then(|denial| denial.scope).as_deref(), scope, "{challenge}");
    }

    #[test]
    fn error_and_scopes_are_found_wherever_they_stand() {
        let (error, scope) = (Some("insufficient_scope"), Some("files:read files:write"));
        check(r#"Bearer error="insufficient_scope", scope="files:read files:write""#, error, scope);
        check(
            r#"Bearer realm="a=b, c",scope="files:read files:write" , error=insufficient_scope"#,
            error,
            scope,
        );
        check(r#"bearer Error = "insufficient_scope""#, error, None);
        check(r#"Bearer error="insufficient_scope", scope="""#, error, None);
        check(r#"Bearer error_description="error=x", resource_metadata="https://a/b""#, None, None);
        check("Bearer", None, None);
        check(r#"Bearer error="unfinished"#, None, None);
    }
}
