//! TLS 1.3 with raw public keys (RFC 7250) that come from the ring.
//!
//! Each key of the ring gives an Ed25519 key pair. A replica shows the one of the ring's current key, and
//! takes those of all keys in it. There are no certificates, so no time plays a part. Nothing is resumed: a
//! key that has left the ring is worth nothing at the next handshake.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig,
    SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, ring::sign::any_eddsa_type,
        verify_tls13_signature_with_raw_key,
    },
    pki_types::{
        CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
    },
    server::{
        AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};
use vmcp_keys::{KeyRing, peer_seed};

/// Gives the ring as it is now; `None` while it is not known.
pub type Keys = Arc<dyn Fn() -> Option<Arc<KeyRing>> + Send + Sync>;

/// What is spoken over TLS (ALPN). It names the channel; its protocol's number is told in the first exchange.
pub(crate) const ALPN: &[u8] = b"vmcp-peer";

/// The name that every replica is called by in a handshake.
const SERVER_NAME: &str = "vmcp-peer";

/// What comes before the bytes of a public key of Ed25519 as SubjectPublicKeyInfo (RFC 8410, section 4).
const PUBLIC: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// What comes before the seed of a private key of Ed25519 as PKCS #8 (RFC 8410, section 7).
const PRIVATE: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// Makes the configurations of handshakes out of the ring as it is then.
pub(crate) struct Tls {
    keys: Keys,
    scope: Vec<Vec<u8>>,
    /// What was made last, and for which ring.
    made: Mutex<Option<(Arc<KeyRing>, Configs)>>,
}

/// The two sides of a handshake.
#[derive(Debug, Clone)]
pub(crate) struct Configs {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
}

impl Tls {
    pub(crate) fn new(keys: Keys, scope: Vec<Vec<u8>>) -> Self {
        Self { keys, scope, made: Mutex::new(None) }
    }

    /// What a handshake is made with now; `None` while the ring is not known.
    pub(crate) fn configs(&self) -> Option<Result<Configs, rustls::Error>> {
        let ring = (self.keys)()?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, configs)) = &*made
            && *of == ring
        {
            return Some(Ok(configs.clone()));
        }
        let configs = configs(&ring, &self.scope);
        *made = configs.as_ref().ok().map(|configs| (ring, configs.clone()));
        Some(configs)
    }

    /// The name that the other end is called by.
    pub(crate) fn server_name() -> ServerName<'static> {
        ServerName::try_from(SERVER_NAME).expect("the name is one of DNS")
    }
}

fn configs(ring: &KeyRing, scope: &[Vec<u8>]) -> Result<Configs, rustls::Error> {
    let scope: Vec<&[u8]> = scope.iter().map(Vec::as_slice).collect();
    let own = peer_seed(&ring.current, &scope);
    let accepted =
        ring.all().map(|key| public(&peer_seed(key, &scope))).collect::<Result<_, _>>()?;
    let certified = Arc::new(certified(&own)?);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        Arc::new(Verifier { accepted, algorithms: provider.signature_verification_algorithms });

    let mut client = ClientConfig::builder_with_provider(Arc::<CryptoProvider>::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Verifier>::clone(&verifier))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(
            &certified,
        ))));
    client.alpn_protocols = vec![ALPN.to_vec()];
    client.resumption = Resumption::disabled();

    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified)));
    server.alpn_protocols = vec![ALPN.to_vec()];
    server.send_tls13_tickets = 0;
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.max_early_data_size = 0;
    Ok(Configs { client: Arc::new(client), server: Arc::new(server) })
}

/// A key pair as TLS shows it and signs with it.
fn certified(seed: &[u8; 32]) -> Result<CertifiedKey, rustls::Error> {
    let private = [PRIVATE.as_slice(), seed].concat();
    let key = any_eddsa_type(&PrivatePkcs8KeyDer::from(private))?;
    Ok(CertifiedKey::new(vec![CertificateDer::from(public(seed)?)], key))
}

/// The public key of a seed, as SubjectPublicKeyInfo.
fn public(seed: &[u8; 32]) -> Result<Vec<u8>, rustls::Error> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed);
    let pair = pair.map_err(|error| rustls::Error::General(error.to_string()))?;
    Ok([PUBLIC.as_slice(), pair.public_key().as_ref()].concat())
}

/// Takes the keys of the ring, and signatures by them.
struct Verifier {
    /// As SubjectPublicKeyInfo.
    accepted: Vec<Vec<u8>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn check(&self, shown: &[u8], more: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        if more.is_empty() && self.accepted.iter().any(|accepted| accepted == shown) {
            return Ok(());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn check_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if signed.scheme != SignatureScheme::ED25519 {
            return Err(rustls::PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }
}

/// TLS 1.2 is never spoken, so nothing signed in its way is taken.
fn no_tls12() -> Result<HandshakeSignatureValid, rustls::Error> {
    Err(rustls::PeerIncompatible::Tls12NotOffered.into())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(shown, more).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(shown, more).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("accepted", &self.accepted.len()).finish_non_exhaustive()
    }
}
