//! Tokens that say nothing themselves, and the endpoint that is asked about them (RFC 7662).

use std::{collections::HashMap, io};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, Request, Response, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::status_only;
use crate::body::{ReplyBody, whole};

/// A client that may ask: its id, and its secret if it has one.
pub type AskingClient = (String, Option<String>);

/// What is known of tokens, and who may ask.
#[derive(Default)]
pub(super) struct Introspections {
    /// What is said of each token. Others are not active.
    pub(super) tokens: HashMap<String, Value>,
    /// Without one, anybody may ask.
    pub(super) client: Option<AskingClient>,
    /// The `Content-Type` of answers, where it is not that of JSON.
    pub(super) content_type: Option<String>,
    /// Nothing is answered about tokens that are not known.
    pub(super) keeps_strangers_waiting: bool,
    pub(super) asked: u64,
}

/// What was asked.
pub(super) struct Question {
    form: HashMap<String, String>,
    basic: Option<(String, String)>,
}

impl Question {
    pub(super) async fn read(request: Request<Incoming>) -> io::Result<Self> {
        let (head, body) = request.into_parts();
        let of_form = head.headers.get(header::CONTENT_TYPE);
        if of_form.is_none_or(|of| of != "application/x-www-form-urlencoded") {
            return Err(io::Error::other("the question is no form"));
        }
        let text = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let text = String::from_utf8(text.to_vec()).map_err(io::Error::other)?;
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        let form = pairs.map(|(name, value)| (decoded(name), decoded(value))).collect();
        Ok(Self { form, basic: head.headers.get(header::AUTHORIZATION).and_then(basic) })
    }

    fn member(&self, name: &str) -> Option<&str> {
        self.form.get(name).map(String::as_str)
    }
}

impl Introspections {
    /// The answer, if there is to be one.
    pub(super) fn answer(&mut self, question: &Question) -> Option<Response<ReplyBody>> {
        self.asked += 1;
        let is_admitted = match &self.client {
            None => true,
            Some((id, None)) => question.member("client_id") == Some(id),
            Some((id, Some(secret))) => {
                question.basic.as_ref() == Some(&(id.clone(), secret.clone()))
            }
        };
        if !is_admitted {
            return Some(status_only(401));
        }
        let known = question.member("token").and_then(|token| self.tokens.get(token));
        if known.is_none() && self.keeps_strangers_waiting {
            return None;
        }
        let said = known.cloned().unwrap_or_else(|| json!({"active": false}));
        let mut response = Response::new(whole(said.to_string()));
        let content_type = self.content_type.as_deref().unwrap_or("application/json;charset=utf-8");
        let content_type = HeaderValue::from_str(content_type).expect("a content type");
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        Some(response)
    }
}

fn basic(value: &HeaderValue) -> Option<(String, String)> {
    let pair = STANDARD.decode(value.to_str().ok()?.strip_prefix("Basic ")?).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some((decoded(id), decoded(secret)))
}

/// One name or value of a form.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| digit.expect("two digits"));
                let digits = String::from_utf8(digits.to_vec()).expect("digits");
                u8::from_str_radix(&digits, 16).expect("two digits")
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).expect("text")
}
