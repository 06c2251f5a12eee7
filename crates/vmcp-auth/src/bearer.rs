//! The token of a request: the header `Authorization: Bearer` (RFC 6750, section 2.1) or `DPoP` (RFC 9449,
//! section 7.1), and no other place.

use http::{HeaderMap, header};
use vmcp_wire::Fault;

use crate::verify::{MAX_TOKEN, Refusal};

/// How a token is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Whoever has it may use it.
    Bearer,
    /// With a proof of the key that it is bound to.
    Dpop,
}

/// The token that a request carries for whoever has it.
pub(crate) fn token(headers: &HeaderMap) -> Result<&str, Fault> {
    match shown(headers)? {
        (Scheme::Bearer, token) => Ok(token),
        (Scheme::Dpop, _) => Err(Fault::Unauthenticated),
    }
}

/// The token that a request carries, and how it is shown.
pub(crate) fn shown(headers: &HeaderMap) -> Result<(Scheme, &str), Fault> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Fault::Unauthenticated)?;
    if values.next().is_some() {
        return Err(Fault::InvalidRequest("more than one Authorization header".into()));
    }
    let not_a_token = Fault::InvalidToken(Refusal::NotAJwt.why());
    let value = value.to_str().map_err(|_error| not_a_token)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    let token = token.trim_matches(' ');
    let scheme = if scheme.eq_ignore_ascii_case("bearer") {
        Scheme::Bearer
    } else if scheme.eq_ignore_ascii_case("dpop") {
        Scheme::Dpop
    } else {
        return Err(Fault::Unauthenticated);
    };
    if token.is_empty() {
        return Err(Fault::Unauthenticated);
    }
    if token.len() > MAX_TOKEN {
        return Err(Fault::InvalidToken(Refusal::TooLong.why()));
    }
    Ok((scheme, token))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
    use vmcp_wire::Fault;

    use super::{Scheme, shown, token};

    fn of(values: &[&[u8]]) -> Result<String, Fault> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        token(&headers).map(str::to_owned)
    }

    #[test]
    fn a_token_stands_behind_the_word_bearer() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c  "] {
            assert_eq!(of(&[value.as_bytes()]), Ok("a.b.c".to_owned()), "{value}");
        }
        for value in ["", "Bearer", "Bearer ", "Basic YTpi", "a.b.c", "Bearera.b.c"] {
            assert_eq!(of(&[value.as_bytes()]), Err(Fault::Unauthenticated), "{value}");
        }
        assert_eq!(of(&[]), Err(Fault::Unauthenticated));
    }

    #[test]
    fn a_token_may_be_shown_with_a_proof() {
        let headers =
            |value| HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
        assert_eq!(shown(&headers("DPoP a.b.c")), Ok((Scheme::Dpop, "a.b.c")));
        assert_eq!(shown(&headers("dpop a.b.c")), Ok((Scheme::Dpop, "a.b.c")));
        assert_eq!(shown(&headers("DPoP")), Err(Fault::Unauthenticated));
        // Those who ask for a bearer of one take no other.
        assert_eq!(token(&headers("DPoP a.b.c")), Err(Fault::Unauthenticated));
    }

    #[test]
    fn what_cannot_be_a_token_is_refused() {
        assert!(matches!(of(&[b"Bearer \xff"]), Err(Fault::InvalidToken(_))));
        let long = format!("Bearer {}", "a".repeat(16 * 1024 + 1));
        assert!(matches!(of(&[long.as_bytes()]), Err(Fault::InvalidToken(_))));
        let twice = of(&[b"Bearer a.b.c", b"Bearer a.b.c"]);
        assert!(matches!(twice, Err(Fault::InvalidRequest(_))), "{twice:?}");
    }
}
