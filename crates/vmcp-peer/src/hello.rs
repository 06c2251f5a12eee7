//! The first exchange on a connection: who speaks, whom it means, and which protocol.
//!
//! Each side says one message: its length in two bytes (big-endian), the number of its protocol in four, and
//! what that protocol has there. Length and number stand there in every protocol, so that replicas of
//! different ones can tell each other which they speak.

use std::io;

use bytes::{Buf as _, BufMut as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::{names::is_name, settings::NAME_BYTES};

/// The protocol that this replica speaks. What is not understood by replicas of the version before gets another
/// number.
pub const PROTOCOL: u32 = 1;

/// Bytes of a message. Other protocols may have more to say than this one.
const MAX: usize = 1 << 10;

/// A replica by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) epoch: u64,
}

/// What the dialler says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) from: Named,
    pub(crate) to: Named,
}

/// What is said to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Welcome {
    pub(crate) verdict: Verdict,
    /// Who says it.
    pub(crate) from: Named,
}

/// Whether the dialler may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Welcome,
    /// It means another replica.
    NotIt,
    /// There are too many connections.
    Full,
    /// The replica is about to end.
    Ending,
    /// It speaks another protocol.
    OtherProtocol,
}

/// Why a message cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Bad {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it speaks protocol {0}")]
    Protocol(u32),
    #[error("its first words make no sense")]
    Nonsense,
}

impl Hello {
    pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Self, Bad> {
        let message = read(from).await?;
        let mut rest = message.as_slice();
        let hello = Self { from: named(&mut rest)?, to: named(&mut rest)? };
        if rest.is_empty() { Ok(hello) } else { Err(Bad::Nonsense) }
    }

    pub(crate) async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut message = Vec::new();
        put_named(&self.from, &mut message);
        put_named(&self.to, &mut message);
        write(&message, to).await
    }
}

impl Welcome {
    pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Self, Bad> {
        let message = read(from).await?;
        let (verdict, mut rest) = message.split_first().ok_or(Bad::Nonsense)?;
        let verdict = Verdict::ALL.get(usize::from(*verdict)).ok_or(Bad::Nonsense)?;
        let welcome = Self { verdict: *verdict, from: named(&mut rest)? };
        if rest.is_empty() { Ok(welcome) } else { Err(Bad::Nonsense) }
    }

    pub(crate) async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let at = Verdict::ALL.iter().position(|verdict| *verdict == self.verdict);
        let mut message = vec![at.and_then(|at| u8::try_from(at).ok()).unwrap_or_default()];
        put_named(&self.from, &mut message);
        write(&message, to).await
    }
}

impl Verdict {
    /// In the order of their numbers.
    const ALL: [Self; 5] =
        [Self::Welcome, Self::NotIt, Self::Full, Self::Ending, Self::OtherProtocol];
}

/// Reads a message of this protocol, without its length and number.
async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, Bad> {
    let length = usize::from(from.read_u16().await?);
    if !(4..=MAX).contains(&length) {
        return Err(Bad::Nonsense);
    }
    let protocol = from.read_u32().await?;
    let mut rest = vec![0; length - 4];
    from.read_exact(&mut rest).await?;
    if protocol == PROTOCOL { Ok(rest) } else { Err(Bad::Protocol(protocol)) }
}

async fn write(message: &[u8], to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let length = u16::try_from(4 + message.len()).map_err(io::Error::other)?;
    let mut whole = Vec::with_capacity(6 + message.len());
    whole.put_u16(length);
    whole.put_u32(PROTOCOL);
    whole.put_slice(message);
    to.write_all(&whole).await?;
    to.flush().await
}

fn put_named(named: &Named, into: &mut Vec<u8>) {
    let name = &named.name.as_bytes()[..named.name.len().min(NAME_BYTES)];
    into.put_u8(u8::try_from(name.len()).unwrap_or_default());
    into.put_slice(name);
    into.put_u64(named.epoch);
}

fn named(rest: &mut &[u8]) -> Result<Named, Bad> {
    let (length, tail) = rest.split_first().ok_or(Bad::Nonsense)?;
    let (name, mut tail) = tail.split_at_checked(usize::from(*length)).ok_or(Bad::Nonsense)?;
    let name = std::str::from_utf8(name).ok().filter(|name| is_name(name)).ok_or(Bad::Nonsense)?;
    let epoch = tail.try_get_u64().map_err(|_short| Bad::Nonsense)?;
    *rest = tail;
    Ok(Named { name: name.to_owned(), epoch })
}

#[cfg(test)]
mod tests;
