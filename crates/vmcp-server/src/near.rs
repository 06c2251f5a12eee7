//! Who is near: from where a request comes, and by which URL it was sent, once for all that need it.
//!
//! A proxy passes on the requests of others and says so in headers, which anybody can write. So they say
//! something only where the machine at the other end of the connection is one of `trustedProxies`, and
//! only as far as each machine on the way is one. That a request carries such a header at all is believed
//! of everybody: then it is not from this machine's own user.

use std::{fmt, net::IpAddr, str::FromStr};

use http::HeaderMap;
use ipnet::{IpNet, Ipv4Net};

use crate::origin::{InvalidPattern, Named};

use forwarded::{FORWARDED, Hop};

mod forwarded;

/// A network whose machines are believed what they say of the requests that they pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedNetwork(IpNet);

/// The proxies that are believed.
#[derive(Debug)]
pub(crate) struct TrustedProxies(Vec<TrustedNetwork>);

const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";
const X_FORWARDED_HOST: &str = "x-forwarded-host";

impl TrustedProxies {
    pub(crate) fn new(networks: Vec<TrustedNetwork>) -> Self {
        Self(networks)
    }

    /// The address of the client: what connections come from, or what the proxies on the way say.
    ///
    /// Of `X-Forwarded-For` and `Forwarded` a proxy writes one, and may pass the other on as its client wrote
    /// it. Where they disagree neither counts, and the address is that of the proxy. A proxy that leaves `for` out
    /// of `Forwarded` says nothing there that could disagree.
    pub(crate) fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        let mut listed = forwarded::from_the_end(headers, X_FORWARDED_FOR).peekable();
        let listed =
            listed.peek().is_some().then(|| self.followed(peer, listed.map(forwarded::address)).0);
        let mut is_left_open = false;
        let told = forwarded::hops(headers).map(|hop| {
            is_left_open = hop.is_some_and(|hop| !hop.names_client);
            hop.and_then(|hop| hop.client)
        });
        let (told, hops) = self.followed(peer, told);
        match listed {
            Some(listed) if listed != told && hops > 0 && !is_left_open => peer,
            Some(listed) => listed,
            None => told,
        }
    }

    /// The scheme and the host by which a client asked. `None` where a proxy has passed the request on that
    /// nobody trusts, or what proxies say is contradictory.
    ///
    /// `X-Forwarded-Proto` and `X-Forwarded-Host` may be lists, to which each proxy on the way has added. The
    /// piece of the first trusted one counts, which is as far from the end as `X-Forwarded-For` has hops that are
    /// believed. Proxies that replace what they were given leave fewer pieces: then it is the first.
    pub(crate) fn asked<'h>(
        &self,
        peer: IpAddr,
        headers: &'h HeaderMap,
        host: Named<'h>,
    ) -> Option<(&'static str, Named<'h>)> {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            // Connections to vmcp itself have no TLS.
            return (!is_forwarded(headers)).then_some(("http", host));
        }
        let Hop { proto, host: told, .. } = self.outermost(headers);
        let listed = forwarded::from_the_end(headers, X_FORWARDED_FOR).map(forwarded::address);
        let hops = self.followed(peer, listed).1.max(1);
        let outermost = |name| forwarded::from_the_end(headers, name).take(hops).last();
        let scheme = match agreed(outermost(X_FORWARDED_PROTO), proto)? {
            None => "http",
            Some(name) => ["http", "https"].into_iter().find(|known| is_same(known, name))?,
        };
        match agreed(outermost(X_FORWARDED_HOST), told)? {
            None => Some((scheme, host)),
            Some(told) => Some((scheme, Named::parse(told)?)),
        }
    }

    /// What the proxy says that took the request from the first machine which is not trusted.
    fn outermost<'h>(&self, headers: &'h HeaderMap) -> Hop<'h> {
        let mut outermost = Hop::default();
        for hop in forwarded::hops(headers) {
            let Some(hop) = hop else { break };
            outermost = hop;
            if !hop.client.is_some_and(|address| self.trusts(address)) {
                break;
            }
        }
        outermost
    }

    /// Follows the addresses that machines say requests came from, the nearest first, up to one that is not
    /// trusted, or that cannot be read: then the one before it counts. Says, too, how many trusted machines have
    /// said something.
    fn followed(
        &self,
        peer: IpAddr,
        addresses: impl Iterator<Item = Option<IpAddr>>,
    ) -> (IpAddr, usize) {
        let (mut last, mut hops) = (peer, 0);
        for address in addresses {
            hops += 1;
            let Some(address) = address else { break };
            last = address;
            if !self.trusts(address) {
                break;
            }
        }
        (last, hops)
    }

    /// Whether a proxy that nobody trusts has passed the request on.
    pub(crate) fn is_strangers(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        is_forwarded(headers) && !self.trusts(peer.to_canonical())
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.0.contains(&address))
    }
}

/// Whether a request comes from this machine, and nobody has passed it on for somebody else.
pub(crate) fn is_from_here(address: IpAddr, headers: &HeaderMap) -> bool {
    address.to_canonical().is_loopback() && !is_forwarded(headers)
}

/// Whether somebody has sent the request on for somebody else.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        name.starts_with("x-forwarded")
            || name.starts_with("x-original-")
            || matches!(
                name,
                FORWARDED
                    | "forwarded-for"
                    | "via"
                    | "client-ip"
                    | "x-real-ip"
                    | "x-client-ip"
                    | "x-cluster-client-ip"
                    | "x-remote-addr"
                    | "x-proxyuser-ip"
                    | "true-client-ip"
                    | "cf-connecting-ip"
                    | "cf-connecting-ipv6"
                    | "cdn-loop"
                    | "fastly-client-ip"
                    | "x-azure-clientip"
                    | "x-appengine-user-ip"
                    | "proxy-client-ip"
                    | "wl-proxy-client-ip"
                    | "x-envoy-external-address"
            )
    })
}

/// What two headers say of one thing, if either does. `None` if they disagree.
#[expect(clippy::option_option, reason = "nothing said and nothing to believe are two things")]
fn agreed<'h>(one: Option<&'h str>, other: Option<&'h str>) -> Option<Option<&'h str>> {
    match (one, other) {
        (Some(one), Some(other)) if !is_same(one, other) => None,
        (one, other) => Some(one.or(other)),
    }
}

fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

impl TrustedNetwork {
    /// Whether it is written as an address within the network, as in `10.1.2.3/8`.
    pub fn names_an_address(&self) -> bool {
        self.0 != self.0.trunc()
    }

    /// The same, written as a network.
    pub fn whole(&self) -> Self {
        Self(self.0.trunc())
    }

    /// Whether every address of its kind is in it.
    pub fn is_everything(&self) -> bool {
        self.0.prefix_len() == 0
    }
}

impl FromStr for TrustedNetwork {
    type Err = InvalidPattern;

    /// An address, or one with the length of its prefix. What maps IPv4 is IPv4.
    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let network = match text.parse::<IpAddr>() {
            Ok(address) => Some(IpNet::from(address)),
            Err(_) => text.parse::<IpNet>().ok(),
        };
        let network =
            network.ok_or(InvalidPattern("a network is an address, or one such as 10.0.0.0/8"))?;
        let mapped = match network {
            IpNet::V6(network) => {
                network.addr().to_ipv4_mapped().zip(network.prefix_len().checked_sub(96))
            }
            IpNet::V4(_) => None,
        };
        let mapped = mapped.and_then(|(address, length)| Ipv4Net::new(address, length).ok());
        Ok(Self(mapped.map_or(network, IpNet::V4)))
    }
}

impl fmt::Display for TrustedNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests;
