//! What each method does when the test wrote no script for it.

use http::StatusCode;
use serde_json::Value;

use super::{
    SERVER_INFO, answers,
    call::{Call, Handler, fixed},
    checks::{Accepted, Refusal, bad, named_in},
    state::{Knobs, Shared},
};
use crate::raw::{Answer, Kind, member};

/// The kind of capability that a method is about.
pub(super) fn kind_of(method: &str) -> Option<Kind> {
    match method {
        "tools/list" | "tools/call" => Some(Kind::Tools),
        "resources/list" | "resources/read" => Some(Kind::Resources),
        "resources/templates/list" => Some(Kind::Templates),
        "prompts/list" | "prompts/get" => Some(Kind::Prompts),
        _ => None,
    }
}

/// The handler of a request, and the key of the capability that it executes.
pub(super) fn find(
    shared: &Shared,
    request: &Accepted,
) -> Result<(Handler, Option<String>), Refusal> {
    let knobs = shared.knobs();
    let method = request.method.as_str();
    let key: Option<String> = named_in(method).and_then(|key| member(&request.params, key));
    if let Some(script) = knobs.script(method, key.as_deref()) {
        return Ok((script, key));
    }
    let unknown = || Refusal {
        status: StatusCode::NOT_FOUND,
        ..bad(-32601, format!("Method not found: {method}"))
    };
    let kind = kind_of(method);
    let declared = match kind {
        Some(Kind::Resources | Kind::Templates) => knobs.offers_resources(),
        Some(kind) => knobs.declared.contains(&kind),
        None => true,
    };
    match (method, kind, key) {
        _ if !declared => Err(unknown().of(request)),
        ("server/discover", ..) => Ok((fixed(discover(&knobs)), None)),
        ("completion/complete", ..) => {
            let values =
                r#""completion":{"values":["paris","park","party"],"total":3,"hasMore":false}"#;
            Ok((fixed(answers::complete(values)), None))
        }
        (_, Some(kind), None) => Ok((fixed(page(&knobs, kind, request)), None)),
        (_, Some(kind), Some(key)) => match knobs.offer.handler(kind, &key) {
            Some(handler) => Ok((handler, Some(key))),
            None => {
                let data = serde_json::json!({"uri": key});
                let answer = answers::error_with(-32602, "no such capability here", &data);
                Ok((fixed(answer), None))
            }
        },
        (_, None, _) => Err(unknown().of(request)),
    }
}

/// A result of `resources/read` says for how long it may be kept, unless the test wrote that itself.
pub(super) fn dressed(shared: &Shared, call: &Call, answer: Answer) -> Answer {
    let Answer::Result(bytes) = &answer else { return answer };
    if call.method != "resources/read" || member::<Value>(bytes, "ttlMs").is_some() {
        return answer;
    }
    if member::<String>(bytes, "resultType").is_none_or(|kind| kind != "complete") {
        return answer;
    }
    let Some(members) = bytes.strip_suffix(b"}") else { return answer };
    let cache = shared.knobs().cache_of("resources/read");
    Answer::Result([members, cache.as_bytes(), b"}"].concat().into())
}

fn discover(knobs: &Knobs) -> Answer {
    let supported = Value::from(knobs.supported.clone());
    let capabilities = knobs.capabilities();
    let instructions = knobs.instructions.as_ref().map_or_else(String::new, |text| {
        format!(r#","instructions":{}"#, Value::from(text.as_str()))
    });
    let cache = knobs.cache_of("server/discover");
    answers::complete(&format!(
        r#""supportedVersions":{supported},"capabilities":{capabilities}{instructions}{cache}"#
    ))
}

fn page(knobs: &Knobs, kind: Kind, request: &Accepted) -> Answer {
    let cursor: Option<String> = member(&request.params, "cursor");
    let Some(page) = knobs.offer.page(kind, cursor.as_deref(), knobs.page_size) else {
        return answers::error(-32602, "a cursor that was never given out");
    };
    let members = page.strip_suffix('}').unwrap_or(&page);
    let cache = knobs.cache_of(&request.method);
    Answer::from(format!(
        r#"{members},"resultType":"complete"{cache},"_meta":{{"io.modelcontextprotocol/serverInfo":{SERVER_INFO}}}}}"#
    ))
}
