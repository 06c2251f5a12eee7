//! A certificate of an authority of its own.

use std::net::IpAddr;

use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, SanType};

pub(crate) struct Issued {
    /// The authority's certificate, in PEM.
    pub(crate) authority: String,
    pub(crate) certificate: Certificate,
    pub(crate) key: KeyPair,
}

impl Issued {
    /// For 127.0.0.1.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Self::with_names(&[])
    }

    /// For 127.0.0.1 and these names.
    pub(crate) fn with_names(names: &[&str]) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let authority = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::IpAddress(IpAddr::from([127, 0, 0, 1]))];
        for &name in names {
            params.subject_alt_names.push(SanType::DnsName(name.try_into()?));
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(Self { authority, certificate, key })
    }
}
