//! `publicUrl`, and the URL by which a client asks: where clients are told to get a token.

use serde_json::Value;
use vmcp_testkit::{
    client::Client,
    gateway::Gateway,
    identity::{AUDIENCE, IdentityProvider},
    peers,
    process::Process,
    raw::Running,
};

use super::{INITIALIZE, get, json};
use crate::serve;

const METADATA: &str = "/.well-known/oauth-protected-resource";

struct Fixture {
    process: Process,
    _backend: Running,
    _provider: IdentityProvider,
}

/// A gateway that asks for tokens. `oidc` holds more keys of that section.
async fn fixture(oidc: &str, sections: &str) -> Fixture {
    let backend = peers::stateful().start().await.unwrap();
    let provider = IdentityProvider::start().await.unwrap();
    let incoming = format!(
        "type: oidc, oidc: {{issuer: '{}', audience: {AUDIENCE}, insecureAllowHttp: true, \
         jwksAllowPrivateIp: true{oidc}}}",
        provider.issuer()
    );
    let gateway = Gateway::before(&[("a", backend.url())]).incoming(&incoming).with(sections);
    Fixture { process: serve(&gateway).await, _backend: backend, _provider: provider }
}

impl Fixture {
    /// Where a client without a token is sent, if it is.
    async fn sent_to(&self, headers: &[(&str, &str)]) -> Option<String> {
        let answer = Client::new(&self.process.url());
        let body = bytes::Bytes::from_static(INITIALIZE.as_bytes());
        let answer = answer.send(http::Method::POST, headers, body).await.unwrap();
        assert_eq!(answer.status(), 401, "{headers:?}");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.ends_with("scope=\"openid\""), "{challenge}");
        let url = challenge.strip_prefix("Bearer resource_metadata=\"")?;
        Some(url.split_once('"').unwrap().0.to_owned())
    }

    /// The resource of the metadata for a path, or the status without.
    async fn resource(&self, path: &str, headers: &[(&str, &str)]) -> Result<String, u16> {
        let url = self.process.url_of(&format!("{METADATA}{path}"));
        let (status, metadata) = json(&url, headers).await;
        match &metadata["resource"] {
            Value::String(resource) if status == 200 => Ok(resource.clone()),
            _ => Err(status),
        }
    }
}

#[tokio::test]
async fn clients_are_sent_to_the_public_url() {
    let fixture = fixture("", "publicUrl: https://mcp.example.com/some/prefix/").await;
    let resource = "https://mcp.example.com/some/prefix/mcp";
    let metadata = format!("https://mcp.example.com{METADATA}/some/prefix/mcp");
    // Whatever proxies say, and whether they are trusted or not.
    for headers in [
        &[][..],
        &[("x-forwarded-host", "evil.example"), ("x-forwarded-proto", "http")],
        &[("host", "mcp.example.com")],
        &[("host", "MCP.example.com:443")],
    ] {
        assert_eq!(fixture.sent_to(headers).await.as_deref(), Some(&*metadata), "{headers:?}");
        // With the path of the resource, without, and as a proxy passes it on that strips its prefix.
        for path in ["/some/prefix/mcp", "", "/mcp", "/mcp/", "/some/prefix/mcp/"] {
            let found = fixture.resource(path, headers).await;
            assert_eq!(found.as_deref(), Ok(resource), "{path} {headers:?}");
        }
    }
    for path in ["/", "/some/prefix", "/other/mcp"] {
        assert_eq!(fixture.resource(path, &[]).await, Err(404), "{path}");
    }
    assert_eq!(fixture.resource("", &[("host", "other.example.com")]).await, Err(403));
    let (status, report) = json(&fixture.process.url_of("/status"), &[]).await;
    assert_eq!(status, 200);
    assert_eq!(report["public_url"], "https://mcp.example.com/some/prefix");
    assert!(!fixture.process.log().contains("without a resource"), "{}", fixture.process.log());
}

