//! Says operators what policies allow and why.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value};
use vmcp_backend::ClientView;
use vmcp_core::{Hints, Use, Used, explain};
use vmcp_wire::{Fault, headers};

use crate::{body::Body, edge::Edge, request::RequestBody, respond};

/// Bytes of a question.
const LIMIT: usize = 256 << 10;

/// What an operator asks: what somebody with these claims may do.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    claims: Map<String, Value>,
    tool: Option<String>,
    prompt: Option<String>,
    resource: Option<String>,
    template: Option<String>,
    method: Option<String>,
    backend: Option<String>,
    arguments: Option<Map<String, Value>>,
}

impl Edge {
    /// Answers what somebody may do, and why.
    pub(crate) async fn explain(&self, request: Request<RequestBody>) -> Response<Body> {
        if *request.method() != Method::POST {
            let mut response = respond::empty(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        let answer = match self.read_at_most(request.into_body(), LIMIT).await {
            Ok(body) => self.explained(&body).await,
            Err(fault) => Err(fault),
        };
        match answer {
            Ok(answer) => {
                let body = Body::whole(format!("{answer}\n"));
                let mut response = respond::typed(StatusCode::OK, headers::JSON, body);
                let fresh = HeaderValue::from_static("no-store");
                response.headers_mut().insert(header::CACHE_CONTROL, fresh);
                response
            }
            Err(fault) => respond::failed(None, &fault),
        }
    }

    async fn explained(&self, body: &Bytes) -> Result<Value, Fault> {
        let wrong = |why: String| Fault::InvalidRequest(why.into());
        let question: Question = serde_json::from_slice(body).map_err(|error| {
            wrong(format!(
                "send {{\"claims\":{{...}},\"tool\":\"...\",\"arguments\":{{...}}}}: {error}"
            ))
        })?;
        let vmcp = self.sessions.vmcp();
        let policy = vmcp.rights().policy();
        let policy = policy.ok_or_else(|| {
            wrong(
                "there are no policies (incomingAuth.authz.type), so everybody may do everything"
                    .into(),
            )
        })?;
        let asked = question.asked().ok_or_else(|| {
            wrong("name exactly one of tool, prompt, resource, template and method".into())
        })?;
        let view = vmcp.view(&ClientView::nobody())?;
        vmcp.settle(&view, |_catalog| false).await;
        let catalog = view.catalog();
        let claims = Value::Object(question.claims).to_string();
        let explained = explain(&policy, Some(&catalog), claims.as_bytes(), &asked);
        let explained = explained.map_err(|nobody| wrong(nobody.to_string()))?;
        Ok(explained.to_json())
    }
}

impl Question {
    fn asked(&self) -> Option<Use> {
        let Self { tool, prompt, resource, template, method, .. } = self;
        let names = [tool, prompt, resource, template, method].map(Option::as_deref);
        let (what, name) = Used::only(names)?;
        let arguments = self.arguments.clone().map(|map| Value::Object(map).to_string().into());
        let (backend, hints) = (self.backend.clone(), Hints::default());
        Some(Use { what, name, backend, hints, arguments })
    }
}
