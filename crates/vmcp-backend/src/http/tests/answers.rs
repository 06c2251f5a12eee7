//! What is made of an answer, however its bytes come.

use super::*;

/// What a client has that is answered with these bytes, all at once and one at a time, whereupon the
/// connection is closed.
async fn check(answer: &str, expected: Result<(u16, &str), &str>) {
    for step in [usize::MAX, 1] {
        let peer = Peer::start().await;
        let serving = async {
            let mut accepted = peer.accept().await;
            accepted.asked().await;
            for piece in answer.as_bytes().chunks(step) {
                // Who has heard enough closes the connection.
                let _said = accepted.0.write_all(piece).await;
                tokio::task::yield_now().await;
            }
        };
        let (answered, ()) = tokio::join!(peer.ask("{}"), serving);
        let about = answer.chars().take(200).collect::<String>();
        match (answered, expected) {
            (Ok((status, body)), Ok(expected)) => {
                assert_eq!((status.as_u16(), std::str::from_utf8(&body).unwrap()), expected);
            }
            (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected, "{about}"),
            (answered, expected) => panic!("{about}: {answered:?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn the_end_of_a_body_is_found() {
    check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", Ok((200, "{}"))).await;
    check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}", Ok((200, "{}")))
        .await;
    check("HTTP/1.1 202 \r\ncontent-length: 0\r\n\r\n", Ok((202, ""))).await;
    check("HTTP/1.1 204 No Content\r\n\r\n", Ok((204, ""))).await;
    check("HTTP/1.1 200 OK\r\n\r\nuntil it closes", Ok((200, "until it closes"))).await;
    check("HTTP/1.0 200 OK\r\n\r\nuntil it closes", Ok((200, "until it closes"))).await;
    check("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}", Ok((200, "{}"))).await;
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    check(&format!("{chunked}3\r\none\r\n0A;x=\"y\"\r\n0123456789\r\n0\r\n\r\n"), {
        Ok((200, "one0123456789"))
    })
    .await;
    check(&format!("{chunked}2 ;a\r\n{{}}\r\n00\r\nx-sum: 1\r\ny: 2\r\n\r\n"), Ok((200, "{}")))
        .await;
    check(&format!("{chunked}0\r\n\r\n"), Ok((200, ""))).await;
}

#[tokio::test]
async fn interim_responses_are_left_out() {
    let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    check(&format!("HTTP/1.1 100 Continue\r\n\r\n{hint}{OK}"), Ok((200, "{}"))).await;
    check(&format!("{}{OK}", hint.repeat(16)), Ok((200, "{}"))).await;
    check(&format!("{}{OK}", hint.repeat(17)), Err("sends more than 16 interim responses")).await;
    check(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        Err("switches to another protocol unasked"),
    )
    .await;
}

#[tokio::test]
async fn a_length_that_can_be_understood_in_two_ways_is_refused() {
    let ambiguous = Err(
        "broke off: its answer cannot be understood: the length of the body is told in more than one way",
    );
    let of = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n");
    check(&of("content-length: 2\r\ncontent-length: 3"), ambiguous).await;
    check(&of("content-length: 2\r\ntransfer-encoding: chunked"), ambiguous).await;
    check(&of("transfer-encoding: chunked\r\ncontent-length: 2"), ambiguous).await;
    let coding = "the body has another transfer coding than chunked";
    let unknown = format!("broke off: its answer cannot be understood: {coding}");
    check(&of("transfer-encoding: gzip, chunked"), Err(&unknown)).await;
    check(&of("transfer-encoding: chunked\r\ntransfer-encoding: chunked"), Err(&unknown)).await;
    for length in ["+2", "2, 2", "0x2", "", "99999999999999999999"] {
        let malformed =
            "broke off: its answer cannot be understood: the head is not one of HTTP/1.1";
        check(&of(&format!("content-length: {length}")), Err(malformed)).await;
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_none() {
    check("", Err("broke off: the connection was closed before the answer")).await;
    check("HTTP/1.1 200", {
        Err("broke off: the connection was closed in the middle of the answer")
    })
    .await;
    let truncated = Err("broke off: the connection was closed in mid-body");
    check("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}", truncated).await;
    check("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{}", truncated).await;
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for body in ["", "2", "2\r\n", "2\r\n{}", "2\r\n{}\r\n", "2\r\n{}\r\n0\r\n", "3\r\n{}"] {
        check(&format!("{chunked}{body}"), truncated).await;
    }
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let malformed =
        Err("broke off: its answer cannot be understood: the head is not one of HTTP/1.1");
    // Said by a server that waits for an answer.
    check("SSH-2.0-OpenSSH_9.9\r\n", malformed).await;
    check("HTTP/2 200 OK\r\n\r\n", malformed).await;
    check("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", malformed).await;
    check("HTTP/1.1 200 OK\r\na : b\r\n\r\n", malformed).await;
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let size = Err("broke off: a chunk does not begin with its size");
    check(&format!("{chunked}x\r\n"), size).await;
    check(&format!("{chunked}2\n{{}}\r\n"), size).await;
    let end = Err("broke off: a chunk does not end where it should");
    check(&format!("{chunked}2\r\n{{}}}}\r\n"), end).await;
}

#[tokio::test]
async fn a_head_has_a_bound() {
    let endless = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(70 << 10));
    let expected = "broke off: its answer cannot be understood: \
         the head is longer than 65536 bytes, or has more than 100 lines";
    check(&endless, Err(expected)).await;
    let lines = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101));
    check(&lines, Err(expected)).await;
}

/// A body comes as it was sent, in pieces no longer than they may be.
async fn comes_as_it_was(length: usize, at_once: usize) -> Vec<usize> {
    let peer = Peer::start().await;
    let sent: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let serving = async {
        let mut accepted = peer.accept().await;
        accepted.asked().await;
        accepted.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n")).await;
        for piece in sent.chunks(at_once) {
            accepted.say(piece).await;
            tokio::task::yield_now().await;
        }
        accepted
    };
    let reading = async {
        let mut body = peer.post("{}").await.unwrap().into_body();
        let (mut pieces, mut whole) = (Vec::new(), Vec::new());
        while let Some(piece) = body.chunk().await {
            let piece = piece.unwrap();
            pieces.push(piece.len());
            whole.extend_from_slice(&piece);
        }
        assert!(body.is_end());
        (pieces, whole)
    };
    let ((pieces, whole), _accepted) = tokio::join!(reading, serving);
    assert!(whole == sent, "{} bytes, not {length}", whole.len());
    pieces
}

#[tokio::test]
async fn a_short_body_comes_in_one_piece() {
    for length in [1, 2000, 5000, 65535, 65536] {
        assert_eq!(comes_as_it_was(length, 1000).await, [length]);
    }
}

#[tokio::test]
async fn a_long_body_comes_as_it_arrives() {
    let pieces = comes_as_it_was(4 << 20, 1 << 20).await;
    assert!(pieces.iter().all(|&piece| piece <= 128 << 10), "{pieces:?}");
    comes_as_it_was(65537, 999).await;
}

#[tokio::test]
async fn a_piece_that_is_not_waited_for_is_not_lost() {
    let peer = Peer::start().await;
    let serving = async {
        let mut accepted = peer.accept().await;
        accepted.asked().await;
        accepted.say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab").await;
        accepted
    };
    let (response, mut accepted) = tokio::join!(peer.post("{}"), serving);
    let mut body = response.unwrap().into_body();
    for piece in ["c", "d"] {
        tokio::select! {
            biased;
            piece = body.chunk() => panic!("{piece:?}"),
            () = pause() => {}
        }
        accepted.say(piece).await;
    }
    assert_eq!(body.collect(4).await.unwrap(), "abcd");
}

#[tokio::test]
async fn a_body_beyond_its_bound_is_an_error() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n12345",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n12\r\n3\r\n345\r\n0\r\n\r\n",
    ] {
        let peer = Peer::start().await;
        let serving = async {
            let mut accepted = peer.accept().await;
            accepted.asked().await;
            accepted.say(answer).await;
            accepted
        };
        let (response, _accepted) = tokio::join!(peer.post("{}"), serving);
        let collected = response.unwrap().into_body().collect(4).await;
        assert!(matches!(collected, Err(Error::TooLarge { limit: 4, .. })), "{collected:?}");
    }
}
