//! Dials a peer: TCP, TLS, the exchange of names, HTTP/2.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    error::{Error, Unreachable},
    goaway::Watched,
    hello::{Bad, Hello, Named, PROTOCOL, Verdict, Welcome},
    link::{H2, Link},
    names::Peer,
    peers::Shared,
    settings::{PIECE, QUEUE_BYTES, REACH, STREAM_WINDOW},
    socket::Socket,
    tls::{ALPN, Tls},
};

/// How long to wait before the same address is dialled again: the first time, then twice as long each time.
const PAUSE: Duration = Duration::from_millis(20);

/// Why one attempt failed.
enum Failed {
    /// So will the next one.
    Finally(Error),
    /// The other end closed the connection before it has said anything: it may have been displaced there by
    /// newer ones, of whoever opens many.
    Closed(Unreachable),
}

/// Opens a connection to a peer, within [`REACH`].
pub(crate) async fn dial(peer: &Peer, shared: &Shared) -> Result<(Arc<Link>, H2), Error> {
    let until = Instant::now() + REACH;
    let mut pause = PAUSE;
    let mut last = Unreachable::Slow(REACH);
    loop {
        shared.counters.note_dialled();
        match tokio::time::timeout_at(until, attempt(peer, shared)).await {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(Failed::Finally(error))) => return Err(error),
            Ok(Err(Failed::Closed(why))) => last = why,
            Err(_elapsed) => return Err(last.into()),
        }
        if Instant::now() + pause >= until {
            return Err(last.into());
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

async fn attempt(peer: &Peer, shared: &Shared) -> Result<(Arc<Link>, H2), Failed> {
    let configs = shared.tls.configs().ok_or(Error::NotReady)?;
    let configs = configs.map_err(|error| Unreachable::Handshake(error.to_string()))?;
    let socket = TcpStream::connect(peer.address).await.and_then(Socket::new);
    let socket = socket.map_err(|error| Unreachable::Connect(error.to_string()))?;
    let heard = socket.heard();
    let connector = TlsConnector::from(configs.client);
    let mut tls =
        connector.connect(Tls::server_name(), socket).await.map_err(|error| lost(&error))?;
    if tls.get_ref().1.alpn_protocol() != Some(ALPN) {
        return Err(Unreachable::Handshake("it speaks something else over TLS".to_owned()).into());
    }
    introduce(peer, shared, &mut tls).await?;
    let tls = Watched::new(tls);
    let last = tls.last_stream();
    let (send, h2) = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(shared.settings.connection_window())
        .initial_max_send_streams(shared.settings.streams as usize)
        .max_frame_size(PIECE)
        .max_send_buffer_size(QUEUE_BYTES)
        // Askers may take back all that they have asked, at once.
        .max_concurrent_reset_streams(shared.settings.streams as usize)
        .max_local_error_reset_streams(None)
        .handshake::<_, Bytes>(tls)
        .await
        .map_err(|error| Unreachable::Lost(error.to_string()))?;
    Ok((Link::new(peer.clone(), send, heard, last, shared), h2))
}

/// Says who asks and whom it means, and hears whether that is it.
async fn introduce(
    peer: &Peer,
    shared: &Shared,
    tls: &mut TlsStream<Socket>,
) -> Result<(), Failed> {
    let to = Named { name: peer.name.clone(), epoch: peer.epoch };
    let hello = Hello { from: shared.own_name(), to: to.clone() };
    hello.write(tls).await.map_err(|error| lost(&error))?;
    let welcome = match Welcome::read(tls).await {
        Ok(welcome) => welcome,
        Err(Bad::Io(error)) => return Err(lost(&error)),
        Err(Bad::Protocol(theirs)) => {
            return Err(Unreachable::OtherProtocol { ours: PROTOCOL, theirs }.into());
        }
        Err(bad @ Bad::Nonsense) => return Err(Unreachable::Handshake(bad.to_string()).into()),
    };
    match welcome.verdict {
        Verdict::Welcome if welcome.from == to => Ok(()),
        Verdict::Welcome | Verdict::NotIt => {
            let Named { name, epoch } = welcome.from;
            Err(Unreachable::NotIt { name, epoch }.into())
        }
        Verdict::Full => Err(Error::Busy("the replica has too many connections").into()),
        Verdict::Ending => Err(Unreachable::Ending.into()),
        Verdict::OtherProtocol => {
            let why = "it takes this protocol for another one".to_owned();
            Err(Unreachable::Handshake(why).into())
        }
    }
}

/// What it means that a connection was lost during the handshake.
fn lost(error: &io::Error) -> Failed {
    use rustls::{AlertDescription, CertificateError, Error as Tls};
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>());
    let told = match tls {
        Some(Tls::InvalidCertificate(CertificateError::ApplicationVerificationFailure)) => {
            "it shows none of the keys that the replicas of this deployment share".to_owned()
        }
        Some(Tls::AlertReceived(AlertDescription::AccessDenied)) => {
            "it does not take the key of this replica".to_owned()
        }
        _ => error.to_string(),
    };
    let why = Unreachable::Handshake(told);
    let is_closed = matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    );
    if is_closed { Failed::Closed(why) } else { why.into() }
}

impl<E: Into<Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Finally(error.into())
    }
}
