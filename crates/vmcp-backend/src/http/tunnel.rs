//! The way to a backend through a proxy (RFC 9110, section 9.3.6, "CONNECT").

use std::fmt;

use bytes::BytesMut;
use http::StatusCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use vmcp_http1::HeadScan;

use crate::config::Proxy;

/// Interim responses before the final one.
const INTERIM: usize = 16;

/// Bytes of the head of a proxy's answer.
const HEAD: usize = 16 << 10;

/// Has a proxy connect this connection with a port of a host. The error says in one line what went wrong.
pub(super) async fn open(
    stream: &mut TcpStream,
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> Result<(), String> {
    let destination = Destination { host, port };
    let mut request =
        format!("CONNECT {destination} HTTP/1.1\r\nhost: {destination}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        request.extend_from_slice(b"proxy-authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    let broke =
        |why: String| format!("the proxy {proxy} did not connect it with {destination}: {why}");
    stream.write_all(&request).await.map_err(|error| broke(error.to_string()))?;
    let status = status(stream).await.map_err(broke)?;
    if status.is_success() {
        return Ok(());
    }
    let hint = match status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => "; check the name and password in its URL",
        _ => "",
    };
    Err(format!(
        "the proxy {proxy} refuses to connect it with {destination}: HTTP status {status}{hint}"
    ))
}

/// The status of the final answer. Nothing behind its head is read: whoever is connected speaks first.
async fn status(stream: &mut TcpStream) -> Result<StatusCode, String> {
    let (mut arrived, mut scan) = (BytesMut::with_capacity(512), HeadScan::default());
    let mut interim = 0;
    loop {
        let head = scan.response(&mut arrived).map_err(|why| why.to_string())?;
        match head {
            Some(head) if head.response.status().is_informational() => {
                interim += 1;
                if interim > INTERIM {
                    return Err(format!("it sends more than {INTERIM} interim responses"));
                }
                continue;
            }
            Some(head) => return Ok(head.response.status()),
            None if arrived.len() > HEAD => return Err("its answer has no end".to_owned()),
            None => {}
        }
        match stream.read_buf(&mut arrived).await {
            Ok(0) => return Err("it closed the connection".to_owned()),
            Ok(_more) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// A host and a port as the target of CONNECT.
struct Destination<'a> {
    host: &'a str,
    port: u16,
}

impl fmt::Display for Destination<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}
