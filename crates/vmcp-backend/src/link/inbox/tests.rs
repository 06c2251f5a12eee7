//! What comes in on a link, and to whom it goes.

use tokio::sync::mpsc::{self, Receiver};

use super::*;

const ONE: Member = Member(1);
const OTHER: Member = Member(2);

/// An inbox whose receivers note what they get.
#[derive(Default)]
struct Desk {
    inbox: Inbox,
    receivers: Vec<(&'static str, Receiver<Arrival>)>,
    shared: bool,
}

fn end(why: &str) -> End {
    End { why: why.to_owned(), said: None }
}

fn text_of(arrival: &Arrival) -> &Bytes {
    match arrival {
        Arrival::Message(message, _room) => message.text(),
        Arrival::Mark(_) => panic!("nobody has put a mark there"),
    }
}

impl Desk {
    fn shared() -> Self {
        Self { shared: true, ..Self::default() }
    }

    /// Enters a call and gives what the backend is sent.
    fn call(&mut self, name: &'static str, member: Member, text: &str) -> String {
        self.enter(name, member, text, false)
    }

    fn enter(&mut self, name: &'static str, member: Member, text: &str, own: bool) -> String {
        let (queue, receiver) = Queue::new();
        let message = Message::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap();
        let number = u64::try_from(self.receivers.len()).unwrap();
        let (text, waiting) = if self.shared {
            let mapped = mapping::outward(&message, member, number).unwrap();
            (mapped.text.clone(), Waiting::mapped(number, mapped, queue))
        } else {
            (message.text().clone(), Waiting::plain(number, &message, own, queue))
        };
        assert!(self.inbox.enter(waiting.unwrap()));
        self.receivers.push((name, receiver));
        String::from_utf8(text.to_vec()).unwrap()
    }

    fn listen(&mut self, name: &'static str) {
        let (queue, receiver) = Queue::new();
        assert!(self.inbox.listen(queue));
        self.receivers.push((name, receiver));
    }

    /// Takes a message in, and says who got it and in what words.
    #[track_caller]
    fn check(&mut self, text: &str, expected: &str) {
        let message = Message::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap();
        match self.inbox.whose(message, self.shared) {
            Whose::Answer(waiting, message) => waiting.answer(message),
            Whose::Of(queues, message) => {
                for queue in queues {
                    let arrival = Arrival::Message(message.clone(), None);
                    assert!(queue.try_put(arrival));
                }
            }
            Whose::Nobodys(_) => {}
        }
        let got = self.receivers.iter_mut().filter_map(|(name, receiver)| {
            let arrival = receiver.try_recv().ok()?;
            Some(format!("{name}: {}", String::from_utf8_lossy(text_of(&arrival))))
        });
        assert_eq!(got.collect::<Vec<_>>().join("\n"), expected);
    }
}

fn request(id: &str, token: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"t","_meta":{{"progressToken":{token}}}}}}}"#
    )
}

#[test]
fn answers_go_to_their_calls_and_progress_to_its_token() {
    let mut desk = Desk::default();
    desk.call("a", ONE, &request("1", "\"x\""));
    desk.call("b", ONE, &request("\"1\"", "7"));
    desk.listen("ear");
    let progress =
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"x"}}"#;
    desk.check(progress, &format!("a: {progress}"));
    let unknown =
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"7"}}"#;
    // A task may go on after its call.
    desk.check(unknown, &format!("ear: {unknown}"));
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    desk.check(answer, &format!("a: {answer}"));
    desk.check(answer, "");
    let answer = r#"{"jsonrpc":"2.0","id":"1","error":{"code":1,"message":"no"}}"#;
    desk.check(answer, &format!("b: {answer}"));
}

#[test]
fn an_id_of_the_other_type_is_that_of_the_call_unless_both_are_used() {
    for (own, other) in [("7", "\"7\""), ("\"7\"", "7")] {
        for shared in [false, true] {
            let mut desk = if shared { Desk::shared() } else { Desk::default() };
            desk.call("a", ONE, &request(own, "1"));
            let (asked, answered) = if shared { ("\"0\"", own) } else { (other, other) };
            let answer = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
            desk.check(&answer(asked), &format!("a: {}", answer(answered)));
            desk.check(&answer(asked), "");
        }
        let mut desk = Desk::default();
        desk.call("a", ONE, &request(own, "1"));
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{own},"result":{{}}}}"#);
        desk.check(&answer, &format!("a: {answer}"));
        desk.call("b", ONE, &request(other, "1"));
        desk.check(&answer, "");
    }
}

#[test]
fn changes_go_to_listeners_and_the_rest_to_the_newest_call() {
    let mut desk = Desk::default();
    let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}"#;
    let question = r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}"#;
    desk.check(log, "");
    desk.call("a", ONE, &request("1", "1"));
    desk.call("b", ONE, &request("2", "2"));
    desk.check(changed, &format!("b: {changed}"));
    desk.listen("ear");
    desk.check(changed, &format!("ear: {changed}"));
    desk.check(log, &format!("b: {log}"));
    desk.check(question, &format!("b: {question}"));
    desk.inbox.forget(1);
    desk.check(log, &format!("a: {log}"));
    desk.inbox.forget(0);
    desk.check(question, &format!("ear: {question}"));
}

