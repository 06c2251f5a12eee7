//! nginx and HAProxy by the configurations in `deploy/`, in front of two replicas.

use std::{net::SocketAddr, process::Stdio, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    process::Command,
    sync::Semaphore,
};
use vmcp_testkit::{
    client::Client,
    gateway::Gateway,
    peers,
    process::{Process, Program, free_port},
    raw::{Answer, Call, Kind, Running, handler},
    redis::RedisServer,
};

use super::{ENVIRONMENT, PASSWORD, read};

/// A backend that counts the calls of a session, and has a tool that says something and then waits.
async fn backend() -> (Running, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let waiting = handler(move |call: Call| {
        let gate = Arc::clone(&held);
        async move {
            let _ = call.notify("notifications/message", r#"{"level":"info","data":1}"#).await;
            gate.acquire().await.unwrap().forget();
            Answer::text("waited")
        }
    });
    let definition = r#"{"name":"wait","inputSchema":{"type":"object"}}"#;
    let server = peers::stateful().offer(Kind::Tools, definition, waiting);
    (server.start().await.unwrap(), gate)
}

/// Two replicas by the compose file's configuration, and the Redis that they share.
async fn replicas(backend: &Running) -> (Vec<Process>, RedisServer) {
    let redis = RedisServer::with(&format!("requirepass {PASSWORD}")).await.unwrap();
    let config = read("deploy/compose/vmcp.yaml")
        .replace("https://mcp.example.com/mcp", &backend.url())
        .replace("redis:6379", &redis.address());
    assert!(config.contains(&backend.url()) && config.contains(&redis.address()));
    let mut program = Program::vmcp(env!("CARGO_BIN_EXE_vmcp"), &config);
    for (name, value) in ENVIRONMENT {
        program = program.environment(name, value);
    }
    (vec![program.start().await.unwrap(), program.start().await.unwrap()], redis)
}

/// A proxy's configuration with these ports in place of those of the deployment. `listen` is where
/// its own stands.
fn fitted(text: &str, replicas: &[Process], listen: &str, port: u16) -> String {
    let own = listen.trim_end_matches("8080").trim_end_matches(':');
    let mut text = text.replacen(listen, &format!("{own}127.0.0.1:{port}"), 1);
    for (at, replica) in replicas.iter().enumerate() {
        let name = format!("vmcp-{}:4483", at + 1);
        assert!(text.contains(&name), "{name}");
        text = text.replace(&name, &format!("127.0.0.1:{}", replica.port()));
    }
    assert!(text.contains(&format!("127.0.0.1:{port}")));
    text
}

#[tokio::test]
async fn nginx_needs_no_affinity() {
    let (backend, gate) = backend().await;
    let (replicas, _redis) = replicas(&backend).await;
    let directory = tempfile::tempdir().unwrap();
    let nginx = nginx(&replicas, &directory.path().to_string_lossy()).await;
    serves(&nginx, replicas, &gate).await;
}

/// nginx in front of two replicas. It keeps its files in a directory.
async fn nginx(replicas: &[Process], directory: &str) -> Process {
    let port = free_port().unwrap();
    let text = read("deploy/compose/nginx.conf");
    let text = fitted(&text, replicas, "listen 8080", port)
        .replace("pid /tmp", &format!("pid {directory}"))
        .replacen("http {", &temporary_files(directory), 1);
    let checked = Program::new("nginx", &["-t", "-e", "stderr", "-c", "{config}"]).config(&text);
    let mut checked = checked.spawn().unwrap();
    assert!(checked.wait().await.unwrap().success(), "{}", checked.log());
    // One process, which ends when it is killed.
    let arguments = ["-g", "daemon off; master_process off;", "-e", "stderr", "-c", "{config}"];
    let nginx = Program::new("nginx", &arguments).config(&text).port(port).ready_path("/health");
    nginx.start().await.unwrap()
}

/// Each address may have one session. Whatever a client writes itself, it is counted by its own.
#[tokio::test]
async fn nginx_says_who_the_client_is() {
    let (backend, _gate) = backend().await;
    let gateway = Gateway::before(&[("a", backend.url())])
        .with("trustedProxies: [127.0.0.1]\nlimits: {sessionsPerClient: 1}");
    let replica = async || gateway.start(env!("CARGO_BIN_EXE_vmcp")).await.unwrap();
    let (replicas, directory) = ([replica().await, replica().await], tempfile::tempdir().unwrap());
    let nginx = nginx(&replicas, &directory.path().to_string_lossy()).await;
    for (client, lines) in [
        ("127.0.0.5", ""),
        ("127.0.0.6", "X-Forwarded-For: 192.0.2.1\r\n"),
        ("127.0.0.7", "Forwarded: for=192.0.2.2\r\n"),
    ] {
        // One on each replica.
        let mut statuses = Vec::new();
        for number in 0..4 {
            let other = lines.replace("192.0.2.", &format!("192.0.2.{number}"));
            statuses.push(opened(client, nginx.port(), &other).await);
        }
        statuses.sort();
        assert_eq!(statuses, ["200", "200", "429", "429"], "{client} {lines:?}");
    }
    // Who is no proxy of ours may say what it likes.
    let direct = async |number| {
        let lines = format!("X-Forwarded-For: 192.0.2.{number}\r\n");
        opened("127.0.0.8", replicas[0].port(), &lines).await
    };
    assert_eq!([direct(1).await, direct(2).await], ["200", "429"]);
}

/// The status of an `initialize` that is sent from an address, with more lines in its head.
async fn opened(client: &str, port: u16, lines: &str) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(client.parse().unwrap(), 0)).unwrap();
    let mut stream = socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
    let body = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{lines}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("no status: {answer}")).to_owned()
}

/// nginx makes these at start, where its package says, if it is not told.
fn temporary_files(directory: &str) -> String {
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let lines = kinds.map(|kind| format!("{kind}_temp_path {directory}/{kind};\n"));
    format!("http {{\n{}", lines.concat())
}

/// Where HAProxy is installed.
#[tokio::test]
async fn haproxy_needs_no_affinity() {
    let version = Command::new("haproxy").arg("-v").stdout(Stdio::null()).status().await;
    if version.is_err() {
        return;
    }
    let (backend, gate) = backend().await;
    let (replicas, _redis) = replicas(&backend).await;
    let port = free_port().unwrap();
    let text = fitted(&read("deploy/haproxy.cfg"), &replicas, "bind :8080", port);
    let haproxy = Program::new("haproxy", &["-db", "-f", "{config}"]).config(&text).port(port);
    serves(&haproxy.start().await.unwrap(), replicas, &gate).await;
}

/// Whichever replica answers, the session is one; events come at once; a replica that is gone is not
/// missed.
async fn serves(proxy: &Process, mut replicas: Vec<Process>, gate: &Semaphore) {
    let client = Client::connect(&proxy.url()).await.unwrap();
    let count = async || client.call("1", "example_count", "{}").await.unwrap().text().unwrap();
    for number in 1..=6 {
        assert_eq!(count().await, number.to_string());
    }
    let mut call = client.open_call("2", "example_wait", "{}").await.unwrap();
    let said = call.message().await.unwrap().unwrap();
    assert_eq!(said.method().as_deref(), Some("notifications/message"), "before there is more");
    gate.add_permits(1);
    assert_eq!(call.answer("2").await.unwrap().text().unwrap(), "waited");

    replicas.remove(0).kill().await.unwrap();
    for number in 7..=16 {
        assert_eq!(count().await, number.to_string());
    }
    assert_eq!(client.delete().await.unwrap(), 200);
    assert_eq!(client.delete().await.unwrap(), 404);
}
