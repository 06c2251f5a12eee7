//! Very many users, of whom every backend is shown a token of their own: what one costs, that nobody sees
//! what is another's, and that nothing is left of those who are gone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;
use vmcp_testkit::{client, gateway::eventually, process::Process};

use crate::serve;

mod user;
mod world;

use user::{Era, Times, User};
use world::{BACKENDS, World};

/// Users, unless `VMCP_TEST_CALLERS` says how many.
const USERS: usize = 200;
/// Users who come before any is counted.
const FIRST: usize = 2 * WORKERS;
/// Who come at once.
const WORKERS: usize = 16;
/// Before this long no session may expire on any machine; on a slow one they are given more.
const TTL: Duration = Duration::from_secs(5);
/// How long to wait for what must come: long, as waiting is cheap.
const PATIENCE: Duration = Duration::from_secs(300);
/// After so long what was given for a token is forgotten that nobody uses.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// What part of a visit is rehearsed.
const REHEARSED: usize = 10;
/// Bytes that a user may cost for whom ten backends have lists and tokens.
const EACH: u64 = 192 << 10;
/// Bytes that a user who has gone may leave behind: less than what one takes, more than what the allocator's
/// arenas differ by between two visits of so few.
const KEPT: u64 = 80 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn users_with_sessions_see_what_is_theirs_and_leave_nothing() {
    visits(Era::Legacy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_without_sessions_see_what_is_theirs_and_leave_nothing() {
    visits(Era::Modern).await;
}

/// All users come and go, and come again with the tokens that they had.
async fn visits(era: Era) {
    let world = World::start().await;
    let count = users();
    let everybody = world.users("u", count);
    let ttl = ttl(&world, era, &everybody).await;
    let vmcp = serve(&world.gateway(ttl)).await;
    // The first pay for what all share: connections, the allocator's arenas.
    come(&vmcp, &world.visitors("first", FIRST), era).await;
    let (before, asked) = (vmcp.memory().unwrap(), world.endpoint.count());
    let began = Instant::now();
    let first = visit(&world, &vmcp, &everybody, era, before).await;
    let given = world.endpoint.count() - asked;
    assert_eq!(given, (count * BACKENDS) as u64, "once for a user and a backend");
    until_gone(&world, &vmcp, ttl).await;
    let left = each(vmcp.memory().unwrap(), before, count);
    println!("when they are gone, {} KiB a user are left", left >> 10);
    let second = visit(&world, &vmcp, &everybody, era, before).await;
    assert!(first < EACH, "{first} bytes a user");
    assert!(second < first + KEPT, "{first} bytes a user at first, {second} the second time");
    // So long only those who are very many take.
    if began.elapsed() < FORGOTTEN {
        assert_eq!(
            world.endpoint.count() - asked,
            given,
            "the tokens that were given are used again"
        );
    }
}

/// All come, and some leave. Gives how much memory one takes.
async fn visit(
    world: &World,
    vmcp: &Process,
    everybody: &[Arc<User>],
    era: Era,
    before: u64,
) -> u64 {
    let (mut met, mut added) = (0, 0);
    for until in [10, 5, 2, 1].map(|part| everybody.len() / part) {
        let (began, asked) = (Instant::now(), world.endpoint.count());
        let worked = vmcp.cpu_time().unwrap();
        let users = &everybody[met..until];
        let times = come(vmcp, users, era).await;
        met = until;
        let took = began.elapsed();
        let worked = (vmcp.cpu_time().unwrap() - worked) / u32::try_from(users.len()).unwrap();
        let expected = World::expected(&everybody[..met], era);
        eventually("the backends have sessions of those alone who use them", async || {
            (world.sessions() == expected).then_some(())
        })
        .await;
        let memory = vmcp.memory().unwrap();
        added = each(memory, before, met);
        println!(
            "{met} users: {} MiB, {} KiB a user, {} tokens asked for, {expected} backend sessions, {} tasks, {worked:?} of the processor a user; {took:?}: {}",
            memory >> 20,
            added >> 10,
            world.endpoint.count() - asked,
            status(vmcp).await["tasks"],
            Times::told(times),
        );
    }
    added
}

/// These users come.
async fn come(vmcp: &Process, users: &[Arc<User>], era: Era) -> Vec<Times> {
    let mut workers = tokio::task::JoinSet::new();
    let next = Arc::new(AtomicUsize::new(0));
    for _worker in 0..WORKERS {
        let (users, next, url) = (users.to_vec(), Arc::clone(&next), vmcp.url());
        workers.spawn(async move {
            let mut times = Vec::new();
            while let Some(user) = users.get(next.fetch_add(1, Relaxed)) {
                times.push(user.visit(&url, era).await);
            }
            times
        });
    }
    workers.join_all().await.into_iter().flatten().collect()
}

/// How long sessions have to live so that none expires while all come: several times what that takes on
/// this machine now, by a small part of them on a process of its own.
async fn ttl(world: &World, era: Era, everybody: &[Arc<User>]) -> Duration {
    let vmcp = serve(&world.gateway(PATIENCE)).await;
    come(&vmcp, &world.visitors("before", FIRST), era).await;
    let began = Instant::now();
    come(&vmcp, &everybody[..everybody.len() / REHEARSED], era).await;
    let all = began.elapsed() * u32::try_from(REHEARSED).unwrap();
    vmcp.terminate().await.unwrap();
    println!("all come within about {all:?}");
    TTL.max(all * 4)
}

/// Waits until every session has expired and every view of a caller is gone: no backend has a session then.
async fn until_gone(world: &World, vmcp: &Process, ttl: Duration) {
    let deadline = Instant::now() + ttl + PATIENCE;
    loop {
        let status = status(vmcp).await;
        let is_left = |kind: &str, few: u64| status[kind].as_u64().unwrap() > few;
        // The bases of both eras stay.
        let are_gone = !is_left("sessions", 0) && !is_left("records", 0) && !is_left("views", 2);
        // A view is gone once it is let go; the backend hears of it in its own time.
        if are_gone && world.sessions() == 0 {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "still there: {status} and {} sessions of backends",
            world.sessions()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn status(vmcp: &Process) -> Value {
    let (_status, text) = client::fetch(&vmcp.url_of("/status")).await.unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn each(memory: u64, before: u64, users: usize) -> u64 {
    memory.saturating_sub(before) / users as u64
}

#[expect(clippy::disallowed_methods, reason = "how many come is no matter of configuration")]
fn users() -> usize {
    let wanted = std::env::var("VMCP_TEST_CALLERS").ok();
    wanted.map_or(USERS, |wanted| wanted.parse().expect("a number of users"))
}
