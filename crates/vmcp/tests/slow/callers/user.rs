//! One user, who looks at everything and calls at most one tool.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;
use vmcp_testkit::{cluster::Caller, modern_client::ModernClient};

use super::world::{BACKENDS, TOOLS, name};

#[derive(Clone, Copy)]
pub(super) enum Era {
    Legacy,
    Modern,
}

pub(super) struct User {
    pub(super) subject: String,
    pub(super) token: String,
    /// The backend of which the user calls something.
    pub(super) calls: Option<usize>,
    /// Whether the user ends the session, if there is one.
    pub(super) leaves: bool,
}

/// How long a user has waited.
pub(super) struct Times {
    /// For the first answer, which waits for all lists.
    first: Duration,
    list: Duration,
}

impl User {
    pub(super) async fn visit(&self, url: &str, era: Era) -> Times {
        match era {
            Era::Legacy => self.visit_with_session(url).await,
            Era::Modern => self.visit_without(url).await,
        }
    }

    async fn visit_with_session(&self, url: &str) -> Times {
        let mut client = Caller::new(url).with_token(&self.token);
        let began = Instant::now();
        client.initialize().await.unwrap();
        let first = began.elapsed();
        let began = Instant::now();
        let answer = client.list().await.unwrap();
        let list = began.elapsed();
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        self.check(&answer["result"]);
        if let Some(backend) = self.calls {
            let answer = client.call(&self.own_tool(backend)).await.unwrap();
            let answer: Value = serde_json::from_slice(&answer.body).unwrap();
            self.check_call(&answer["result"]);
        }
        if self.leaves {
            assert!(client.delete().await.unwrap().status.is_success());
        }
        Times { first, list }
    }

    async fn visit_without(&self, url: &str) -> Times {
        let shown = format!("Bearer {}", self.token);
        let client = ModernClient::new(url).header("authorization", &shown);
        let began = Instant::now();
        client.discover().await.unwrap().result().unwrap();
        let first = began.elapsed();
        let began = Instant::now();
        let answer = client.request("tools/list", json!({})).await.unwrap();
        let list = began.elapsed();
        self.check(&answer.result().unwrap());
        if let Some(backend) = self.calls {
            let answer = client.call(&self.own_tool(backend), json!({})).await.unwrap();
            self.check_call(&answer.result().unwrap());
        }
        Times { first, list }
    }

    fn own_tool(&self, backend: usize) -> String {
        format!("{}_of_{}", name(backend), self.subject)
    }

    /// The user is shown the tools that are this user's or everybody's, and no others.
    fn check(&self, list: &Value) {
        let tools = list["tools"].as_array().unwrap();
        let seen: BTreeSet<_> =
            tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
        let expected: BTreeSet<_> = (0..BACKENDS)
            .flat_map(|backend| {
                let shared = (1..TOOLS).map(move |tool| format!("{}_tool{tool}", name(backend)));
                std::iter::once(self.own_tool(backend)).chain(shared)
            })
            .collect();
        assert_eq!(seen, expected, "what {} sees", self.subject);
        assert!(list["nextCursor"].is_null());
    }

    fn check_call(&self, result: &Value) {
        assert_eq!(result["content"][0]["text"], self.subject, "{result}");
    }
}

impl Times {
    /// The middle and the longest but one in a hundred.
    pub(super) fn told(times: Vec<Self>) -> String {
        let (first, list): (Vec<_>, Vec<_>) =
            times.into_iter().map(|Self { first, list }| (first, list)).unzip();
        let told = |what: &str, mut times: Vec<Duration>| {
            times.sort_unstable();
            let at = |percent: usize| times[(times.len() - 1) * percent / 100];
            format!("{what} p50 {:?}, p99 {:?}", at(50), at(99))
        };
        format!("{}, {}", told("first answers", first), told("lists", list))
    }
}
