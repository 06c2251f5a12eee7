//! Strangers: clients and servers that are made here by themselves, out of the RFCs, and can do wrong.

use std::{io, net::SocketAddr, sync::Arc};

use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
    client::{
        AlwaysResolvesClientRawPublicKeys, ResolvesClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    server::{
        AlwaysResolvesServerRawPublicKeys,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream, server};
use tokio_util::task::TaskTracker;
use vmcp_keys::{Key, peer_seed};

/// Numbers of verdicts.
pub(crate) const WELCOME: u8 = 0;
pub(crate) const OTHER_PROTOCOL: u8 = 4;

/// A client of its own making. Who it connects to it believes.
pub(crate) struct Stranger {
    key: Shown,
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    pub(crate) alpn: Vec<Vec<u8>>,
    /// Takes raw public keys, as they are shown here.
    pub(crate) takes_raw_keys: bool,
}

/// What it shows for itself.
enum Shown {
    Nothing,
    Raw([u8; 32]),
    Certificate(Arc<CertifiedKey>),
}

/// A stranger that has shaken hands.
pub(crate) struct Connected {
    pub(crate) tls: TlsStream<TcpStream>,
}

/// An answer to the first words.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) protocol: u32,
    pub(crate) verdict: u8,
}

impl Stranger {
    pub(crate) fn showing_nothing() -> Self {
        Self::new(Shown::Nothing)
    }

    /// One that knows a secret of the deployment of these tests.
    pub(crate) fn with_secret(secret: u8) -> Self {
        Self::new(Shown::Raw(seed(secret)))
    }

    /// One with a certificate, for the very key that is known.
    pub(crate) fn with_certificate(secret: u8) -> Self {
        let private = PrivatePkcs8KeyDer::from(private(&seed(secret)));
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&private, &rcgen::PKCS_ED25519);
        let pair = pair.unwrap();
        let certificate = rcgen::CertificateParams::new(["vmcp-peer".to_owned()]).unwrap();
        let certificate = certificate.self_signed(&pair).unwrap();
        let key = rustls::crypto::ring::sign::any_eddsa_type(&private).unwrap();
        Self::new(Shown::Certificate(Arc::new(CertifiedKey::new(
            vec![certificate.der().clone()],
            key,
        ))))
    }

    fn new(key: Shown) -> Self {
        let versions = vec![&rustls::version::TLS13];
        Self { key, versions, alpn: vec![b"vmcp-peer".to_vec()], takes_raw_keys: true }
    }

    pub(crate) async fn connect(self, address: SocketAddr) -> io::Result<Connected> {
        let stream = TcpStream::connect(address).await?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Believing(self.takes_raw_keys)));
        let mut config = match self.key {
            Shown::Nothing => builder.with_no_client_auth(),
            Shown::Raw(seed) => builder.with_client_cert_resolver(Arc::new(
                AlwaysResolvesClientRawPublicKeys::new(raw_key(&seed)),
            )),
            Shown::Certificate(key) => builder.with_client_cert_resolver(Arc::new(Fixed(key))),
        };
        config.alpn_protocols = self.alpn;
        let name = ServerName::try_from("vmcp-peer").unwrap();
        let tls = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        Ok(Connected { tls })
    }
}

/// What a client that is believed so far begins with.
pub(crate) fn client_hello() -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Believing(true)))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(raw_key(
            &seed(1),
        ))));
    config.alpn_protocols = vec![b"vmcp-peer".to_vec()];
    let name = ServerName::try_from("vmcp-peer").unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

impl Connected {
    /// Says who it is and whom it means, and hears the answer.
    pub(crate) async fn introduce(
        &mut self,
        protocol: u32,
        from: (&str, u64),
        to: (&str, u64),
    ) -> io::Result<Answer> {
        let mut rest = Vec::new();
        put_named(from, &mut rest);
        put_named(to, &mut rest);
        self.tls.write_all(&message(protocol, &rest)).await?;
        let length = self.tls.read_u16().await?;
        let protocol = self.tls.read_u32().await?;
        let verdict = self.tls.read_u8().await?;
        let mut name = vec![0; usize::from(length) - 5];
        self.tls.read_exact(&mut name).await?;
        Ok(Answer { protocol, verdict })
    }

