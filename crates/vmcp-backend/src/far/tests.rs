//! What travels between replicas is read as it was written.

use std::time::Duration;

use bytes::Bytes;
use vmcp_credentials::Unavailable;

use super::{
    errors,
    wire::{Asked, Frame},
};
use crate::error::Error;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn requests_are_read_as_they_were_written() {
    let text = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    let all = [
        Asked::Call { text: text.clone(), is_own: false },
        Asked::Call { text: text.clone(), is_own: true },
        Asked::Tell(text),
        Asked::Tell(Bytes::new()),
        Asked::Listen { overhears: false },
        Asked::Listen { overhears: true },
    ];
    for asked in all {
        assert_eq!(Asked::read(asked.written()).unwrap(), asked);
    }
}

#[test]
fn what_nobody_here_writes_is_refused() {
    for text in [&b""[..], b"?", b"z and more"] {
        assert!(matches!(Asked::read(Bytes::from_static(text)), Err(Error::Held { .. })));
        assert!(matches!(Frame::read(Bytes::from_static(text)), Err(Error::Held { .. })));
    }
}

#[test]
fn frames_are_read_as_they_were_written() {
    let text = Bytes::from_static(b"{}");
    let all = [
        Frame::Accepted,
        Frame::Ready(text.clone()),
        Frame::Stream { has_begun: true },
        Frame::Stream { has_begun: false },
        Frame::Message(text),
        Frame::HasAsked(true),
        Frame::HasAsked(false),
        Frame::Failed(Error::SessionLost),
    ];
    for frame in all {
        let read = Frame::read(frame.written()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{frame:?}"));
    }
}

/// By them it is decided whether something may be sent again.
#[test]
fn errors_are_read_as_they_were_written() {
    let said = || Some(Box::<str>::from("out of memory"));
    let why = || "it did".to_owned();
    let all = [
        Error::SessionLost,
        Error::SessionGone { status: 404 },
        Error::Unreachable(why()),
        Error::Broken(why()),
        Error::LinkEnded { why: why(), in_call: true, said: said() },
        Error::LinkEnded { why: why(), in_call: false, said: None },
        Error::NotReady { after: SECOND, said: said().unwrap() },
        Error::Timeout(SECOND),
        Error::Refused { status: 503, said: said(), denial: None },
        Error::Protocol(why()),
        Error::TooLarge { what: "answered with a line", limit: 7, key: "eventBytes" },
        Error::Excessive(why()),
        Error::Busy { what: "requests under way", key: "limits.callsPerBackend", limit: 3 },
        Error::Ended,
    ];
    for error in all {
        let read = errors::read(&errors::written(&error));
        assert_eq!(format!("{read:?}"), format!("{error:?}"));
    }
}

#[test]
fn what_cannot_be_told_as_it_is_does_not_seem_harmless() {
    let sent_nothing = [
        Error::LeftAlone { again_in: SECOND },
        Error::NoCredential(Unavailable::Caller("another role".into())),
        Error::Held { why: "is gone".into(), in_call: false },
    ];
    for error in sent_nothing {
        let read = errors::read(&errors::written(&error));
        assert!(read.sent_nothing() && read.to_string().contains(&error.to_string()), "{read}");
    }
    let gone =
        errors::read(&errors::written(&Error::Held { why: "is gone".into(), in_call: true }));
    for error in [gone, errors::read(b"{\"kind\":\"newer\"}"), errors::read(b"nonsense")] {
        assert!(!error.sent_nothing() && !matches!(error, Error::SessionLost), "{error}");
    }
    // Bounds that another version has.
    let busy = errors::read(br#"{"kind":"busy","what":"new things","key":"limits.new","limit":3}"#);
    assert!(matches!(busy, Error::Busy { limit: 3, .. }), "{busy}");
}
