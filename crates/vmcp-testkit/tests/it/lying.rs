//! The judge sees through every lie.

use vmcp_testkit::{
    client::Client,
    peers::{lying, lying_about_tools},
};

#[tokio::test]
async fn no_lie_passes_for_an_answer() {
    let server = lying().start().await.unwrap();
    let mut client = Client::new(&server.url());
    client.initialize().await.unwrap();
    let list = client.request("1", "tools/list", "{}").await.unwrap().json();
    // These are messages; what is wrong with them is a matter of MCP, not of JSON-RPC or HTTP.
    let well_formed = [
        "honest",
        "wrong_result",
        "wrong_error",
        "error_without_code",
        "error_with_odd_code",
        "unknown_result_type",
    ];
    for tool in list["result"]["tools"].as_array().unwrap() {
        let name = tool["name"].as_str().unwrap();
        let answer = client.call("2", name, "{}").await;
        let expected = well_formed.contains(&name) || name == "deep";
        assert_eq!(answer.is_ok(), expected, "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn a_list_may_be_none() {
    let server = lying_about_tools().start().await.unwrap();
    let mut client = Client::new(&server.url());
    client.initialize().await.unwrap();
    let list = client.request("1", "tools/list", "{}").await.unwrap().json();
    assert!(list["result"]["tools"].is_object());
}
