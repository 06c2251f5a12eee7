//! What is found while the API server has its moods, over minutes that pass in a moment.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch::Receiver,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Discovered, Discovery, OwnSecrets,
    server::{Mood, Server},
};

/// Within this a change is found.
const SOON: Duration = Duration::from_secs(2);

/// How long it may take until all is seen again, when the API server is back.
const CAUGHT_UP: Duration = Duration::from_secs(10);

/// Somebody who looks for backends.
struct Looking {
    server: Server,
    found: Receiver<Option<Arc<Discovered>>>,
    hindrance: Receiver<Option<String>>,
    _tasks: JoinSet<()>,
}

impl Looking {
    /// With one backend that is found.
    async fn start() -> Self {
        let server = Server::new();
        server.state().put("maps", "http://maps.test/1");
        let discovery =
            Discovery::new(server.cluster(), "office".to_owned(), OwnSecrets::default());
        let (found, hindrance) = (discovery.found(), discovery.hindrance());
        let mut tasks = JoinSet::new();
        tasks.spawn(discovery.run());
        let mut looking = Self { server, found, hindrance, _tasks: tasks };
        looking.finds("maps", "http://maps.test/1", SOON).await;
        looking
    }

    /// Waits until a backend is found there.
    async fn finds(&mut self, name: &str, url: &str, within: Duration) {
        let is_there = |found: &Option<Arc<Discovered>>| {
            let backends = found.iter().flat_map(|found| &found.backends);
            backends.into_iter().any(|backend| backend.name == name && backend.entry["url"] == *url)
        };
        let found = timeout(within, self.found.wait_for(is_there)).await;
        assert!(
            found.is_ok_and(|found| found.is_ok()),
            "{name} is not found at {url} within {within:?}"
        );
    }

    /// Whether nothing else was found meanwhile.
    fn found_nothing_else(&mut self) -> bool {
        let is_same = !self.found.has_changed().unwrap();
        self.found.mark_unchanged();
        is_same
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_seen_at_once_and_rest_costs_little() {
    let mut looking = Looking::start().await;
    assert_eq!(looking.server.state().asked, 7);
    looking.server.state().put("maps", "http://maps.test/2");
    looking.finds("maps", "http://maps.test/2", SOON).await;
    sleep(Duration::from_secs(600)).await;
    let asked = looking.server.state().asked;
    assert!(asked <= 7 + 5 * 7, "{asked}");
    assert!(looking.found_nothing_else());
}

#[tokio::test(start_paused = true)]
async fn watches_that_are_cut_go_on_where_they_were() {
    let mut looking = Looking::start().await;
    for turn in 2..20 {
        looking.server.state().cut();
        let url = format!("http://maps.test/{turn}");
        looking.server.state().put("maps", &url);
        looking.finds("maps", &url, SOON).await;
    }
    let state = looking.server.state();
    assert_eq!(state.asked, state.went_on + 7);
}

#[tokio::test(start_paused = true)]
async fn what_was_seen_and_is_too_old_is_listed_again() {
    let mut looking = Looking::start().await;
    for turn in 2..20 {
        let url = format!("http://maps.test/{turn}");
        {
            let mut state = looking.server.state();
            // Both ways of saying so: within a watch, and to one that would go on.
            if turn % 2 == 0 {
                state.forget();
            } else {
                state.cut();
                state.forget();
            }
            state.put("maps", &url);
        }
        looking.finds("maps", &url, CAUGHT_UP).await;
        sleep(Duration::from_secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_for_a_while_is_caught_up_with() {
    for code in [401, 403, 404, 409, 410, 429, 500, 503, 504] {
        let mut looking = Looking::start().await;
        let before = {
            let mut state = looking.server.state();
            state.mood = Mood::Refuses(code);
            state.cut();
            state.asked
        };
        sleep(Duration::from_secs(60)).await;
        {
            let mut state = looking.server.state();
            let asked = state.asked - before;
            // Each kind at most each 5 seconds but for the first ones.
            assert!((7..=7 * 18).contains(&asked), "{code}: {asked}");
            state.mood = Mood::Answers;
            state.put("maps", "http://maps.test/2");
        }
        assert!(looking.found_nothing_else(), "{code}");
        looking.finds("maps", "http://maps.test/2", CAUGHT_UP).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_each_watch_at_once_is_asked_each_second() {
    let mut looking = Looking::start().await;
    let before = {
        let mut state = looking.server.state();
        state.mood = Mood::EndsAtOnce;
        state.cut();
        state.asked
    };
    sleep(Duration::from_secs(60)).await;
    let asked = looking.server.state().asked - before;
    assert!((7 * 50..=7 * 62).contains(&asked), "{asked}");
    looking.server.state().put("maps", "http://maps.test/2");
    looking.finds("maps", "http://maps.test/2", SOON).await;
}

/// As when a node was cut off, and nobody has told the connections.
#[tokio::test(start_paused = true)]
async fn connections_that_are_dead_are_noticed() {
    let mut looking = Looking::start().await;
    {
        let mut state = looking.server.state();
        state.fall_silent();
        state.put("maps", "http://maps.test/2");
    }
    sleep(Duration::from_secs(60)).await;
    assert!(looking.found_nothing_else());
    looking.finds("maps", "http://maps.test/2", Duration::from_secs(75)).await;
}

/// Watches go on where they were, and tell nothing while nothing changes.
#[tokio::test(start_paused = true)]
async fn a_right_that_is_back_is_noticed_though_nothing_changes() {
    let looking = Looking::start().await;
    {
        let mut state = looking.server.state();
        state.mood = Mood::Refuses(403);
        state.cut();
    }
    sleep(Duration::from_secs(60)).await;
    assert!(looking.hindrance.borrow().is_some());
    looking.server.state().mood = Mood::Answers;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(*looking.hindrance.borrow(), None);
}