#[test]
fn on_a_shared_link_ids_and_tokens_are_its_own() {
    let mut desk = Desk::shared();
    assert_eq!(desk.call("a", ONE, &request("\"s\"", "\"t\"")), request("0", "0"));
    assert_eq!(desk.call("b", OTHER, &request("\"s\"", "\"t\"")), request("1", "1"));
    let progress = |token| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token}}}}}"#
        )
    };
    desk.check(&progress("1"), &format!("b: {}", progress("\"t\"")));
    desk.check(&progress("\"t\""), "");
    let cancel = |id| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
        )
    };
    let told = |desk: &Desk, member, text: String| {
        desk.inbox
            .translate(member, &Message::parse(text.into()).unwrap())
            .map(|text| String::from_utf8_lossy(&text).into_owned())
    };
    assert_eq!(told(&desk, OTHER, cancel("\"s\"")), Some(cancel("1")));
    assert_eq!(told(&desk, Member(3), cancel("\"s\"")), None);
    assert_eq!(told(&desk, ONE, progress("0")), None);
    desk.check(
        r#"{"jsonrpc":"2.0","id":0,"result":{}}"#,
        "a: {\"jsonrpc\":\"2.0\",\"id\":\"s\",\"result\":{}}",
    );
}

#[test]
fn on_a_shared_link_nobody_hears_what_may_be_about_somebody_else() {
    let mut desk = Desk::shared();
    desk.call("a", ONE, &request("1", "1"));
    desk.listen("ear");
    desk.check(
        r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}"#,
        "",
    );
    desk.check(r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}"#, "");
    let changed = r#"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}"#;
    desk.check(changed, &format!("ear: {changed}"));
}

#[test]
fn when_the_link_ends_nobody_waits_any_more() {
    let mut desk = Desk::default();
    desk.call("a", ONE, &request("1", "1"));
    desk.listen("ear");
    desk.inbox.end(end("broke"));
    desk.inbox.end(end("again"));
    assert_eq!(desk.inbox.ended().map(|end| &*end.why), Some("broke"));
    for (_, receiver) in &mut desk.receivers {
        assert!(matches!(receiver.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
    }
    assert!(!desk.inbox.listen(Queue::new().0));
    let message = Message::parse(Bytes::from(request("2", "2"))).unwrap();
    let late = Waiting::plain(2, &message, false, Queue::new().0).unwrap();
    assert!(!desk.inbox.enter(late));
}

#[test]
fn nobody_is_asked_or_told_anything_in_a_request_of_vmcps_own() {
    let mut desk = Desk::default();
    let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}"#;
    let question = r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}"#;
    desk.call("a", ONE, &request("1", "1"));
    desk.enter("own", ONE, &request("\"vmcp\"", "2"), true);
    desk.check(log, &format!("a: {log}"));
    desk.check(question, &format!("a: {question}"));
    desk.inbox.forget(0);
    desk.check(question, "");
    let ping = r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#;
    desk.check(ping, "");
}

#[test]
fn while_the_client_has_a_question_open_it_is_known() {
    let mut desk = Desk::default();
    let question = r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{}}"#;
    desk.call("a", ONE, &request("1", "1"));
    assert!(!desk.inbox.has_asked());
    desk.check(question, &format!("a: {question}"));
    assert!(desk.inbox.has_asked());
    let answer = r#"{"jsonrpc":"2.0","id":"q","result":{}}"#;
    desk.inbox.answering(&Message::parse(answer.into()).unwrap());
    assert!(!desk.inbox.has_asked());
    desk.check(question, &format!("a: {question}"));
    let back = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q"}}"#;
    desk.check(back, &format!("a: {back}"));
    assert!(!desk.inbox.has_asked());
}

#[test]
fn progress_finds_its_token_however_it_is_escaped() {
    let mut desk = Desk::default();
    desk.call("a", ONE, &request("1", "\"é/\""));
    desk.listen("ear");
    let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"\u00e9\/"}}"#;
    desk.check(progress, &format!("a: {progress}"));
}

#[test]
fn what_is_asked_before_anybody_is_there_waits_for_the_first() {
    let question = r#"{"jsonrpc":"2.0","id":"q","method":"roots/list"}"#;
    let change = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}"#;
    for listens in [true, false] {
        let mut desk = Desk::default();
        desk.inbox.hold_early();
        for text in [question, change] {
            let message = Message::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap();
            assert!(
                matches!(desk.inbox.whose(message, false), Whose::Of(queues, _) if queues.is_empty())
            );
        }
        assert!(!desk.inbox.has_asked(), "nobody yet");
        // A request of vmcp's own is nobody who could be asked.
        desk.enter("own", ONE, r#"{"jsonrpc":"2.0","id":"v","method":"ping"}"#, true);
        assert!(desk.receivers[0].1.try_recv().is_err());
        if listens {
            desk.listen("first");
        } else {
            desk.call("first", ONE, call);
        }
        assert!(desk.inbox.has_asked());
        for text in [question, change] {
            assert_eq!(text_of(&desk.receivers[1].1.try_recv().unwrap()), text);
        }
        assert!(desk.inbox.take_early().is_empty(), "and no more is kept");
    }
    let mut desk = Desk::default();
    desk.inbox.hold_early();
    let message = || Message::parse(Bytes::copy_from_slice(question.as_bytes())).unwrap();
    for _kept in 0..EARLY {
        assert!(matches!(desk.inbox.whose(message(), false), Whose::Of(..)));
    }
    assert!(matches!(desk.inbox.whose(message(), false), Whose::Nobodys(_)), "so many and no more");
}
