//! Who is let in, and what is kept apart.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use vmcp_testkit::redis::{MASTER, RedisServer, RedisTls, redis_cluster};

use super::{
    super::{Address, Password, Servers, Settings, Tls},
    address, for_server, reached, settings, started, until,
};
use crate::{
    Error, News, Reach, SessionKey, Store,
    contract::{self, T0, live, record},
};

/// All that vmcp needs may do, for the default prefix: what docs/scaling.md tells operators.
const RIGHTS: &str = "resetkeys ~thv:vmcp:session:* resetchannels &thv:vmcp:session:* -@all \
    +get +getrange +set +setnx +exists +del +pexpireat +pexpiretime \
    +hget +hset +hdel +hkeys +hgetall +zadd +zrem +zcard +zrangebyscore \
    +eval +evalsha +time +publish +subscribe +select";

/// What it needs besides in a cluster.
const CLUSTER_RIGHTS: &str = "+cluster|slots +cluster|keyslot +ping";

/// And of a Sentinel.
const SENTINEL_RIGHTS: &str = "resetchannels -@all +sentinel|get-master-addr-by-name";

const PREFIX: &str = "thv:vmcp:session:";

/// A session can be made and read.
async fn serves(store: &dyn Store) {
    let key = live(store, "a").await;
    assert_eq!(store.load(key, T0).await, Ok(Some(record())));
}

#[tokio::test]
async fn a_password_is_shown() {
    let server = RedisServer::with("requirepass s3cret").await.unwrap();
    serves(&*reached(Settings { password: Some("s3cret".into()), ..for_server(&server) }).await)
        .await;
}

/// Whoever keeps the password exchanges it; the next connection shows the new one.
#[tokio::test]
async fn a_password_is_exchanged() {
    let server = RedisServer::with("requirepass old").await.unwrap();
    let kept = Arc::new(Mutex::new("old".to_owned()));
    let now = Arc::clone(&kept);
    let password = Password::kept("a file", move || now.lock().unwrap().clone());
    let store = reached(Settings { password: Some(password), ..for_server(&server) }).await;
    serves(&*store).await;
    "new".clone_into(&mut kept.lock().unwrap());
    server.say("AUTH old\r\nCONFIG SET requirepass new\r\nCLIENT KILL TYPE normal\r\nCLIENT KILL TYPE pubsub").await.unwrap();
    tokio::time::timeout(Duration::from_secs(30), async {
        while store.create(SessionKey::of("after"), T0).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("it is let in again");
}

#[tokio::test]
async fn a_wrong_password_is_told_and_may_be_put_right() {
    let server = RedisServer::with("requirepass s3cret").await.unwrap();
    for password in [None, Some("guess".into())] {
        let store = started(Settings { password, ..for_server(&server) });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(store.reach(), Reach::Never);
        let Err(Error::Unavailable(why)) = store.load(SessionKey::of("a"), T0).await else {
            panic!("it is not let in")
        };
        let said = why.to_lowercase();
        assert!(said.contains("auth") || said.contains("password"), "{why}");
        assert!(!why.contains("s3cret") && !why.contains("guess"), "{why}");
    }
    let store = started(Settings { password: Some("new".into()), ..for_server(&server) });
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.say("AUTH s3cret\r\nCONFIG SET requirepass new").await.unwrap();
    until("it is let in", || store.reach() == Reach::Good).await;
    serves(&*store).await;
}

/// A user who may do no more than the documentation says is enough for the whole contract, and not
/// one of these rights is superfluous.
#[tokio::test]
async fn a_user_needs_few_rights() {
    let user = format!("user vmcp on >s3cret {RIGHTS}");
    let server = format!("{user}\nuser admin on >s3cret ~* &* +@all\nuser default off");
    let server = RedisServer::with(&server).await.unwrap();
    keeps_the_contract(Settings { db: 1, ..for_server(&server) }).await;
    let admin =
        async |command: &str| server.say(&format!("AUTH admin s3cret\r\n{command}")).await.unwrap();
    assert_eq!(admin("ACL LOG").await.trim(), "+OK\r\n*0", "nothing was refused");
    let used = admin("INFO commandstats").await;
    let used = used.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split(':').next());
    let used: BTreeSet<_> = used.collect();
    let given = RIGHTS.split_whitespace().filter_map(|right| right.strip_prefix('+'));
    let unused: Vec<_> = given.filter(|right| !used.contains(right)).collect();
    assert!(unused.is_empty(), "{unused:?} of {used:?}");
}

#[tokio::test]
async fn a_user_needs_few_rights_in_a_cluster() {
    let nodes = redis_cluster().await.unwrap();
    for node in &nodes {
        let user = format!("ACL SETUSER vmcp on >s3cret {RIGHTS} {CLUSTER_RIGHTS}");
        assert_eq!(node.say(&user).await.unwrap(), "+OK");
    }
    let servers = Servers::Cluster(nodes.iter().map(address).collect());
    keeps_the_contract(settings(servers)).await;
    let mut used = String::new();
    for node in &nodes {
        assert_eq!(node.say("ACL LOG").await.unwrap().trim(), "*0", "nothing was refused");
        used += &node.say("INFO commandstats").await.unwrap();
    }
    for right in CLUSTER_RIGHTS.split_whitespace() {
        let right = right.trim_start_matches('+');
        assert!(used.contains(&format!("cmdstat_{right}:")), "{right} is superfluous:\n{used}");
    }
}

/// The contract, as the user that has these rights.
async fn keeps_the_contract(settings: Settings) {
    let mut stores = Vec::new();
    for test in 0..32 {
        let (username, password) = (Some("vmcp".into()), Some("s3cret".into()));
        let prefix = format!("{PREFIX}{test}:");
        stores.push(reached(Settings { username, password, prefix, ..settings.clone() }).await);
    }
    let store = stores.pop().expect("there are enough");
    let confidence = store.confidence();
    until("the bus works", || confidence.generation().is_some()).await;
    contract::check(&mut || stores.pop().expect("there are enough")).await;
}

#[test]
fn operators_are_told_which_rights() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/scaling.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    for rights in [RIGHTS, CLUSTER_RIGHTS, SENTINEL_RIGHTS] {
        assert!(guide.contains(rights), "docs/scaling.md does not say:\n{rights}");
    }
}

