//! A host that speaks TLS, with a certificate of an authority of its own.

use std::{future::Future, io, sync::Arc};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::{
    body::ReplyBody,
    certificate::Issued,
    host::{Host, Life},
};

/// Serves HTTP/1 over TLS. Also gives the certificate of the authority, in PEM.
pub(crate) async fn host<R, F>(respond: R) -> io::Result<(Host, String)>
where
    R: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = io::Result<Response<ReplyBody>>> + Send + 'static,
{
    let (acceptor, authority) = acceptor().map_err(io::Error::other)?;
    let respond = Arc::new(respond);
    let host = Host::sockets(0, Life::default(), move |socket| {
        let (acceptor, respond) = (acceptor.clone(), Arc::clone(&respond));
        async move {
            let Ok(stream) = acceptor.accept(socket).await else { return };
            let service = service_fn(move |request| respond(request));
            // A peer that goes away in mid-request is an everyday event in these tests.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await?;
    Ok((host, authority))
}

fn acceptor() -> anyhow::Result<(TlsAcceptor, String)> {
    let issued = Issued::new()?;
    let key = PrivatePkcs8KeyDer::from(issued.key.serialize_der()).into();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![issued.certificate.der().clone()], key)?;
    Ok((TlsAcceptor::from(Arc::new(config)), issued.authority))
}
