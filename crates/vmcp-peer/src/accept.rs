//! Takes connections: who dials is a stranger until TLS has shown a key of the ring.
//!
//! Strangers pass two rooms. In the first one they have sent nothing yet but a beginning; it costs nothing
//! but its socket. In the second one they have sent what TLS begins with, and the handshake is computed.
//! Each room has few places, and a newcomer displaces one that is in it: so those who say nothing keep nobody out.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rustls::server::Acceptor;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, server::TlsStream};

use crate::{
    hello::{Bad, Hello, Named, Verdict, Welcome},
    names::Asker,
    peers::Shared,
    room::Place,
    settings::HANDSHAKE,
    socket::{Heard, Socket},
    taken::{self, Entered},
    tls::ALPN,
    traffic::RefusedFor,
};

/// How long to wait when no socket can be accepted, which mostly means that there are no more descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Takes connections until it is time to stop.
pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    stop.run_until_cancelled(async {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => begin(stream, address, &shared),
                Err(error) => {
                    tracing::warn!(%error, "no connection of a peer could be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    })
    .await;
}

/// Begins with a connection, or refuses it before anything is computed for it.
fn begin(stream: TcpStream, address: SocketAddr, shared: &Arc<Shared>) {
    if shared.taken.count() >= shared.settings.connections {
        return shared.refuse(RefusedFor::Full, address, "there are as many as there may be");
    }
    if shared.tls.configs().is_none() {
        return shared.refuse(RefusedFor::NotReady, address, "the keys are not known yet");
    }
    let place = shared.waiting.enter(address.ip());
    let owner = Arc::clone(shared);
    shared.spawn(async move {
        let shared = &owner;
        match admit(stream, address, place, shared).await {
            Ok((tls, heard, taken)) => {
                shared.counters.note_taken();
                taken::serve(tls, heard, &taken, shared).await;
            }
            Err(NotAdmitted(why, told)) => shared.refuse(why, address, &told),
        }
    });
}

/// Why a connection was not admitted, in one word and in a sentence.
struct NotAdmitted(RefusedFor, String);

type Admitted = (TlsStream<Socket>, Arc<Heard>, Entered);

/// Shakes hands with whoever has dialled, and hears who that is.
async fn admit(
    stream: TcpStream,
    address: SocketAddr,
    waiting: Place,
    shared: &Shared,
) -> Result<Admitted, NotAdmitted> {
    let shake = async {
        let socket = Socket::new(stream).map_err(|error| lost(&error))?;
        let heard = socket.heard();
        let started = LazyConfigAcceptor::new(Acceptor::default(), socket);
        let started = unless_displaced(&waiting, started).await?.map_err(|error| lost(&error))?;
        let place = shared.handshakes.enter(address.ip());
        drop(waiting);
        let (tls, taken) = unless_displaced(&place, greet(started, address, shared)).await??;
        Ok((tls, heard, taken))
    };
    let shaken = tokio::time::timeout(HANDSHAKE, shake).await;
    shaken.unwrap_or_else(|_elapsed| Err(not(RefusedFor::Slow, "it took too long")))
}

async fn unless_displaced<F: Future>(place: &Place, work: F) -> Result<F::Output, NotAdmitted> {
    tokio::select! {
        done = work => Ok(done),
        () = place.displaced() => Err(not(RefusedFor::Displaced, "newer ones took its place")),
    }
}

/// Computes the handshake, and answers the first words.
async fn greet(
    started: StartHandshake<Socket>,
    address: SocketAddr,
    shared: &Shared,
) -> Result<(TlsStream<Socket>, Entered), NotAdmitted> {
    let configs = shared.tls.configs();
    let configs = configs.ok_or_else(|| not(RefusedFor::NotReady, "the keys are not known yet"))?;
    let configs = configs.map_err(|error| not(RefusedFor::Tls, error))?;
    let mut tls = started.into_stream(configs.server).await.map_err(|error| lost(&error))?;
    if tls.get_ref().1.alpn_protocol() != Some(ALPN) {
        return Err(not(RefusedFor::Tls, "it speaks something else over TLS"));
    }
    let (verdict, heard) = hear(&mut tls, address, shared).await?;
    let welcome = Welcome { verdict, from: shared.own_name() };
    let told = welcome.write(&mut tls).await;
    match (heard, told) {
        (Ok(taken), Ok(())) => Ok((tls, taken)),
        (Ok(_taken), Err(error)) => Err(lost(&error)),
        (Err(why), _) => Err(why),
    }
}

/// Hears who has dialled and whom it means, and decides.
async fn hear(
    tls: &mut TlsStream<Socket>,
    address: SocketAddr,
    shared: &Shared,
) -> Result<(Verdict, Result<Entered, NotAdmitted>), NotAdmitted> {
    let Hello { from, to } = match Hello::read(tls).await {
        Ok(hello) => hello,
        Err(Bad::Io(error)) => return Err(lost(&error)),
        Err(bad @ Bad::Protocol(_)) => {
            return Ok((Verdict::OtherProtocol, Err(not(RefusedFor::OtherProtocol, bad))));
        }
        Err(bad @ Bad::Nonsense) => return Err(not(RefusedFor::Nonsense, bad)),
    };
    if to != shared.own_name() {
        let Named { name, epoch } = to;
        let told = format!("{} means {name} (epoch {epoch})", from.name);
        return Ok((Verdict::NotIt, Err(not(RefusedFor::NotIt, told))));
    }
    if shared.stop.is_cancelled() {
        let told = "this replica is about to end";
        return Ok((Verdict::Ending, Err(not(RefusedFor::Ending, told))));
    }
    let asker = Asker { name: from.name.into(), epoch: from.epoch };
    let taken = shared.taken.enter(asker, address, shared.settings.connections);
    Ok(match taken {
        Some(taken) => (Verdict::Welcome, Ok(taken)),
        None => {
            let told = "there are as many as there may be";
            (Verdict::Full, Err(not(RefusedFor::Full, told)))
        }
    })
}

fn not(why: RefusedFor, told: impl ToString) -> NotAdmitted {
    NotAdmitted(why, told.to_string())
}

/// What it means that a handshake broke off.
fn lost(error: &io::Error) -> NotAdmitted {
    // What TLS finds wrong comes as such an error; all others are of the socket.
    let is_tls =
        error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>);
    not(if is_tls { RefusedFor::Tls } else { RefusedFor::Lost }, error)
}
