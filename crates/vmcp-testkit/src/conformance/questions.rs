//! What the conformance fixture's tools and its prompt ask, and what they make of the answers.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use rmcp::ErrorData;
use serde_json::{Map, Value, json};

use super::{
    asking::{Round, Script, Step},
    calls::text,
};

/// The same in every fixture, so that any of them takes up what another began.
const SEAL: &[u8] = b"what the conformance fixture seals its states with";

/// The script of a tool that asks.
pub(super) fn of_tool(name: &str, arguments: &Map<String, Value>) -> Option<Script> {
    let argument = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
    Some(match name {
        "test_sampling" => one("sample", sampling(argument("prompt")), |answer| {
            text(&format!("LLM response: {}", said(answer)))
        }),
        "test_elicitation" => one("user", elicitation(argument("message"), user()), |answer| {
            text(&format!("User response: {}", chosen(answer)))
        }),
        "test_elicitation_sep1034_defaults" => {
            one("defaults", elicitation("Check these defaults", defaults()), completed)
        }
        "test_elicitation_sep1330_enums" => {
            one("choices", elicitation("Choose", enums()), completed)
        }
        "test_streaming_elicitation" => {
            one("confirm", elicitation("Go on?", form("ok", "boolean")), completed)
        }
        "test_list_roots" | "test_input_required_result_list_roots" => {
            one("client_roots", roots(), |answer| text(&format!("Roots: {}", uris(answer))))
        }
        "test_input_required_result_elicitation" => one("user_name", ask_name(), greet),
        "test_input_required_result_sampling" => {
            let question = sampling("What is the capital of France?");
            one("capital_question", question, |answer| text(&said(answer)))
        }
        "test_input_required_result_request_state"
        | "test_input_required_result_tampered_state" => confirmed(name.to_owned()),
        "test_input_required_result_multiple_inputs" => many(name.to_owned()),
        "test_input_required_result_multi_round" => rounds(name.to_owned()),
        "test_input_required_result_capabilities" => whatever_is_possible(),
        _ => return None,
    })
}

/// The script of the prompt that asks.
pub(super) fn of_prompt(name: &str) -> Option<Script> {
    let question = elicitation("What context should the prompt use?", form("context", "string"));
    (name == "test_input_required_result_prompt").then(|| {
        one("user_context", question, |answer| {
            let said = format!("The context is: {}", content(answer, "context"));
            json!({"messages": [{"role": "user", "content": {"type": "text", "text": said}}]})
        })
    })
}

/// Asks for a name.
pub(super) fn ask_name() -> Value {
    elicitation("What is your name?", form("name", "string"))
}

/// What the user put into a field of a form.
pub(super) fn content(answer: &Value, field: &str) -> String {
    match &answer["content"][field] {
        Value::String(text) => text.clone(),
        Value::Null => chosen(answer),
        other => other.to_string(),
    }
}

/// A form of one field.
pub(super) fn form(field: &str, kind: &str) -> Value {
    let mut properties = json!({});
    properties[field] = json!({"type": kind});
    json!({"type": "object", "properties": properties, "required": [field]})
}

/// A question to the user.
pub(super) fn elicitation(message: &str, schema: Value) -> Value {
    let params = json!({"mode": "form", "message": message, "requestedSchema": schema});
    json!({"method": "elicitation/create", "params": params})
}

fn sampling(prompt: &str) -> Value {
    let message = json!({"role": "user", "content": {"type": "text", "text": prompt}});
    let params = json!({"messages": [message], "maxTokens": 100});
    json!({"method": "sampling/createMessage", "params": params})
}

fn roots() -> Value {
    json!({"method": "roots/list", "params": {}})
}

/// Asks one question, and again until it is answered.
fn one(key: &'static str, question: Value, conclude: fn(&Value) -> Value) -> Script {
    Script::new(move |round: &Round<'_>| {
        Ok(match round.answer(key)? {
            Some(answer) => Step::Done(conclude(answer)),
            None => ask(&[(key, &question)], None),
        })
    })
}

/// Takes an answer only together with the state that went out with the question.
fn confirmed(tool: String) -> Script {
    let question = elicitation("Please confirm", form("ok", "boolean"));
    Script::new(move |round: &Round<'_>| {
        if round.answer("confirm")?.is_none() {
            return Ok(ask(&[("confirm", &question)], Some(seal(&tool, "asked"))));
        }
        open(&tool, round)?;
        Ok(Step::Done(text("state-ok")))
    })
}

/// Asks everything that can be asked at once.
fn many(tool: String) -> Script {
    let questions = [
        ("user_name", ask_name()),
        ("greeting", sampling("Generate a greeting")),
        ("client_roots", roots()),
    ];
    Script::new(move |round: &Round<'_>| {
        let mut missing = Vec::new();
        for (key, question) in &questions {
            if round.answer(key)?.is_none() {
                missing.push((*key, question));
            }
        }
        if !missing.is_empty() {
            // Answers come all at once or not at all, so nothing need be remembered.
            let all: Vec<_> = questions.iter().map(|(key, question)| (*key, question)).collect();
            return Ok(ask(&all, Some(seal(&tool, "asked"))));
        }
        open(&tool, round)?;
        let (name, greeting, roots) = (
            round.answer("user_name")?.map(|answer| content(answer, "name")),
            round.answer("greeting")?.map(said),
            round.answer("client_roots")?.map(uris),
        );
        Ok(Step::Done(text(&format!("{name:?}, {greeting:?}, {roots:?}"))))
    })
}

