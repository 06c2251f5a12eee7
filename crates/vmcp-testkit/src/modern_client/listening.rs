//! An open subscription, as its client sees it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::{
    answered::Exchange,
    rules::{check_answer, is_for_listeners},
};
use crate::{client::Message, modern::META_SUBSCRIPTION};

/// A subscription that was acknowledged. Dropping it ends it.
#[derive(Debug)]
pub struct Listening {
    exchange: Exchange,
    granted: Value,
}

impl Listening {
    pub(super) async fn new(mut exchange: Exchange, asked: Value) -> Result<Self> {
        if !exchange.is_stream() {
            let refused = exchange.answer().await?;
            bail!("the subscription was refused: {:?}", refused.message());
        }
        let first = read(&mut exchange).await?.context("the stream ended before it began")?;
        let acknowledged = first.json();
        ensure!(
            acknowledged["method"] == "notifications/subscriptions/acknowledged",
            "the first message is no acknowledgement: {acknowledged}"
        );
        let granted = acknowledged["params"]["notifications"].clone();
        check_granted(&asked, &granted)?;
        Ok(Self { exchange, granted })
    }

    /// What of the filter the server honours.
    pub fn granted(&self) -> &Value {
        &self.granted
    }

    /// The next notification. That none comes in time, or the stream ends, is an error.
    pub async fn next(&mut self) -> Result<Value> {
        let message = read(&mut self.exchange).await?.context("the subscription has ended")?;
        let json = message.json();
        ensure!(message.method().is_some(), "the subscription was ended: {json}");
        self.check_wanted(&json)?;
        Ok(json)
    }

    /// Passes over what comes until a notification of this method does.
    pub async fn until(&mut self, method: &str) -> Result<Value> {
        loop {
            let next = self.next().await?;
            if next["method"] == method {
                return Ok(next);
            }
        }
    }

    /// Makes sure that nothing comes for so long.
    pub async fn quiet_for(&mut self, time: Duration) -> Result<()> {
        match timeout(time, read(&mut self.exchange)).await {
            // Nothing was read, so nothing is lost.
            Err(_) => Ok(()),
            Ok(heard) => bail!("it was to be quiet, and there is {:?}", heard?),
        }
    }

    /// Waits for the end: the result if there is one, nothing if the stream just ends.
    pub async fn ended(mut self) -> Result<Option<Value>> {
        while let Some(message) = read(&mut self.exchange).await? {
            if message.method().is_none() {
                let asked = self.exchange.asked().clone();
                check_answer(&asked, self.exchange.status(), &message)?;
                let rest = self.exchange.response().message().await?;
                ensure!(rest.is_none(), "a message follows the result: {rest:?}");
                return Ok(Some(message.json()["result"].clone()));
            }
            self.check_wanted(&message.json())?;
        }
        Ok(None)
    }

    fn check_wanted(&self, json: &Value) -> Result<()> {
        let granted = &self.granted;
        let method = json["method"].as_str().unwrap_or_default();
        let wanted = match method {
            "notifications/tools/list_changed" => granted["toolsListChanged"] == true,
            "notifications/prompts/list_changed" => granted["promptsListChanged"] == true,
            "notifications/resources/list_changed" => granted["resourcesListChanged"] == true,
            "notifications/resources/updated" => {
                let uris = granted["resourceSubscriptions"].as_array();
                uris.is_some_and(|uris| uris.contains(&json["params"]["uri"]))
            }
            "notifications/tasks" => granted["taskIds"].is_array(),
            _ => false,
        };
        ensure!(wanted, "not granted: {json}");
        Ok(())
    }
}

/// The next message, which carries the subscription's id as the request wrote it.
async fn read(exchange: &mut Exchange) -> Result<Option<Message>> {
    let id: Value = serde_json::from_str(&exchange.asked().id)?;
    let Some(message) = exchange.response().message().await? else { return Ok(None) };
    let json = message.json();
    if let Some(method) = json["method"].as_str() {
        ensure!(json.get("id").is_none(), "a request on a subscription: {json}");
        ensure!(is_for_listeners(method), "not for subscriptions: {json}");
        let tag = &json["params"]["_meta"][META_SUBSCRIPTION];
        ensure!(*tag == id, "the subscription is {id}, not {tag}: {json}");
    }
    Ok(Some(message))
}

/// What is granted was asked for.
fn check_granted(asked: &Value, granted: &Value) -> Result<()> {
    let none = Map::new();
    let all = granted.as_object().context("the acknowledgement names no filter")?;
    let asked = asked.as_object().unwrap_or(&none);
    for (key, value) in all {
        let wanted = asked.get(key).unwrap_or(&Value::Null);
        let is_part = match (value, wanted) {
            (Value::Bool(granted), wanted) => !granted || *wanted == Value::Bool(true),
            (Value::Array(granted), Value::Array(wanted)) => {
                granted.iter().all(|one| wanted.contains(one))
            }
            _ => false,
        };
        ensure!(is_part, "{key}: {value} was granted, {wanted} was asked for");
    }
    Ok(())
}