    /// Reads until the other end closes.
    pub(crate) async fn until_closed(&mut self) {
        let mut bytes = [0; 1024];
        let reading = async { while self.tls.read(&mut bytes).await.is_ok_and(|read| read > 0) {} };
        let closed = tokio::time::timeout(crate::support::PATIENCE, reading).await;
        closed.expect("the other end closes the connection");
    }
}

/// Takes connections as a replica with a secret does, and answers first words with something made up. It ends
/// with its runtime.
pub(crate) async fn answer_hellos(secret: u8, answer: Vec<u8>) -> SocketAddr {
    let (address, mut taken) = take_hellos(secret).await;
    TaskTracker::new().spawn(async move {
        while let Some(mut tls) = taken.recv().await {
            tls.write_all(&answer).await.unwrap();
            let _closed = tls.read_u8().await;
        }
    });
    address
}

/// Takes connections as a replica with a secret does, and hears the first words. It ends with its runtime.
pub(crate) async fn take_hellos(
    secret: u8,
) -> (SocketAddr, mpsc::Receiver<server::TlsStream<TcpStream>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::new(Believing(true)))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(raw_key(&seed(
            secret,
        )))));
    config.alpn_protocols = vec![b"vmcp-peer".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (give, taken) = mpsc::channel(1);
    TaskTracker::new().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut tls = acceptor.accept(stream).await.unwrap();
            let length = tls.read_u16().await.unwrap();
            let mut hello = vec![0; usize::from(length)];
            tls.read_exact(&mut hello).await.unwrap();
            if give.send(tls).await.is_err() {
                return;
            }
        }
    });
    (address, taken)
}

/// A welcome as it stands on the wire.
pub(crate) fn welcome(protocol: u32, name: &str, epoch: u64) -> Vec<u8> {
    let mut rest = vec![WELCOME];
    put_named((name, epoch), &mut rest);
    message(protocol, &rest)
}

fn message(protocol: u32, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + rest.len()).unwrap();
    [&length.to_be_bytes(), &protocol.to_be_bytes()[..], rest].concat()
}

fn put_named((name, epoch): (&str, u64), into: &mut Vec<u8>) {
    into.push(u8::try_from(name.len()).unwrap());
    into.extend_from_slice(name.as_bytes());
    into.extend_from_slice(&epoch.to_be_bytes());
}

/// The seed of a key of the deployment of these tests.
fn seed(secret: u8) -> [u8; 32] {
    peer_seed(&Key { id: 0, secret: [secret; 32] }, &[b"0", b"vmcp:"])
}

/// RFC 8410, section 10.3.
fn private(seed: &[u8; 32]) -> Vec<u8> {
    [b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".as_slice(), seed].concat()
}

fn raw_key(seed: &[u8; 32]) -> Arc<CertifiedKey> {
    let key = rustls::crypto::ring::sign::any_eddsa_type(&private(seed).into()).unwrap();
    // RFC 8410, section 4.
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).unwrap();
    let public = [
        b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".as_slice(),
        pair.public_key().as_ref(),
    ];
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(public.concat())], key))
}

/// Shows one certificate.
#[derive(Debug)]
struct Fixed(Arc<CertifiedKey>);

impl ResolvesClientCert for Fixed {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Believes whatever is shown; raw keys, or certificates.
#[derive(Debug)]
struct Believing(bool);

const SCHEMES: [SignatureScheme; 2] =
    [SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256];

impl ServerCertVerifier for Believing {
    fn verify_server_cert(
        &self,
        _shown: &CertificateDer<'_>,
        _more: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _shown: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _shown: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.into()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.0
    }
}

impl ClientCertVerifier for Believing {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _shown: &CertificateDer<'_>,
        _more: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _shown: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _shown: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.into()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.0
    }
}
