//! What a terminal is shown while a call is under way: how far it has come, as its server says it, or that
//! it is still waited for.

use std::{
    io::IsTerminal as _,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, value::RawValue};
use tokio::time::{Instant, interval};
use vmcp_model::Method;
use vmcp_wire::Message;

use crate::{client::Client, output::Transient, printable};

/// How long a call may take that nobody wonders about.
const QUICK: Duration = Duration::from_secs(2);

/// Asks for something in somebody's name, and shows how it goes where somebody watches.
pub(super) async fn ask(
    client: &Client,
    method: Method,
    mut params: Value,
    name: &str,
) -> anyhow::Result<Box<RawValue>> {
    // Any that the session has not used. Progress also says that the call is alive.
    params["_meta"]["progressToken"] = Value::from(1);
    if !std::io::stderr().is_terminal() {
        return client.ask_raw(method, &params).await;
    }
    let (shown, told) = (Transient::default(), Mutex::new(None));
    let told = || told.lock().unwrap_or_else(PoisonError::into_inner);
    let mut hear = |message: &Message| {
        if message.method() == Some(Method::Progress) {
            let line = line(name, message.text());
            shown.show(&line);
            *told() = Some(line);
        }
    };
    let asking = client.ask_hearing(method, &params, &mut hear);
    let began = Instant::now();
    let waiting = async {
        let mut ticks = interval(Duration::from_secs(1));
        loop {
            ticks.tick().await;
            let seconds = began.elapsed().as_secs();
            let progress = told().clone();
            match progress {
                Some(line) => shown.show(&format!("{line}  {seconds} s")),
                None if began.elapsed() >= QUICK => {
                    let name = printable::line(name);
                    shown.show(&format!("{name}: still waiting, {seconds} s"));
                }
                None => {}
            }
        }
    };
    tokio::select! {
        answer = asking => answer,
        never = waiting => never,
    }
}

/// `tool: 3/10 what it does`.
fn line(name: &str, notification: &[u8]) -> String {
    let told: Value = serde_json::from_slice(notification).unwrap_or_default();
    let told = &told["params"];
    let of = if told["total"].is_number() { format!("/{}", told["total"]) } else { String::new() };
    let message = told["message"].as_str().unwrap_or_default();
    let line = format!("{name}: {}{of} {message}", told["progress"]);
    printable::line(line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn progress_is_a_line() {
        let told = |params: &str| line("t", format!(r#"{{"params":{params}}}"#).as_bytes());
        assert_eq!(
            told(r#"{"progress":3,"total":10,"message":"a\u001bb\nc"}"#),
            r"t: 3/10 a\u{1b}b\nc"
        );
        assert_eq!(told(r#"{"progress":0.5}"#), "t: 0.5");
        assert_eq!(told(r#"{"progress":1,"total":null,"message":5}"#), "t: 1");
    }
}
