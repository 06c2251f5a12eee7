//! A client's or backend's body: read or refused, never a panic; what is spliced is read back.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use vmcp_wire::{ClientHello, Incoming, Message, ServerHello, split_question_id, task};

fuzz_target!(|body: &[u8]| {
    let body = Bytes::copy_from_slice(body);
    let messages = match Incoming::parse(body) {
        Ok(Incoming::Single(message)) => vec![message],
        Ok(Incoming::Batch(messages)) => messages,
        Err(_) => return,
    };
    for message in messages {
        let _hellos = (ClientHello::parse(&message).is_ok(), ServerHello::parse(&message).is_ok());
        if let Some(id) = message.id() {
            assert!(id.is(&id.key()));
            if let Some(text) = id.as_string() {
                let _split = split_question_id(&text);
            }
        }
        let published = task::publish(message.text(), "b", true);
        assert!(Message::parse(task::unpublish(&published, "b")).is_ok());
        if let Some(span) = message.params().name.clone() {
            let renamed = Message::parse(message.with_string(&span, "new \"name\""))
                .expect("still a message");
            let name = renamed.string(renamed.params().name.as_ref());
            assert_eq!(name.as_deref(), Some("new \"name\""));
        }
    }
});
