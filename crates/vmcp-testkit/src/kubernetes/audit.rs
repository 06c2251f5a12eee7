//! Reads in the API server's audit log what service accounts have asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use anyhow::Result;
use serde_json::Value;

/// One request of a service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `get`, `list`, `watch`, `update`, `patch`, ...
    pub verb: String,
    /// `mcpservers`, `virtualmcpservers/status`; the path where it is no resource.
    pub resource: String,
    /// The status of the answer.
    pub status: u16,
}

/// How often each verb was used on each resource: `list mcpservers`.
pub fn tally(requests: &[Request]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for Request { verb, resource, .. } in requests {
        *counts.entry(format!("{verb} {resource}")).or_default() += 1;
    }
    counts
}

pub(super) fn requests(log: &Path, account: &str) -> Result<Vec<Request>> {
    let text = match fs::read_to_string(log) {
        // There is none before the first request.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    let mut known = BTreeSet::new();
    let mut requests = Vec::new();
    for line in text.lines() {
        // A server that was killed may have left half of one.
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        // A watch is told of when it begins and when it ends.
        if event["user"]["username"] == account && known.insert(event["auditID"].to_string()) {
            requests.push(request(&event));
        }
    }
    Ok(requests)
}

fn request(event: &Value) -> Request {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &event["objectRef"];
    let resource = match (object["resource"].as_str(), object["subresource"].as_str()) {
        (Some(resource), Some(subresource)) => format!("{resource}/{subresource}"),
        (Some(resource), None) => resource.to_owned(),
        (None, _) => text(&event["requestURI"]),
    };
    let status = event["responseStatus"]["code"].as_u64().and_then(|code| code.try_into().ok());
    Request { verb: text(&event["verb"]), resource, status: status.unwrap_or_default() }
}
