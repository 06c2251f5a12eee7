//! A response of the modern era while it is read, and when it is there.

use anyhow::{Context as _, Result, ensure};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use super::rules::{self, Asked};
use crate::client::{Message, Response};

/// A response whose head has arrived and has passed. Dropping it cancels its request.
#[derive(Debug)]
pub struct Exchange {
    asked: Asked,
    response: Response,
}

/// The whole answer to a request, held to the specification.
#[derive(Clone, Debug)]
pub struct Answered {
    asked: Asked,
    status: StatusCode,
    headers: HeaderMap,
    message: Message,
}

impl Exchange {
    pub(super) fn new(asked: Asked, response: Response) -> Result<Self> {
        rules::check_head(&asked, &response)?;
        Ok(Self { asked, response })
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Whether it is a stream.
    pub fn is_stream(&self) -> bool {
        self.response.is_stream()
    }

    /// The next message of a stream, which must be a notification.
    pub async fn notification(&mut self) -> Result<Value> {
        let message = self.response.message().await?.context("the stream has ended")?;
        rules::check_notification(&self.asked, &message)?;
        Ok(message.json())
    }

    /// Reads to the answer, and insists that nothing follows it.
    pub async fn answer(mut self) -> Result<Answered> {
        let message = self.response.answer(&self.asked.id).await;
        let message = message.with_context(|| self.asked.to_string())?;
        for note in &message.before {
            rules::check_notification(&self.asked, note)?;
        }
        let status = self.response.status();
        rules::check_answer(&self.asked, status, &message)?;
        let headers = self.response.headers().clone();
        Ok(Answered { asked: self.asked, status, headers, message })
    }

    pub(super) fn asked(&self) -> &Asked {
        &self.asked
    }

    pub(super) fn response(&mut self) -> &mut Response {
        &mut self.response
    }
}

impl Answered {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The HTTP headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The method that was asked for.
    pub fn method(&self) -> &str {
        &self.asked.method
    }

    /// The parameters that were sent, without `_meta` and what answered a question.
    pub fn literal_params(&self) -> &str {
        &self.asked.params
    }

    /// The answer itself, byte for byte.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The notifications that came before the answer.
    pub fn notifications(&self) -> Vec<Value> {
        self.message.before.iter().map(Message::json).collect()
    }

    /// The result; an error is one.
    pub fn result(&self) -> Result<Value> {
        let answer = self.message.json();
        let result = answer.get("result").cloned();
        result.with_context(|| format!("{} was answered with {answer}", self.asked))
    }

    /// The result, byte for byte.
    pub fn literal_result(&self) -> Result<&str> {
        self.message.result()
    }

    /// The error object; a result is an error.
    pub fn error(&self) -> Result<Value> {
        let answer = self.message.json();
        let error = answer.get("error").cloned();
        error.with_context(|| format!("{} was answered with {answer}", self.asked))
    }

    /// The code of the error.
    pub fn error_code(&self) -> Result<i64> {
        self.error()?["code"].as_i64().context("the code was checked")
    }

    /// The `resultType`.
    pub fn result_type(&self) -> Result<String> {
        let result = self.result()?;
        result["resultType"].as_str().map(str::to_owned).context("the type was checked")
    }

    /// The first text of a tool's complete result.
    pub fn text(&self) -> Result<String> {
        ensure!(self.result_type()? == "complete", "not complete: {}", self.result()?);
        self.message.text()
    }

    /// What is asked, by its keys; anything but questions is an error.
    pub fn questions(&self) -> Result<Map<String, Value>> {
        let result = self.result()?;
        ensure!(self.result_type()? == "input_required", "not a question: {result}");
        Ok(result["inputRequests"].as_object().cloned().unwrap_or_default())
    }

    /// The state that the client is to bring back.
    pub fn request_state(&self) -> Option<String> {
        self.result().ok()?["requestState"].as_str().map(str::to_owned)
    }
}
