//! Which connection a request goes over, and when one is closed.

use super::{
    super::{
        connection::{Connection, Failure},
        socket::Socket,
    },
    *,
};
use crate::{gauge::Open, stats::Connections};

/// Whether a second request goes over the connection on which this was answered.
async fn goes_on(answer: &str) -> bool {
    let peer = Peer::start().await;
    let serving = async {
        let mut first = peer.accept().await;
        first.asked().await;
        first.say(answer).await;
        if answer.ends_with("close") {
            drop(first);
            peer.accept().await.0.write_all(OK.as_bytes()).await.unwrap();
            return false;
        }
        tokio::select! {
            again = first.asked_or_closed() => {
                if again.is_some() {
                    first.say(OK).await;
                    return true;
                }
                peer.accept().await.0.write_all(OK.as_bytes()).await.unwrap();
                false
            }
            mut second = peer.accept() => {
                second.asked().await;
                second.say(OK).await;
                false
            }
        }
    };
    let asking = async {
        peer.ask("{}").await.unwrap();
        pause().await;
        peer.ask("{}").await.unwrap();
    };
    let ((), goes_on) = tokio::join!(asking, serving);
    goes_on
}

#[tokio::test]
async fn a_connection_is_used_again_if_it_can_be() {
    for answer in [
        OK,
        "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nkeep-alive: timeout=5\r\n\r\n{}",
    ] {
        assert!(goes_on(answer).await, "{answer}");
    }
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: x, Close\r\n\r\n{}",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{} ",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n ",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nkeep-alive: timeout=1\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\n\r\nuntil close",
    ] {
        assert!(!goes_on(answer).await, "{answer}");
    }
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_is_not_used() {
    let peer = Peer::start().await;
    let serving = async {
        let mut first = peer.accept().await;
        first.asked().await;
        first.say(OK).await;
        // A request that came here would be answered with nothing.
        drop(first);
        let mut second = peer.accept().await;
        let asked = second.asked().await;
        second.say(OK).await;
        asked
    };
    let asking = async {
        peer.ask("1").await.unwrap();
        pause().await;
        peer.ask("2").await.unwrap();
    };
    let ((), asked) = tokio::join!(asking, serving);
    assert!(asked.ends_with("\r\n\r\n2"), "{asked}");
}

#[tokio::test]
async fn what_a_backend_says_unasked_answers_nothing() {
    let peer = Peer::start().await;
    let serving = async {
        let mut first = peer.accept().await;
        first.asked().await;
        first.say(OK).await;
        pause().await;
        first.say("HTTP/1.1 500 Poison\r\ncontent-length: 0\r\n\r\n").await;
        let mut second = peer.accept().await;
        second.asked().await;
        second.say(OK).await;
    };
    let asking = async {
        peer.ask("1").await.unwrap();
        for _turn in 0..10 {
            pause().await;
        }
        assert_eq!(peer.ask("2").await.unwrap().0, 200);
    };
    tokio::join!(asking, serving);
}

#[tokio::test]
async fn pruning_closes_what_the_backend_has_closed() {
    let peer = Peer::start().await;
    let serving = async {
        let mut accepted = peer.accept().await;
        accepted.asked().await;
        accepted.say(OK).await;
        accepted.0.shutdown().await.unwrap();
        accepted
    };
    let (asked, accepted) = tokio::join!(peer.ask("{}"), serving);
    asked.unwrap();
    pause().await;
    peer.http.prune();
    accepted.wait_for_end().await;
}

#[tokio::test]
async fn what_is_given_up_closes_its_connection() {
    // Before the answer.
    let peer = Peer::start().await;
    let serving = async {
        let mut accepted = peer.accept().await;
        accepted.asked().await;
        accepted
    };
    let accepted = tokio::select! {
        answered = peer.ask("{}") => panic!("{answered:?}"),
        accepted = serving => accepted,
    };
    accepted.wait_for_end().await;

    // In the middle of it.
    let serving = async {
        let mut accepted = peer.accept().await;
        accepted.asked().await;
        accepted.say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n{}").await;
        accepted
    };
    let (response, accepted) = tokio::join!(peer.post("{}"), serving);
    drop(response.unwrap());
    accepted.wait_for_end().await;
}

