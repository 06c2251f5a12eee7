//! Streams that are produced and read in one process.

use bytes::Bytes;

use super::{Closed, Frames};
use crate::error::{Error, Refusal};

#[tokio::test]
async fn frames_come_in_order_and_end() {
    let (sender, mut frames) = Frames::channel();
    for number in 0..10_u8 {
        sender.send(vec![number]).await.unwrap();
    }
    sender.finish();
    for number in 0..10_u8 {
        assert_eq!(frames.next().await.unwrap().as_deref(), Some(&[number][..]));
    }
    assert_eq!(frames.next().await, Ok(None));
    assert_eq!(frames.next().await, Ok(None), "it says so again");
}

#[tokio::test]
async fn a_producer_waits_for_its_reader() {
    let (sender, mut frames) = Frames::channel();
    let frame = Bytes::from(vec![0; 200 << 10]);
    sender.send(frame.clone()).await.unwrap();
    let mut second = Box::pin(sender.send(frame));
    assert!(is_pending(&mut second), "there is no room for it");
    frames.next().await.unwrap();
    second.await.unwrap();
    let (sender, _frames) = Frames::channel();
    for _ in 0..64 {
        sender.send("").await.unwrap();
    }
    assert!(is_pending(&mut Box::pin(sender.send(""))), "the count has a bound, too");
}

#[tokio::test]
async fn one_frame_may_be_larger_than_the_room() {
    let (sender, mut frames) = Frames::channel();
    sender.send(vec![1; 3 << 20]).await.unwrap();
    let mut second = Box::pin(sender.send("x"));
    assert!(is_pending(&mut second));
    assert_eq!(frames.next().await.unwrap().unwrap().len(), 3 << 20);
    second.await.unwrap();
}

#[tokio::test]
async fn an_end_finds_room_however_much_waits() {
    let (sender, mut frames) = Frames::channel();
    for _ in 0..64 {
        sender.send("x").await.unwrap();
    }
    sender.refuse(Refusal::new(9, "enough"));
    for _ in 0..64 {
        frames.next().await.unwrap().unwrap();
    }
    let refused = Err(Error::Refused(Refusal::new(9, "enough")));
    assert_eq!(frames.next().await, refused);
    assert_eq!(frames.next().await, refused, "it says so again");
}

#[tokio::test]
async fn a_reader_that_is_dropped_is_noticed() {
    let (sender, frames) = Frames::channel();
    sender.send(vec![0; 256 << 10]).await.unwrap();
    let mut waiting = Box::pin(sender.send("x"));
    assert!(is_pending(&mut waiting));
    drop(frames);
    assert_eq!(waiting.await, Err(Closed));
    sender.closed().await;
    assert!(sender.is_closed());
    assert_eq!(sender.send("x").await, Err(Closed));
}

#[tokio::test]
async fn a_stream_that_was_cut_has_not_ended() {
    let (sender, mut frames) = Frames::channel();
    sender.send("x").await.unwrap();
    drop(sender);
    assert!(frames.next().await.unwrap().is_some());
    assert!(matches!(frames.next().await, Err(Error::Gone(_))));
}

#[tokio::test]
async fn one_frame_is_one_frame() {
    assert_eq!(Frames::one("x").only().await.unwrap(), "x");
    let (sender, frames) = Frames::channel();
    sender.finish();
    assert!(matches!(frames.only().await, Err(Error::Protocol(_))));
    let (sender, frames) = Frames::channel();
    sender.send("x").await.unwrap();
    sender.send("y").await.unwrap();
    assert!(matches!(frames.only().await, Err(Error::Protocol(_))));
}

fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::Pin::new(future).poll(&mut context).is_pending()
}