/// Asks twice; what it learned first travels in the state.
fn rounds(tool: String) -> Script {
    let color = elicitation("What is your favorite color?", form("color", "string"));
    Script::new(move |round: &Round<'_>| {
        if round.state.is_none() {
            return Ok(ask(&[("step1", &ask_name())], Some(seal(&tool, "asked"))));
        }
        let known = open(&tool, round)?;
        let name = known.strip_prefix("name=");
        Ok(match (name, round.answer("step1")?, round.answer("step2")?) {
            (Some(name), _, Some(color)) => {
                Step::Done(text(&format!("{name} likes {}", content(color, "color"))))
            }
            (Some(_), _, None) => ask(&[("step2", &color)], Some(seal(&tool, &known))),
            (None, Some(name), _) => {
                let known = format!("name={}", content(name, "name"));
                ask(&[("step2", &color)], Some(seal(&tool, &known)))
            }
            (None, None, _) => ask(&[("step1", &ask_name())], Some(seal(&tool, "asked"))),
        })
    })
}

/// Asks only what the client says it can answer.
fn whatever_is_possible() -> Script {
    let all = [
        ("user_name", ask_name()),
        ("greeting", sampling("Generate a greeting")),
        ("client_roots", roots()),
    ];
    Script::new(move |round: &Round<'_>| {
        let mut questions = Vec::new();
        for (key, question) in &all {
            let method = question["method"].as_str().unwrap_or_default();
            if round.can(method) && round.answer(key)?.is_none() {
                questions.push((*key, question));
            }
        }
        Ok(if questions.is_empty() {
            Step::Done(text("There is nothing left to ask."))
        } else {
            ask(&questions, None)
        })
    })
}

fn ask(questions: &[(&str, &Value)], state: Option<String>) -> Step {
    let named = questions.iter().map(|(key, question)| ((*key).to_owned(), (*question).clone()));
    Step::Ask { questions: Value::Object(named.collect()), state }
}

fn greet(answer: &Value) -> Value {
    text(&format!("Hello, {}!", content(answer, "name")))
}

fn completed(answer: &Value) -> Value {
    text(&format!("Elicitation completed: {}", chosen(answer)))
}

fn chosen(answer: &Value) -> String {
    let action = answer["action"].as_str().unwrap_or_default();
    format!("action={action}, content={}", answer["content"])
}

/// What the client's model said; its content may stand in a list.
fn said(answer: &Value) -> String {
    let content = &answer["content"];
    let first = content.get(0).unwrap_or(content);
    first["text"].as_str().unwrap_or_default().to_owned()
}

fn uris(answer: &Value) -> String {
    let roots = answer["roots"].as_array().map(Vec::as_slice).unwrap_or_default();
    roots.iter().filter_map(|root| root["uri"].as_str()).collect::<Vec<_>>().join(", ")
}

/// A state that only this tool takes, and only unchanged.
fn seal(tool: &str, known: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SEAL);
    let tag = hmac::sign(&key, format!("{tool}\n{known}").as_bytes());
    format!("{}.{}", URL_SAFE_NO_PAD.encode(known), URL_SAFE_NO_PAD.encode(tag))
}

fn open(tool: &str, round: &Round<'_>) -> Result<String, ErrorData> {
    let opened = || {
        let known = URL_SAFE_NO_PAD.decode(round.state?.split_once('.')?.0).ok()?;
        let known = String::from_utf8(known).ok()?;
        (seal(tool, &known) == round.state?).then_some(known)
    };
    opened().ok_or_else(|| ErrorData::invalid_params("requestState is not what was sent", None))
}

fn user() -> Value {
    json!({
        "type": "object",
        "properties": {
            "username": {"type": "string", "description": "User's response"},
            "email": {"type": "string", "description": "User's email address"},
        },
        "required": ["username", "email"],
    })
}

fn defaults() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "default": true},
        },
        "required": [],
    })
}

fn enums() -> Value {
    let titled = |prefix: &str, noun: &str| {
        let ranks = ["First", "Second", "Third"].into_iter().enumerate();
        let one = |(index, rank)| json!({"const": format!("{prefix}{}", index + 1), "title": format!("{rank} {noun}")});
        ranks.map(one).collect::<Vec<_>>()
    };
    let options = json!(["option1", "option2", "option3"]);
    json!({
        "type": "object",
        "properties": {
            "untitledSingle": {"type": "string", "enum": options},
            "titledSingle": {"type": "string", "oneOf": titled("value", "Option")},
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
            "titledMulti": {"type": "array", "items": {"anyOf": titled("value", "Choice")}},
        },
        "required": [],
    })
}
