//! Processes that nobody needs: there are none.

use vmcp_testkit::{client::Client, gateway::eventually, modern_client::ModernClient};

use super::{kid, text};

const KINDS: [&str; 3] = ["{}", r#"{"roots":{}}"#, r#"{"sampling":{},"elicitation":{}}"#];

async fn tools(client: &Client) -> usize {
    client.request("1", "tools/list", "{}").await.unwrap().keys("tools", "name").unwrap().len()
}

#[tokio::test]
async fn kinds_of_clients_that_only_look_share_one_process_which_ends() {
    let kid = kid("", ", processIdle: 500ms", "").await;
    let known = eventually("it is known what is offered", async || {
        let count = tools(&kid.client().await).await;
        (count > 0).then_some(count)
    })
    .await;
    kid.until_processes(0).await;
    for kind in KINDS {
        let mut client = Client::new(&kid.process.url());
        client.initialize_as("2025-06-18", kind).await.unwrap().result().unwrap();
        assert_eq!(tools(&client).await, known, "{kind}");
        // It is read for that kind, which happens once.
        assert!(kid.processes().len() <= 1, "{kind}");
    }
    let modern = ModernClient::new(&kid.process.url());
    assert_eq!(modern.list("tools/list", "tools").await.unwrap().len(), known);
    kid.until_processes(0).await;
    // What it offers is known without it, and a call starts it.
    let client = kid.client().await;
    assert_eq!(tools(&client).await, known);
    assert_eq!(kid.processes().len(), 0);
    assert_eq!(text(&client.call("2", "kid_count", "{}").await.unwrap()), "1");
    assert_eq!(kid.processes().len(), 1);
    assert_eq!(client.delete().await.unwrap(), 200);
    kid.until_processes(0).await;
    assert_eq!(kid.status().await["state"], "healthy");
}