/// Neither records nor keys nor news are seen in another database or under another prefix.
#[tokio::test]
async fn deployments_are_kept_apart() {
    let server = RedisServer::start().await.unwrap();
    let usual = for_server(&server);
    let one = reached(usual.clone()).await;
    let others = [
        reached(Settings { db: 1, ..usual.clone() }).await,
        reached(Settings { prefix: "test:2:".into(), ..usual.clone() }).await,
        reached(Settings { prefix: String::from("tes:"), ..usual.clone() }).await,
    ];
    let key = live(&*one, "a").await;
    let twin = reached(usual).await;
    assert_eq!(twin.keys(), one.keys());
    let mut heard = twin.subscribe();
    let confidence = twin.confidence();
    until("the twin listens", || confidence.generation().is_some()).await;
    for other in &others {
        let confidence = other.confidence();
        until("it listens", || confidence.generation().is_some()).await;
        assert_eq!(other.load(key, T0).await, Ok(None));
        assert_eq!(other.records().await, Ok(0));
        assert_ne!(other.keys(), one.keys());
        other.publish(News::Ended(key)).await.unwrap();
    }
    let confidence = one.confidence();
    until("it listens", || confidence.generation().is_some()).await;
    one.publish(News::Changed(key)).await.unwrap();
    assert_eq!(heard.next().await, Some(News::Changed(key)), "and nothing before it");
    for other in others {
        assert_eq!(other.create(key, T0).await, Ok(true), "the name is free");
        other.end(key, T0).await.unwrap();
    }
    assert_eq!(one.load(key, T0).await, Ok(Some(record())));
}

#[tokio::test]
async fn servers_are_known_by_their_authority() {
    let redis = RedisTls::start("requirepass s3cret").await.unwrap();
    let servers = Servers::Single(Address { host: "127.0.0.1".into(), port: redis.port });
    let over = |authorities: Option<String>| Settings {
        tls: Some(Tls { authorities: authorities.map(String::into_bytes) }),
        password: Some("s3cret".into()),
        ..settings(servers.clone())
    };
    let store = reached(over(Some(redis.authority.clone()))).await;
    serves(&*store).await;
    let confidence = store.confidence();
    until("the bus goes over TLS too", || confidence.generation().is_some()).await;

    let other = RedisTls::start("").await.unwrap();
    for authorities in [None, Some(other.authority)] {
        let store = started(over(authorities));
        tokio::time::sleep(Duration::from_millis(500)).await;
        let Err(Error::Unavailable(why)) = store.records().await else {
            panic!("it is a stranger")
        };
        assert!(why.to_lowercase().contains("certificate"), "{why}");
    }
}

#[tokio::test]
async fn sentinels_have_a_password_of_their_own() {
    let master = RedisServer::with("requirepass of-the-master").await.unwrap();
    let auth = format!("requirepass of-the-sentinel\nsentinel auth-pass {MASTER} of-the-master");
    let sentinel = RedisServer::sentinel(&master, &auth).await.unwrap();
    let with = |username: Option<&str>, password: &str| Settings {
        password: Some("of-the-master".into()),
        ..settings(Servers::Sentinel {
            sentinels: vec![address(&sentinel)],
            master: MASTER.into(),
            username: username.map(Into::into),
            password: Some(password.into()),
        })
    };
    serves(&*reached(with(None, "of-the-sentinel")).await).await;
    let wrong = started(with(None, "of-the-master"));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(wrong.reach(), Reach::Never);
    // And a user who may do nothing but ask for the master.
    let user = format!("ACL SETUSER asker on >of-the-asker {SENTINEL_RIGHTS}");
    let answer = sentinel.say(&format!("AUTH of-the-sentinel\r\n{user}")).await.unwrap();
    assert_eq!(answer, "+OK\r\n+OK");
    let asking = with(Some("asker"), "of-the-asker");
    serves(&*reached(Settings { prefix: "second:".into(), ..asking }).await).await;
}
