//! What goes over the wire.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::*;

/// The requests that are sent when each is answered with `answer`.
async fn sent<T>(peer: &Peer, answer: &str, send: impl Future<Output = T>) -> String {
    let serving = async {
        let mut accepted = peer.accept().await;
        let asked = accepted.asked().await;
        accepted.say(answer).await;
        asked.replace(&peer.listener.local_addr().unwrap().to_string(), "HOST")
    };
    let (_answered, asked) = tokio::join!(send, serving);
    asked.replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

fn session(id: Option<&str>) -> Session {
    Session::resumed(id, ProtocolVersion::LATEST_LEGACY, Facts::default().into()).unwrap()
}

const CLOSING: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_request_is_written_as_it_should_be() {
    let peer = Peer::start().await;
    let one = session(Some("one"));
    let asked = sent(&peer, CLOSING, peer.http.post(Some(&one), "{}".into(), true, None)).await;
    assert_eq!(
        asked,
        "POST /mcp?a=1 HTTP/1.1\r\nhost: HOST\r\naccept-encoding: identity\r\nuser-agent: vmcp/VERSION\r\n\
         mcp-protocol-version: 2025-11-25\r\nmcp-session-id: one\r\n\
         content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
         content-length: 2\r\n\r\n{}"
    );
    let asked = sent(&peer, CLOSING, peer.http.post(None, Bytes::new(), true, None)).await;
    assert!(asked.ends_with("\r\ncontent-length: 0\r\n\r\n"), "{asked}");
    let asked = sent(&peer, CLOSING, peer.http.listen(&session(None), Some("7"))).await;
    assert_eq!(
        asked,
        "GET /mcp?a=1 HTTP/1.1\r\nhost: HOST\r\naccept-encoding: identity\r\nuser-agent: vmcp/VERSION\r\n\
         mcp-protocol-version: 2025-11-25\r\naccept: text/event-stream\r\nlast-event-id: 7\r\n\r\n"
    );
    let asked = sent(&peer, CLOSING, peer.http.delete(&one)).await;
    assert_eq!(
        asked,
        "DELETE /mcp?a=1 HTTP/1.1\r\nhost: HOST\r\naccept-encoding: identity\r\nuser-agent: vmcp/VERSION\r\n\
         mcp-protocol-version: 2025-11-25\r\nmcp-session-id: one\r\n\r\n"
    );
}

#[tokio::test]
async fn configured_headers_are_carried_and_lines_come_before_them() {
    let peer = Peer::with(|endpoint| {
        endpoint.headers = HeaderMap::from_iter([
            (header::AUTHORIZATION, HeaderValue::from_static("Bearer x")),
            (HeaderName::from_static("mcp-method"), HeaderValue::from_static("other")),
        ]);
    })
    .await;
    let mut lines = Lines::new("tools/call", Some("add"));
    lines.add_parameter(HeaderName::from_static("mcp-param-a"), HeaderValue::from_static("1"));
    let modern = Session::stateless(&crate::ClientView::modern_nobody(), Facts::default().into());
    let asking = peer.http.post(Some(&modern), "{}".into(), true, Some(&lines));
    let asked = sent(&peer, CLOSING, asking).await;
    assert_eq!(asked.matches("mcp-method: ").count(), 1, "{asked}");
    assert_eq!(asked.matches("mcp-protocol-version: 2026-07-28\r\n").count(), 1, "{asked}");
    for line in
        ["authorization: Bearer x", "mcp-method: tools/call", "mcp-name: add", "mcp-param-a: 1"]
    {
        assert!(asked.contains(&format!("\r\n{line}\r\n")), "{asked}");
    }
}

#[tokio::test]
async fn a_url_without_a_path_has_a_target() {
    for (url, target) in [("", "/"), ("?a=1", "/?a=1"), ("/", "/")] {
        let peer = Peer::with(|endpoint| {
            let authority = endpoint.url.authority().unwrap();
            endpoint.url = format!("http://{authority}{url}").parse().unwrap();
        })
        .await;
        let asked = sent(&peer, CLOSING, peer.ask("{}")).await;
        assert!(asked.starts_with(&format!("POST {target} HTTP/1.1\r\n")), "{asked}");
    }
}

#[tokio::test]
async fn a_body_of_any_size_arrives() {
    let peer = Peer::start().await;
    for size in [2048, 2049, 100_000, 4 << 20] {
        let text = "x".repeat(size);
        let asked = sent(&peer, CLOSING, peer.ask(text.clone())).await;
        let (head, body) = asked.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {size}")), "{head}");
        assert!(body == text, "{} bytes", body.len());
    }
}

#[tokio::test]
async fn redirects_are_followed_on_the_same_host() {
    let peer = Peer::start().await;
    let serving = async {
        let mut accepted = peer.accept().await;
        for _redirect in 0..3 {
            accepted.asked().await;
            let to = "location: /b\r\ncontent-length: 0";
            accepted.say(format!("HTTP/1.1 307 Temporary Redirect\r\n{to}\r\n\r\n")).await;
        }
        let asked = accepted.asked().await;
        accepted.say(OK).await;
        asked
    };
    let (answered, asked) = tokio::join!(peer.ask("{}"), serving);
    assert_eq!(answered.unwrap().1, "{}");
    assert!(asked.starts_with("POST /b HTTP/1.1\r\n") && asked.ends_with("\r\n\r\n{}"), "{asked}");
}

#[tokio::test]
async fn redirects_have_a_bound() {
    let peer = Peer::start().await;
    let serving = async {
        let mut accepted = peer.accept().await;
        while accepted.asked_or_closed().await.is_some() {
            let to = "location: /mcp\r\ncontent-length: 0";
            accepted.say(format!("HTTP/1.1 308 Permanent Redirect\r\n{to}\r\n\r\n")).await;
        }
    };
    let answered = tokio::select! {
        answered = peer.ask("{}") => answered,
        () = serving => panic!("the connection goes on"),
    };
    assert_eq!(answered.unwrap_err().to_string(), "redirects more than 3 times");
}

#[tokio::test]
async fn a_secret_is_not_shown() {
    let value = HeaderValue::from_static("s3cret");
    let outgoing = vmcp_credentials::Config::Header { name: header::AUTHORIZATION, value };
    let peer = Peer::with(|endpoint| endpoint.outgoing = outgoing).await;
    assert!(!format!("{:?}", peer.http).contains("s3cret"));
    let asked = sent(&peer, CLOSING, peer.http.post(None, "{}".into(), true, None)).await;
    assert!(asked.contains("\r\nauthorization: s3cret\r\n"), "{asked}");
    assert_eq!(Method::POST.as_str(), &asked[..4]);
}

/// Who reads the message can write the right URL, and learns nothing that is secret.
#[tokio::test]
async fn redirects_that_are_not_followed_say_where_they_lead() {
    for (status, to, expected) in [
        (
            307,
            "https://u:s3cret@login.example:8443/in?token=s3cret",
            "redirects to https://login.example:8443/in, which is not followed, as its credential is not for another host; if that is its address, write it as its URL",
        ),
        (
            302,
            "/login?next=s3cret",
            "refused the request with HTTP status 302: redirects to /login; if that is its address, write it as its URL",
        ),
    ] {
        let peer = Peer::start().await;
        let serving = async {
            let mut accepted = peer.accept().await;
            accepted.asked().await;
            let to = format!("location: {to}\r\ncontent-length: 0");
            accepted.say(format!("HTTP/1.1 {status} Elsewhere\r\n{to}\r\n\r\n")).await;
        };
        let (answered, ()) = tokio::join!(peer.ask("{}"), serving);
        assert_eq!(answered.unwrap_err().to_string(), expected);
    }
}
