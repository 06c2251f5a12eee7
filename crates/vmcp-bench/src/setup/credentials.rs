//! What the backend is shown, and what the caller shows.

use std::net::SocketAddr;

/// A token that never ends, of an issuer whose key is known to nobody any more.
const TOKEN: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImJlbmNoIn0.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlIiwic3ViIjoiYWxpY2UiLCJhdWQiOiJiZW5jaCIsImlhdCI6MTcwMDAwMDAwMCwiZXhwIjo0MTAyNDQ0ODAwfQ.cQN45q4eSdmerJ9P_BjBQHnus4T6Gf2QgXi3npXYA8Ry81EEY9WiU9jQHAdI46KTVnXIkcFt5OcHq02S5IxWhw";

/// What a backend is shown, and by which callers vmcp is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Nothing, by anybody.
    None,
    /// The same header, whoever calls.
    Header,
    /// The same header, by callers who show a token.
    HeaderForCallers,
    /// A token of vmcp's own, which is at hand.
    Own,
    /// A token that is exchanged for the caller's, and is at hand.
    OfCaller,
}

impl Credentials {
    /// The token that the client shows.
    pub(crate) fn token(self) -> Option<&'static str> {
        match self {
            Self::None | Self::Header | Self::Own => None,
            Self::HeaderForCallers | Self::OfCaller => Some(TOKEN),
        }
    }

    /// `incomingAuth` but for the policies.
    pub(super) fn incoming(self, backend: SocketAddr) -> String {
        match self.token() {
            None => "  type: anonymous\n".to_owned(),
            Some(_) => format!(
                "  type: oidc\n  oidc:\n    issuer: https://idp.example\n    audience: bench\n    \
                 resource: https://mcp.example/mcp\n    jwksUrl: http://{backend}/keys\n    \
                 insecureAllowHttp: true\n    jwksAllowPrivateIp: true\n"
            ),
        }
    }

    /// `outgoingAuth`.
    pub(super) fn outgoing(self, backend: SocketAddr) -> String {
        let strategy = match self {
            Self::None => return "  source: inline\n".to_owned(),
            // As long as the token in its place.
            Self::Header | Self::HeaderForCallers => {
                "type: header_injection, headerInjection: {headerName: Authorization, \
                 headerValue: Bearer a-token-of-the-bench}"
                    .to_owned()
            }
            Self::Own => format!(
                "type: client_credentials, clientCredentials: {{tokenUrl: 'http://{backend}/token', \
                 clientId: bench, clientSecret: secret}}"
            ),
            Self::OfCaller => format!(
                "type: token_exchange, tokenExchange: {{tokenUrl: 'http://{backend}/token', clientId: bench}}"
            ),
        };
        format!("  source: inline\n  default: {{{strategy}}}\n")
    }
}
