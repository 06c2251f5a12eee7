//! How programs end, of themselves and when they are told to.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;
use vmcp_testkit::{
    CHILD,
    client::fetch,
    gateway::{Gateway, eventually},
};

use super::{Kid, error, gateway, is_running, kid, processes, text, zombies};
use crate::connect;

#[tokio::test]
async fn a_program_that_is_killed_in_mid_call_breaks_that_call_only() {
    let kid = kid("", "", "").await;
    let (client, other) = (kid.client().await, kid.client().await);
    let pid: i32 = text(&client.call("1", "kid_pid", "{}").await.unwrap()).parse().unwrap();
    other.call("1", "kid_count", "{}").await.unwrap();
    let sleeping = client.call("2", "kid_sleep", r#"{"ms":20000}"#);
    let killing = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    };
    let (broken, ()) = tokio::join!(sleeping, killing);
    let told = error(&broken.unwrap());
    assert!(told.contains("backend kid") && told.contains("SIGKILL"), "{told}");
    assert!(told.contains("whether the call ran is unknown"), "{told}");
    // Its state was in its memory; the session goes on with a new one.
    assert_eq!(text(&client.call("3", "kid_count", "{}").await.unwrap()), "1");
    assert_eq!(text(&other.call("2", "kid_count", "{}").await.unwrap()), "2");
    assert_eq!(zombies(kid.process.pid()), 0);
}

#[tokio::test]
async fn a_program_ends_with_its_session_even_if_it_resists() {
    let kid = kid("'--stubborn', ", "", "").await;
    let client = kid.client().await;
    let pid: i32 = text(&client.call("1", "kid_pid", "{}").await.unwrap()).parse().unwrap();
    let began = Instant::now();
    assert_eq!(client.delete().await.unwrap(), 200);
    eventually("the program has ended", async || (!is_running(pid)).then_some(())).await;
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(3), "it was given its time: {took:?}");
    // It may have ended a moment before it is waited for.
    let waited = async || (zombies(kid.process.pid()) == 0).then_some(());
    eventually("it is waited for", waited).await;
    // The one that is watched resists, too.
    assert!(kid.process.terminate().await.unwrap().success());
}

#[tokio::test]
async fn nothing_is_left_when_the_gateway_ends() {
    let kid = kid("'--stubborn', ", "", "").await;
    let client = kid.client().await;
    let spawned: i32 = text(&client.call("1", "kid_spawn", "{}").await.unwrap()).parse().unwrap();
    assert!(!kid.processes().is_empty() && is_running(spawned));
    assert!(kid.process.terminate().await.unwrap().success());
    assert_eq!(processes(&kid.tag), Vec::<i32>::new());
    assert!(!is_running(spawned));
}

#[tokio::test]
async fn what_a_program_has_started_ends_with_it() {
    let kid = kid("", "", "").await;
    let client = kid.client().await;
    let spawned: i32 = text(&client.call("1", "kid_spawn", "{}").await.unwrap()).parse().unwrap();
    assert!(error(&client.call("2", "kid_die", "{}").await.unwrap()).contains("SIGKILL"));
    eventually("it has ended", async || (!is_running(spawned)).then_some(())).await;
}

#[tokio::test]
async fn an_idle_program_ends_and_is_started_again_for_the_next_call() {
    let kid = kid("", ", processIdle: 300ms", "sessions: {ttl: 4s}").await;
    let client = kid.client().await;
    let pid: i32 = text(&client.call("1", "kid_pid", "{}").await.unwrap()).parse().unwrap();
    eventually("it has ended", async || (!is_running(pid)).then_some(())).await;
    assert_eq!(text(&client.call("2", "kid_count", "{}").await.unwrap()), "1");
}

#[tokio::test]
async fn an_idle_program_ends_in_time_however_long_sessions_live() {
    let kid = kid("", ", processIdle: 300ms", "sessions: {ttl: 24h}").await;
    let client = kid.client().await;
    let pid: i32 = text(&client.call("1", "kid_pid", "{}").await.unwrap()).parse().unwrap();
    let ended = eventually("it has ended", async || (!is_running(pid)).then_some(()));
    tokio::time::timeout(Duration::from_secs(15), ended).await.unwrap();
}

