//! Why a backend cannot be reached, in words that say what to do.

use std::io;

use rustls::{CertificateError, Error as TlsError};

/// Why there is no connection of TCP with this host and port.
pub(super) fn tcp(error: &io::Error, host: &str, port: u16) -> String {
    let text = error.to_string();
    if error.kind() == io::ErrorKind::ConnectionRefused {
        return format!("nothing listens at {host}:{port} (connection refused); is it running?");
    }
    match text.strip_prefix("failed to lookup address information: ") {
        Some(why) => format!("the name {host} is not known ({why}); is its URL right?"),
        None => text,
    }
}

/// Why there is no connection of TLS with this host. `has_bundle` says that configuration names the
/// authorities to trust.
pub(super) fn tls(error: &io::Error, host: &str, has_bundle: bool) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    match inner {
        Some(TlsError::InvalidMessage(_)) => {
            "what it says is not TLS; does its URL begin with http://?".to_owned()
        }
        // Another authority of the same name, or of none.
        Some(TlsError::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) if has_bundle => "no authority in caBundlePath vouches for its certificate".to_owned(),
        Some(TlsError::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => "no authority that this machine trusts vouches for its certificate; \
             name the PEM file of its authority in caBundlePath"
            .to_owned(),
        Some(TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => format!("its certificate is not for the name {host}; is its URL right?"),
        // So do certificates that openssl makes unless it is told otherwise.
        Some(TlsError::InvalidCertificate(other))
            if format!("{other:?}").contains("CaUsedAsEndEntity") =>
        {
            "its certificate is that of an authority (CA:TRUE), which no server may show; \
             make one with basicConstraints=CA:FALSE"
                .to_owned()
        }
        Some(error) => error.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it closed the connection when TLS was to begin; does its URL begin with http://?"
                .to_owned()
        }
        None => error.to_string(),
    }
}

/// Whether what came in the place of an answer of HTTP is a record of TLS (RFC 8446, section 5.1): an alert,
/// as a rule.
pub(super) fn is_tls(arrived: &[u8]) -> bool {
    matches!(arrived, [0x14..=0x17, 3, ..])
}
