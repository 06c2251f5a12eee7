//! Asks the client what a tool or a prompt must know, in the manner of the era of the request: the
//! modern era returns the questions and is called again with the answers, the legacy era sends each
//! question as a request of its own while the call waits.

use std::collections::BTreeMap;

use rmcp::{
    ErrorData,
    model::{CallToolResponse, GetPromptResponse, InputRequiredResult},
    service::ServiceError,
};
use serde_json::{Value, json};

use super::{Context, is_modern, result, typed};

/// How often the fixture asks before it gives up.
const ROUNDS: usize = 8;

/// The client's answers, by the keys of the questions.
pub(super) type Answers = BTreeMap<String, Value>;

/// Decides from what is known so far whether to ask or to answer.
pub(super) struct Script(Box<Decision>);

type Decision = dyn Fn(&Round<'_>) -> Result<Step, ErrorData> + Send + Sync;

/// What a script knows.
pub(super) struct Round<'a> {
    answers: &'a Answers,
    /// What the script last gave the client to bring back.
    pub(super) state: Option<&'a str>,
    capabilities: &'a Value,
}

/// What a script decides.
pub(super) enum Step {
    /// Asks these questions, an object with a request under each key.
    Ask { questions: Value, state: Option<String> },
    /// The result, without what every result has.
    Done(Value),
}

/// How a request that could ask was answered.
pub(super) enum Outcome<T> {
    Complete(T),
    Asks(InputRequiredResult),
}

impl Script {
    pub(super) fn new(
        script: impl Fn(&Round<'_>) -> Result<Step, ErrorData> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(script))
    }

    /// Goes as far as the era allows: to the first questions, or to the result.
    pub(super) async fn run<T: serde::de::DeserializeOwned>(
        &self,
        context: &Context,
        mut answers: Answers,
        mut state: Option<String>,
    ) -> Result<Outcome<T>, ErrorData> {
        let capabilities = json!(context.client_capabilities());
        for _ in 0..ROUNDS {
            let round =
                Round { answers: &answers, state: state.as_deref(), capabilities: &capabilities };
            match (self.0)(&round)? {
                Step::Done(value) => return Ok(Outcome::Complete(result(context, value))),
                Step::Ask { questions, state: next } if is_modern(context) => {
                    round.insist_on_capabilities_for(&questions)?;
                    let mut asks =
                        json!({"resultType": "input_required", "inputRequests": questions});
                    if let Some(next) = next {
                        asks["requestState"] = json!(next);
                    }
                    return Ok(Outcome::Asks(result(context, asks)));
                }
                Step::Ask { questions, state: next } => {
                    answers = ask_each(context, questions).await?;
                    state = next;
                }
            }
        }
        Err(ErrorData::internal_error("the client never answers what it is asked", None))
    }
}

impl Round<'_> {
    /// The answer to a question; what can be no answer is an error.
    pub(super) fn answer(&self, key: &str) -> Result<Option<&Value>, ErrorData> {
        match self.answers.get(key) {
            Some(answer) if !answer.is_object() => {
                let message = format!("the answer to {key} is not an object");
                Err(ErrorData::invalid_params(message, None))
            }
            answer => Ok(answer),
        }
    }

    /// Whether the client can be asked this.
    pub(super) fn can(&self, method: &str) -> bool {
        self.capabilities[capability_for(method)].is_object()
    }

    fn insist_on_capabilities_for(&self, questions: &Value) -> Result<(), ErrorData> {
        for question in questions.as_object().into_iter().flat_map(|all| all.values()) {
            let method = question["method"].as_str().unwrap_or_default();
            if !self.can(method) {
                return Err(missing_capability(capability_for(method)));
            }
        }
        Ok(())
    }
}

impl From<Outcome<rmcp::model::CallToolResult>> for CallToolResponse {
    fn from(outcome: Outcome<rmcp::model::CallToolResult>) -> Self {
        match outcome {
            Outcome::Complete(result) => Self::Complete(result),
            Outcome::Asks(asks) => Self::InputRequired(asks),
        }
    }
}

impl From<Outcome<rmcp::model::GetPromptResult>> for GetPromptResponse {
    fn from(outcome: Outcome<rmcp::model::GetPromptResult>) -> Self {
        match outcome {
            Outcome::Complete(result) => Self::Complete(result),
            Outcome::Asks(asks) => Self::InputRequired(asks),
        }
    }
}

/// The error for a client that lacks a capability.
pub(super) fn missing_capability(name: &str) -> ErrorData {
    let mut required = json!({});
    required[name] = json!({});
    ErrorData::missing_required_client_capability(typed(required))
}

fn capability_for(method: &str) -> &'static str {
    match method {
        "sampling/createMessage" => "sampling",
        "roots/list" => "roots",
        _ => "elicitation",
    }
}

async fn ask_each(context: &Context, questions: Value) -> Result<Answers, ErrorData> {
    let mut answers = Answers::new();
    for (key, question) in typed::<BTreeMap<String, Value>>(questions) {
        let answer = ask(context, question).await.map_err(failed)?;
        answers.insert(key, answer);
    }
    Ok(answers)
}

async fn ask(context: &Context, mut question: Value) -> Result<Value, ServiceError> {
    let params = question["params"].take();
    Ok(match question["method"].as_str() {
        Some("sampling/createMessage") => json!(context.peer.create_message(typed(params)).await?),
        Some("roots/list") => json!(context.peer.list_roots().await?),
        _ => json!(context.peer.create_elicitation(typed(params)).await?),
    })
}

/// What a client refused or could not do is the call's error.
pub(super) fn failed(error: ServiceError) -> ErrorData {
    match error {
        ServiceError::McpError(error) => error,
        other => ErrorData::internal_error(other.to_string(), None),
    }
}
