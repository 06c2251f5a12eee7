//! What is sent to endpoints of OAuth: forms, and who a client is (RFC 6749, section 2.3.1 and appendix B).
//!
//! A space is `%20`, and not `+`: whoever reads forms knows both, and some only undo percent signs.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use vmcp_model::percent_encoded;

/// A form with these members.
pub fn form<'a>(members: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let member = |(name, value)| format!("{}={}", percent_encoded(name), percent_encoded(value));
    members.into_iter().map(member).collect::<Vec<_>>().join("&")
}

/// The header `Authorization` of a client that has a secret.
pub fn basic(id: &str, secret: &str) -> HeaderValue {
    let pair = [id, secret].map(percent_encoded).join(":");
    let value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)));
    let mut value = value.expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in the example of RFC 6749, appendix B, and what would be taken for something else.
    #[test]
    fn names_and_values_stay_apart() {
        assert_eq!(form([("a", " %&+£€")]), "a=%20%25%26%2B%C2%A3%E2%82%AC");
        assert_eq!(form([("token", "a=b&c"), ("x y", "")]), "token=a%3Db%26c&x%20y=");
        assert_eq!(form([]), "");
    }

    #[test]
    fn a_colon_belongs_to_neither_part() {
        let shown = basic("a:b", "p@ss w%rd");
        let text = shown.to_str().unwrap().strip_prefix("Basic ").unwrap();
        assert_eq!(STANDARD.decode(text).unwrap(), b"a%3Ab:p%40ss%20w%25rd");
        assert!(shown.is_sensitive());
    }
}
