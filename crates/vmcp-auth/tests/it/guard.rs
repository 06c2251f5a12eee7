//! Where keys may be fetched from.

use vmcp_testkit::identity::{AUDIENCE, IdentityProvider};

use crate::{ask, authenticator, config, is_unavailable};

#[tokio::test]
async fn an_address_of_ones_own_network_must_be_allowed() {
    let provider = IdentityProvider::start().await.unwrap();
    let port = provider.address().port();
    let issuer = provider.issuer();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let mut guarded = config(&provider);
        guarded.allow_private_ip = false;
        // A name is judged by where it leads.
        guarded.jwks_url = Some(format!("http://{host}:{port}/keys").parse().unwrap());
        let authenticator = authenticator(&guarded);
        assert!(is_unavailable(&ask(&authenticator, &provider.token("alice")).await), "{host}");
    }
    let mut guarded = config(&provider);
    guarded.allow_private_ip = false;
    assert!(is_unavailable(&ask(&authenticator(&guarded), &provider.token("alice")).await));
    assert_eq!((provider.key_fetches(), provider.discoveries()), (0, 0), "{issuer}");
}

#[tokio::test]
async fn keys_without_tls_must_be_allowed() {
    let provider = IdentityProvider::start().await.unwrap();
    let mut guarded = config(&provider);
    guarded.allow_http = false;
    assert!(is_unavailable(&ask(&authenticator(&guarded), &provider.token("alice")).await));
    assert_eq!((provider.key_fetches(), provider.discoveries()), (0, 0));
}

#[tokio::test]
async fn a_redirect_leads_to_no_other_server() {
    let (provider, other) =
        (IdentityProvider::start().await.unwrap(), IdentityProvider::start().await.unwrap());
    other.set_keys(&[&provider.key()]);
    let port = provider.address().port();
    for (target, followed) in [
        ("/keys".to_owned(), true),
        (provider.jwks_url(), true),
        (other.jwks_url(), false),
        (format!("http://localhost:{port}/keys"), false),
        (format!("https://127.0.0.1:{port}/keys"), false),
        (format!("//{}/keys", other.address()), false),
        ("keys".to_owned(), false),
        (format!("/redirect?{}", provider.url_of("/redirect?/redirect?/redirect?/keys")), false),
    ] {
        let mut redirected = config(&provider);
        redirected.jwks_url =
            Some(provider.url_of(&format!("/redirect?{target}")).parse().unwrap());
        let answer = ask(&authenticator(&redirected), &provider.token("alice")).await;
        assert_eq!(answer.is_ok(), followed, "{target}: {answer:?}");
    }
    assert_eq!(other.key_fetches(), 0);
}

#[tokio::test]
async fn tls_needs_an_authority_that_is_trusted() {
    let provider = IdentityProvider::start_with_tls().await.unwrap();
    let token = provider.token("alice");
    let mut trusting = config(&provider);
    trusting.allow_http = false;
    trusting.ca_bundle = Some(provider.authority().as_bytes().into());
    let answer = ask(&authenticator(&trusting), &token).await;
    assert!(answer.is_ok(), "{answer:?}");
    let stranger = IdentityProvider::start_with_tls().await.unwrap();
    trusting.ca_bundle = Some(stranger.authority().as_bytes().into());
    let answer = ask(&authenticator(&trusting), &token).await;
    assert!(is_unavailable(&answer), "{AUDIENCE}: {answer:?}");
}
