//! Servers whose lists are long, or do not stay as they are.

use super::tool;
use crate::raw::{Answer, Call, Kind, RawServer, fixed, handler};

/// `count` tools named `tool_0000` and so on, on pages of `page`; each says its own name.
pub fn many_tools(count: usize, page: usize) -> RawServer {
    (0..count).fold(RawServer::builder().page_size(page), |server, number| {
        let name = format!("tool_{number:04}");
        server.tool(&tool(&name), Answer::text(&name))
    })
}

/// Tools `add` and `remove` put the tool called `name` on the list or take it off, and
/// `touch` tells the subscribers of the resource `uri`.
pub fn changing() -> RawServer {
    RawServer::builder()
        .offer(
            Kind::Tools,
            &tool("add"),
            handler(|call: Call| async move {
                let Some(name) = call.argument::<String>("name") else {
                    return Answer::error(-32602, "name is missing");
                };
                call.server.add(Kind::Tools, &tool(&name), fixed(Answer::text(&name))).await;
                Answer::text("added")
            }),
        )
        .offer(
            Kind::Tools,
            &tool("remove"),
            handler(|call: Call| async move {
                let name: String = call.argument("name").unwrap_or_default();
                call.server.remove(Kind::Tools, &name).await;
                Answer::text("removed")
            }),
        )
        .offer(
            Kind::Tools,
            &tool("touch"),
            handler(|call: Call| async move {
                let uri: String = call.argument("uri").unwrap_or_default();
                call.server.update(&uri).await;
                Answer::text("touched")
            }),
        )
        .resource(
            r#"{"uri":"change://one","name":"one"}"#,
            r#"{"contents":[{"uri":"change://one","text":"one"}]}"#,
        )
}