/// The answer to a body that the server does not read.
async fn early(then: impl AsyncFnOnce(Accepted)) {
    let refusal = "HTTP/1.1 413 Too Large\r\ncontent-length: 4\r\n\r\nmuch";
    let peer = Peer::start().await;
    let serving = async {
        let mut accepted = peer.accept().await;
        let mut byte = [0];
        accepted.0.read_exact(&mut byte).await.unwrap();
        accepted.say(refusal).await;
        then(accepted).await;
    };
    let (answered, ()) = tokio::join!(peer.ask(vec![b'x'; 4 << 20]), serving);
    let (status, body) = answered.unwrap();
    assert_eq!((status.as_u16(), &body[..]), (413, &b"much"[..]));
}

#[tokio::test]
async fn a_body_may_be_answered_before_it_has_left() {
    // The connection is of no use then: the rest of the body would be taken for a request.
    early(async |accepted| accepted.wait_for_end().await).await;
    // A server that closes it at once has the rest refused by its system.
    early(async |accepted| drop(accepted)).await;
}

#[tokio::test]
async fn a_body_that_is_welcome_goes_on_though_it_is_answered_already() {
    const BODY: usize = 4 << 20;
    let peer = Peer::start().await;
    let serving = async {
        let mut accepted = peer.accept().await;
        accepted.0.read_exact(&mut [0]).await.unwrap();
        accepted.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await;
        let mut rest = vec![0; BODY];
        accepted.0.read_exact(&mut rest).await.unwrap();
        accepted.say("{}").await;
    };
    let (answered, ()) = tokio::join!(peer.ask(vec![b'x'; BODY]), serving);
    assert_eq!(answered.unwrap().1, "{}");
}

#[tokio::test]
async fn a_request_that_has_left_is_not_sent_twice() {
    let peer = Peer::start().await;
    let serving = async {
        let mut first = peer.accept().await;
        first.asked().await;
        first.say(OK).await;
        first.asked().await;
        drop(first);
    };
    let asking = async {
        peer.ask("1").await.unwrap();
        peer.ask("2").await
    };
    let (asked, ()) = tokio::join!(asking, serving);
    assert!(matches!(asked, Err(Error::Broken(_))), "{asked:?}");
    let again = timeout(Duration::from_millis(50), peer.listener.accept()).await;
    assert!(again.is_err(), "it went out again");
}

#[tokio::test]
async fn connections_are_counted_while_they_are_open() {
    let peer = Peer::start().await;
    let counts = |used, idle| assert_eq!(peer.http.connections(), Connections { used, idle });
    counts(0, 0);
    let answering = async {
        let mut accepted = peer.accept().await;
        accepted.asked().await;
        accepted.say(OK).await;
        accepted
    };
    let (answer, mut accepted) = tokio::join!(peer.post("{}"), answering);
    let body = answer.unwrap().into_body();
    counts(1, 0);
    body.collect(2).await.unwrap();
    counts(0, 1);
    let answering = async {
        accepted.asked().await;
        accepted.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{").await;
    };
    let (answer, ()) = tokio::join!(peer.post("{}"), answering);
    counts(1, 0);
    // Its end is not waited for.
    drop(answer);
    counts(0, 0);
}

#[tokio::test]
async fn a_request_of_which_nothing_has_left_is_unsent() {
    let peer = Peer::start().await;
    let address = peer.listener.local_addr().unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _accepted = peer.accept().await;
    // The system takes nothing more, just as if it had heard that the other end is gone.
    stream.shutdown().await.unwrap();
    let mut connection = Connection::new(Socket::Plain(stream), Open::default().enter());
    assert!(connection.is_quiet());
    let sent = connection.exchange(("head".as_bytes().into(), "body".into())).await;
    assert!(matches!(sent, Err(Failure::Unsent)), "{sent:?}");
}

#[tokio::test]
async fn a_backend_that_is_not_there_is_unreachable() {
    let Peer { listener, http } = Peer::start().await;
    drop(listener);
    let asked = http.post(None, "{}".into(), true, None).await;
    assert!(matches!(asked, Err(Error::Unreachable(_))), "{asked:?}");
}
