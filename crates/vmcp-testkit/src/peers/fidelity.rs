//! A server whose every byte must survive a gateway.

use crate::raw::{Answer, Call, Form, Kind, RawServer, fixed, handler};

use super::tool;

/// What `numbers` answers: values that a typed model rewrites.
const NUMBERS: &str = r#"{"content":[{"type":"text","text":"numbers"}],"structuredContent":{"big":12345678901234567890123,"decimal":1.10,"exponent":1E400,"tiny":-0.0,"plain":1e2}}"#;
/// Keys in an order that no map keeps, with white space.
const ORDER: &str = r#"{ "structuredContent" : {"z":1,"a":{"y":2,"b":3},"m":[ ]}, "content":[{"text":"order","type":"text"}] }"#;
/// Fields that no revision knows, in every place.
const UNKNOWN: &str = r#"{"x-top":[1.0],"content":[{"type":"text","text":"unknown","x-item":{"k":null}},{"type":"x-new","payload":1}],"isError":false,"_meta":{"vendor/key":{"n":1.50},"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}"#;
/// Escapes that mean the same as other escapes, and characters from everywhere.
const UNICODE: &str = r#"{"content":[{"type":"text","text":"\u0041\/\ud83d\ude00 é 漢字 \u2028 \u0000 \"\\\b\f\n\r\t 😀"}]}"#;

/// Literal results (`numbers`, `order`, `unknown`, `unicode`, `big`: 1 MiB, `failure`: an error with
/// more than an error has), `echo`, which answers its own `params` byte for byte, and definitions
/// with fields of every revision and of none.
pub fn fidelity() -> RawServer {
    let big = format!(
        r#"{{"content":[{{"type":"text","text":"{}"}}]}}"#,
        "0123456789abcdef".repeat(65_536)
    );
    let failure = r#"{"code":-32099.0,"message":"as it is","data":{"n":1.10},"x-more":true}"#;
    RawServer::builder()
        .form(Form::Json)
        .server_info(r#"{"name":"fidelity","version":"1.10","x-info":1,"icons":[{"src":"data:image/png;base64,AA==","sizes":["48x48"],"theme":"dark"}]}"#)
        .instructions("Nothing here may change.")
        .tool(r#"{"x-first":1.0,"name":"numbers","title":"Numbers","description":"é \u0041","icons":[{"src":"https://127.0.0.1/i.png","mimeType":"image/png","x-icon":0}],"inputSchema":{"type":"object","properties":{"z":{"type":"number","maximum":1E300},"a":{"default":1.10}},"x-schema":{}},"outputSchema":{"type":"object"},"execution":{"taskSupport":"forbidden"},"annotations":{"readOnlyHint":true,"x-hint":12345678901234567890123},"_meta":{"vendor/key":[1.0]}}"#, NUMBERS)
        .tool(&tool("order"), ORDER)
        .tool(&tool("unknown"), UNKNOWN)
        .tool(&tool("unicode"), UNICODE)
        .tool(&tool("big"), big)
        .tool(&tool("failure"), Answer::Error(failure.into()))
        .offer(Kind::Tools, &tool("echo"), handler(|call: Call| async move {
            let params = String::from_utf8_lossy(&call.params).into_owned();
            format!(r#"{{"content":[],"structuredContent":{params}}}"#).into()
        }))
        .resource(r#"{"uri":"fidelity://one","name":"one","size":5000000000,"x-resource":{},"annotations":{"priority":0.50,"audience":["user"],"x-who":12345678901234567890123}}"#, r#"{"contents":[{"uri":"fidelity://one","text":"1.10","x-content":1.10}],"x-result":[ ]}"#)
        .offer(Kind::Templates, r#"{"uriTemplate":"fidelity://item/{id}","name":"item","x-template":1.0}"#, fixed(r#"{"contents":[{"uri":"fidelity://item/7","blob":"AA==","x-blob":1e0}]}"#))
        .prompt(r#"{"name":"prompt","arguments":[{"name":"a","required":true,"x-argument":1.0}],"x-prompt":[]}"#, r#"{"messages":[{"role":"user","content":{"type":"text","text":"\u0041"},"x-message":1.10}],"description":"prompt"}"#)
}
