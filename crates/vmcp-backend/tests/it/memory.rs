//! A backend that is reached in memory.

use vmcp_backend::{Backend, Config, Endpoint, InvalidConfig, Memory, Network, Transport};
use vmcp_model::BackendId;

#[tokio::test]
async fn servers_in_memory_are_told_apart_and_have_no_tls() {
    let [one, other] = std::array::from_fn(|_server| tokio::sync::mpsc::channel(1).0);
    let endpoint = |url: &str, server: &tokio::sync::mpsc::Sender<_>| Endpoint {
        network: Network::Memory(Memory::new(server.clone())),
        ..Endpoint::plain(url.parse().unwrap())
    };
    assert_eq!(endpoint("http://a/mcp", &one), endpoint("http://a/mcp", &one));
    assert_ne!(endpoint("http://a/mcp", &one), endpoint("http://a/mcp", &other));
    assert_ne!(endpoint("http://a/mcp", &one), Endpoint::plain("http://a/mcp".parse().unwrap()));
    let url = "https://a/mcp";
    let config = Config {
        transport: Transport::Http(endpoint(url, &one)),
        ..Config::plain(BackendId::new("a").unwrap(), url.parse().unwrap())
    };
    let refused = Backend::new(&config, tokio_util::task::TaskTracker::new());
    assert!(matches!(refused, Err(InvalidConfig::TlsInMemory)), "{refused:?}");
}
