//! Where a request stands in a trace, as it is told in `params._meta`: `traceparent` and `tracestate`, as W3C Trace
//! Context has them (MCP, SEP-414).

use bytes::Bytes;
use vmcp_model::{
    raw::{self, Members},
    trace::Trace,
};

/// Their names in headers and in `_meta`.
pub const TRACE_PARENT: &str = "traceparent";
pub const TRACE_STATE: &str = "tracestate";

/// A request that says in `params._meta` where it stands, in place of whatever it said of that. What is no request
/// with an object of parameters stays as it is.
pub fn traced(request: &Bytes, trace: &Trace) -> Bytes {
    told(request, trace).unwrap_or_else(|| request.clone())
}

fn told(request: &Bytes, trace: &Trace) -> Option<Bytes> {
    let members = Members::parse(request)?;
    let params = members.value(request, "params").unwrap_or(b"{}");
    let in_params = Members::parse(params)?;
    let meta = in_params.value(params, "_meta").unwrap_or(b"{}");
    let others = raw::without(meta, |name| name == TRACE_PARENT || name == TRACE_STATE);
    let mut own = Vec::from(&b"{\"traceparent\":\""[..]);
    own.extend_from_slice(&trace.header());
    own.push(b'"');
    if let Some(state) = &trace.state {
        own.extend_from_slice(b",\"tracestate\":");
        own.extend_from_slice(&raw::string(state));
    }
    let others = others.strip_prefix(b"{")?;
    if others != b"}" {
        own.push(b',');
    }
    own.extend_from_slice(others);
    let params = raw::splice(params, vec![in_params.set("_meta", own)]);
    Some(raw::splice(request, vec![members.set("params", params)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(state: Option<&str>) -> Trace {
        let state = state.map(Into::into);
        Trace { trace: [1; 16], span: [2; 8], onward: [3; 8], parent: None, sampled: true, state }
    }

    #[test]
    fn a_request_says_where_it_stands_and_keeps_all_else() {
        let parent = format!("00-{}-{}-01", "01".repeat(16), "03".repeat(8));
        for (request, state, expected) in [
            (
                r#"{"id":1,"params":{"name":"a","arguments":{"_meta":{"traceparent":"x"}}}}"#,
                None,
                r#"{"id":1,"params":{"_meta":{"traceparent":"P"},"name":"a","arguments":{"_meta":{"traceparent":"x"}}}}"#,
            ),
            (
                r#"{"id":1,"params":{"_meta":{"progressToken":7,"traceparent":"old"},"name":"a"}}"#,
                Some("a=1"),
                r#"{"id":1,"params":{"_meta":{"traceparent":"P","tracestate":"a=1","progressToken":7},"name":"a"}}"#,
            ),
            (
                r#"{"id":1,"params":{"_meta":{"tracestate":"old"}}}"#,
                None,
                r#"{"id":1,"params":{"_meta":{"traceparent":"P"}}}"#,
            ),
            (r#"{"id":1}"#, None, r#"{"params":{"_meta":{"traceparent":"P"}},"id":1}"#),
            (r#"{"id":1,"params":[1]}"#, None, r#"{"id":1,"params":[1]}"#),
            (r#"{"params":{"_meta":null}}"#, None, r#"{"params":{"_meta":null}}"#),
            ("[]", None, "[]"),
        ] {
            let told = traced(&Bytes::from(request), &trace(state));
            assert_eq!(told, expected.replace('P', &parent), "{request}");
        }
    }
}