#[tokio::test]
async fn a_resource_that_is_named_counts_before_the_public_url() {
    let oidc = ", resource: 'https://other.example.com/mcp'";
    let fixture = fixture(oidc, "publicUrl: https://mcp.example.com/some/prefix").await;
    let metadata = format!("https://other.example.com{METADATA}/mcp");
    assert_eq!(fixture.sent_to(&[]).await, Some(metadata));
    for path in ["", "/mcp", "/some/prefix/mcp", "/some/prefix/mcp/"] {
        let found = fixture.resource(path, &[("host", "mcp.example.com")]).await;
        assert_eq!(found.as_deref(), Ok("https://other.example.com/mcp"), "{path}");
    }
}

#[tokio::test]
async fn without_a_public_url_clients_are_sent_to_the_host_that_they_ask() {
    let fixture = fixture("", "allowedHosts: [mcp.example.com]").await;
    let port = fixture.process.port();
    for host in
        [format!("127.0.0.1:{port}"), format!("localhost:{port}"), "mcp.example.com".to_owned()]
    {
        let headers = [("host", &*host)];
        let metadata = format!("http://{host}{METADATA}/mcp");
        assert_eq!(fixture.sent_to(&headers).await.as_ref(), Some(&metadata));
        for path in ["", "/mcp"] {
            let found = fixture.resource(path, &headers).await;
            assert_eq!(found, Ok(format!("http://{host}/mcp")), "{path}");
        }
    }
    assert_eq!(fixture.resource("/other", &[]).await, Err(404));
    let metadata = get(&fixture.process.url_of(METADATA), &[]).await;
    assert_eq!(metadata.header("cache-control"), Some("no-store"));
    // Nobody knows by which URL somebody came who was passed on by a proxy that is not trusted.
    for headers in [
        [("x-forwarded-proto", "https")],
        [("x-forwarded-host", "mcp.example.com")],
        [("forwarded", "proto=https;host=mcp.example.com")],
        [("x-forwarded-for", "192.0.2.1")],
    ] {
        assert_eq!(fixture.sent_to(&headers).await, None, "{headers:?}");
        assert_eq!(fixture.resource("", &headers).await, Err(404), "{headers:?}");
    }
    fixture.process.logged("without a resource").await;
    let url = fixture.process.url_of(METADATA);
    let (_, told) = json(&url, &[("x-forwarded-for", "192.0.2.1")]).await;
    assert!(told.to_string().contains("set trustedProxies or publicUrl"), "{told}");
    let log = fixture.process.logged("a proxy at 127.0.0.1").await;
    assert_eq!(log.matches("is not one of trustedProxies").count(), 1, "{log}");
}

#[tokio::test]
async fn a_trusted_proxy_says_by_which_url_a_client_asks() {
    let sections =
        "trustedProxies: ['127.0.0.1']\nallowedHosts: ['mcp.example.com', 'mcp.example.com:8443']";
    let fixture = fixture("", sections).await;
    for (headers, origin) in [
        (
            &[("x-forwarded-proto", "https"), ("x-forwarded-host", "mcp.example.com")][..],
            Some("https://mcp.example.com"),
        ),
        (
            &[("host", "mcp.example.com"), ("x-forwarded-proto", "https")],
            Some("https://mcp.example.com"),
        ),
        (
            &[("forwarded", "for=192.0.2.1;proto=https;host=\"mcp.example.com:8443\"")],
            Some("https://mcp.example.com:8443"),
        ),
        (
            &[
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "evil.example, mcp.example.com"),
            ],
            Some("https://mcp.example.com"),
        ),
        (&[("x-forwarded-host", "evil.example")], None),
        (&[("x-forwarded-proto", "gopher")], None),
        (&[("x-forwarded-proto", "https"), ("forwarded", "proto=http")], None),
    ] {
        let metadata = origin.map(|origin| format!("{origin}{METADATA}/mcp"));
        assert_eq!(fixture.sent_to(headers).await, metadata, "{headers:?}");
        for path in ["", "/mcp"] {
            let expected = origin.map(|origin| format!("{origin}/mcp")).ok_or(404);
            assert_eq!(fixture.resource(path, headers).await, expected, "{path} {headers:?}");
        }
    }
    assert!(
        !fixture.process.log().contains("is not one of trustedProxies"),
        "{}",
        fixture.process.log()
    );
}
