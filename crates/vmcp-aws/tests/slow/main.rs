//! Keys and signatures before somebody else's STS (PyPI's moto), which checks what it is sent.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests share fails them just as they fail themselves"
)]

use std::{path::Path, time::Duration, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use vmcp_aws::{Assume, Keys, RoleArn, Scope};
use vmcp_fetch::{Fetcher, Rules};
use vmcp_testkit::{
    client::Client,
    process::{Process, Program},
};

const WHO: &str = "Action=GetCallerIdentity&Version=2011-06-15";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// STS, which takes this many requests without a signature from now on.
async fn sts(alone: u32) -> Process {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/aws/run");
    let sts = Program::new(tool, &["{port}"]).ready_path("/assumed").start().await.unwrap();
    for (path, asked) in [
        ("/roles", r#"{"name": "reader"}"#.to_owned()),
        ("/alone", format!(r#"{{"count": {alone}}}"#)),
    ] {
        let client = Client::new(&sts.url_of(path));
        let answer = client.send(Method::POST, &[], asked.into()).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    sts
}

async fn keys(sts: &Process) -> Keys {
    let rules =
        Rules { ca_bundle: None, allow_private_ip: true, private_ip_key: "", allow_http: true };
    let role = RoleArn::parse("arn:aws:iam::123456789012:role/reader").unwrap();
    let assume = Assume {
        role: &role,
        session_name: "alice",
        token: "a.b.c",
        duration: Duration::from_secs(900),
    };
    let endpoint = sts.url_of("/").parse().unwrap();
    let (keys, expires) = assume.ask(&Fetcher::new(rules), &endpoint).await.unwrap();
    let left = expires.duration_since(SystemTime::now()).unwrap().as_secs();
    assert!((890..=900).contains(&left), "{left}");
    keys
}

/// Asks STS who it is that has signed this.
async fn who(sts: &Process, body: &str, headers: &HeaderMap) -> (StatusCode, String) {
    let mut shown = vec![FORM, ("accept", "text/xml")];
    shown.extend(headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())));
    let client = Client::new(&sts.url_of("/"));
    let answer = client.send(Method::POST, &shown, Bytes::copy_from_slice(body.as_bytes()));
    let answer = answer.await.unwrap();
    let status = answer.status();
    (status, String::from_utf8(answer.bytes().await.unwrap().to_vec()).unwrap())
}

fn signed(keys: &Keys, sts: &Process, body: &str) -> HeaderMap {
    let scope = Scope { region: "us-east-1".into(), service: "sts".into() };
    let target: Uri = sts.url_of("/").parse().unwrap();
    let request = (&Method::POST, &target, body.as_bytes());
    keys.sign(&scope, request, SystemTime::now()).unwrap().into_iter().collect()
}

#[tokio::test]
async fn what_is_signed_is_taken_and_nothing_else() {
    let sts = sts(1).await;
    let keys = keys(&sts).await;
    let headers = signed(&keys, &sts, WHO);
    let (status, said) = who(&sts, WHO, &headers).await;
    assert_eq!(status, 200, "{said}");
    assert!(said.contains("assumed-role/reader/alice"), "{said}");
    // Another body, other keys, and no signature.
    let (status, said) = who(&sts, &format!("{WHO}&a=b"), &headers).await;
    assert_eq!(status, 403, "{said}");
    assert!(said.contains("SignatureDoesNotMatch"), "{said}");
    let shown = headers["authorization"].to_str().unwrap();
    let (_, id) = shown.split_once("Credential=").unwrap();
    let (id, _) = id.split_once('/').unwrap();
    let strange = Keys::new(id, "secret", headers["x-amz-security-token"].to_str().unwrap());
    let (status, said) = who(&sts, WHO, &signed(&strange, &sts, WHO)).await;
    assert_eq!(status, 403, "{said}");
    let (status, said) = who(&sts, WHO, &HeaderMap::new()).await;
    assert!(!status.is_success(), "{said}");
}