#[tokio::test]
async fn there_are_no_more_programs_than_there_may_be() {
    let kid = kid("", "", "limits: {linksPerBackend: 2}").await;
    // The one that was asked for what is offered ends for them.
    let (one, another) = (kid.client().await, kid.client().await);
    for client in [&one, &another] {
        assert_eq!(text(&client.call("1", "kid_count", "{}").await.unwrap()), "1");
    }
    let other = kid.client().await;
    let told = error(&other.call("1", "kid_count", "{}").await.unwrap());
    assert!(
        told.contains("2 processes running already (limits.linksPerBackend); try again later"),
        "{told}"
    );
    assert_eq!(kid.processes().len(), 2);
    assert_eq!(kid.status().await["state"], "healthy");
    assert_eq!(one.delete().await.unwrap(), 200);
    eventually("there is room", async || {
        let answer = other.call("2", "kid_count", "{}").await.unwrap().json();
        answer["result"].is_object().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_program_that_cannot_work_is_reported_with_what_it_said() {
    let kid = kid("'--die', ", "", "").await;
    let client = kid.client().await;
    let tools = client.request("1", "tools/list", "{}").await.unwrap();
    assert_eq!(tools.json()["result"]["tools"], serde_json::json!([]));
    let last = kid.status().await["last_error"].as_str().unwrap_or_default().to_owned();
    assert_eq!(last, "ended (exit status: 1): cannot work like this");
    kid.process.logged("cannot work like this").await;
}

#[tokio::test]
async fn a_program_that_cannot_work_any_more_is_not_started_for_every_call() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("broken");
    let kid = kid(&format!("'--die-if={}', ", file.display()), "", "").await;
    let client = kid.client().await;
    assert_eq!(text(&client.call("0", "kid_count", "{}").await.unwrap()), "1");
    fs::write(&file, "").unwrap();
    assert!(error(&client.call("1", "kid_die", "{}").await.unwrap()).contains("SIGKILL"));
    for _ in 0..3 {
        let told = error(&client.call("2", "kid_count", "{}").await.unwrap());
        assert!(told.contains("ended (exit status: 1): cannot work like this"), "{told}");
    }
    let told = error(&client.call("3", "kid_count", "{}").await.unwrap());
    assert!(told.contains("cannot work like this; 3 times in a row before it served"), "{told}");
    fs::remove_file(&file).unwrap();
    eventually("it works again", async || {
        let answer = client.call("4", "kid_count", "{}").await.unwrap().json();
        answer["result"].is_object().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let gateway = Gateway::before(&[])
        .backend("name: kid, command: no-such-program, args: ['--token=s3cret']");
    let process = crate::serve(&gateway).await;
    eventually("it is said", async || {
        let log = process.log();
        let told = "cannot start \\\"no-such-program\\\": No such file or directory";
        (log.contains(told) && log.contains("is it installed")).then_some(())
    })
    .await;
    assert!(!process.log().contains("s3cret"));
}

/// What cannot be started is said to be so in words that help.
#[tokio::test]
async fn a_program_that_cannot_be_started_is_told_with_its_reason() {
    let directory = tempfile::tempdir().unwrap();
    let plain = directory.path().join("plain");
    fs::write(&plain, "echo").unwrap();
    for (command, told) in [
        (directory.path().display().to_string(), "Is a directory"),
        (plain.display().to_string(), "is it executable (chmod +x)?"),
        ("python3 -m server".to_owned(), "put arguments into args"),
        ("./no-such-program".to_owned(), "is it installed, and in PATH?"),
    ] {
        let gateway = Gateway::before(&[]).backend(&format!("name: kid, command: '{command}'"));
        let process = crate::serve(&gateway).await;
        let client = connect(&process).await;
        client.request("1", "tools/list", "{}").await.unwrap();
        let (_, status) = fetch(&process.url_of("/status")).await.unwrap();
        let status = String::from_utf8(status.to_vec()).unwrap();
        assert!(status.contains(told), "{command}: {status}");
    }
}

#[tokio::test]
async fn a_program_is_looked_up_in_the_path_of_vmcp() {
    let directory = tempfile::tempdir().unwrap();
    let server = directory.path().join("a-server-of-its-own");
    fs::write(&server, format!("#!/bin/sh\nexec python3 '{CHILD}'\n")).unwrap();
    fs::set_permissions(&server, fs::Permissions::from_mode(0o755)).unwrap();
    let gateway = Gateway::before(&[]).backend("name: kid, command: a-server-of-its-own");
    let path = format!("{}:/usr/bin:/bin", directory.path().display());
    let program = gateway.program(env!("CARGO_BIN_EXE_vmcp")).environment("PATH", &path);
    let process = program.start().await.unwrap();
    let client = connect(&process).await;
    assert_eq!(text(&client.call("1", "kid_count", "{}").await.unwrap()), "1");
}

#[tokio::test]
async fn lines_that_are_no_message_do_no_harm() {
    let kid = kid("'--greet', ", "", "").await;
    let client = kid.client().await;
    assert_eq!(text(&client.call("1", "kid_garbage", r#"{"lines":20}"#).await.unwrap()), "written");
    assert_eq!(text(&client.call("2", "kid_count", "{}").await.unwrap()), "1");
    assert_eq!(
        text(&client.call("3", "kid_garbage", r#"{"lines":2000}"#).await.unwrap()),
        "written"
    );
    assert_eq!(text(&client.call("4", "kid_count", "{}").await.unwrap()), "2");
}

/// The call gets an error that says so, and the program goes on.
#[tokio::test]
async fn an_answer_that_is_too_long_is_that_calls_error() {
    for keys in ["", ", isolation: shared"] {
        let kid = kid("", keys, "limits: {eventBytes: 256KiB}").await;
        let client = kid.client().await;
        assert_eq!(text(&client.call("1", "kid_count", "{}").await.unwrap()), "1");
        for bytes in [300_000, 3_000_000] {
            let arguments = format!(r#"{{"bytes":{bytes}}}"#);
            let error = client.call("2", "kid_big", &arguments).await.unwrap().json();
            let told = error["error"]["message"].as_str().unwrap();
            assert!(told.contains("more than 262144 bytes"), "{error}");
        }
        assert_eq!(text(&client.call("3", "kid_count", "{}").await.unwrap()), "2");
        // It may be endless.
        let error = client.call("4", "kid_big", r#"{"bytes":6000000}"#).await.unwrap().json();
        assert!(error["error"]["message"].is_string(), "{error}");
    }
}

#[tokio::test]
async fn a_program_that_writes_nothing_but_garbage_is_reported() {
    for (habit, told) in [
        ("'--garbage', ", "writes what is no MCP message to its standard output"),
        ("'--long-line', ", "writes what is no MCP message to its standard output"),
    ] {
        let kid = kid(habit, "", "limits: {eventBytes: 1MiB}").await;
        kid.client().await;
        eventually(told, async || kid.process.log().contains(told).then_some(())).await;
        assert!(kid.process.memory().unwrap() < 64 << 20);
    }
}

#[tokio::test]
async fn a_program_that_reads_no_more_is_ended_and_started_again() {
    for keys in ["", ", isolation: shared"] {
        let kid = kid("", keys, "").await;
        let client = kid.client().await;
        let pid = text(&client.call("1", "kid_pid", "{}").await.unwrap());
        // It may end over it.
        client.call("2", "kid_close", "{}").await.unwrap();
        eventually("it goes on", async || {
            let answer = client.call("3", "kid_pid", "{}").await.unwrap().json();
            let found = answer["result"]["content"][0]["text"].as_str()?;
            (found != pid).then_some(())
        })
        .await;
        let pid: i32 = pid.parse().unwrap();
        eventually("the old one has ended", async || (!is_running(pid)).then_some(())).await;
    }
}

#[tokio::test]
async fn a_flood_of_answers_that_nobody_waits_for_costs_little() {
    let kid = kid("", "", "").await;
    let (client, other) = (kid.client().await, kid.client().await);
    other.call("0", "kid_echo", "{}").await.unwrap();
    let before = kid.process.cpu_time().unwrap();
    let flooding = client.call("1", "kid_flood", r#"{"ms":1500}"#);
    let calling = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        other.call("1", "kid_count", "{}").await.unwrap()
    };
    let patience = tokio::time::timeout(Duration::from_secs(30), flooding);
    let (_flooded, called) = tokio::join!(patience, calling);
    assert_eq!(text(&called), "1");
    let used = kid.process.cpu_time().unwrap() - before;
    assert!(used < Duration::from_millis(700), "{used:?}");
}

/// However vmcp ends, and whatever a program makes of the end of its input.
#[tokio::test]
async fn programs_end_when_vmcp_is_killed() {
    let serving = kid("'--stubborn', ", "", "").await;
    let client = serving.client().await;
    client.call("1", "kid_count", "{}").await.unwrap();
    let (_, tag) = gateway("", "");
    let starting =
        format!("name: kid, command: sh, args: ['-c', 'while :; do sleep 1; done', '{tag}']");
    let starting = Gateway::before(&[]).backend(&starting).program(env!("CARGO_BIN_EXE_vmcp"));
    let starting = Kid { process: starting.start().await.unwrap(), tag };
    for kid in [serving, starting] {
        let running = eventually("it runs", async || {
            let found = kid.processes();
            (!found.is_empty()).then_some(found)
        })
        .await;
        kid.process.kill().await.unwrap();
        eventually("they end", async || running.iter().all(|pid| !is_running(*pid)).then_some(()))
            .await;
    }
}
