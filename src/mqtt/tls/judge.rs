//! Judges a broker's certificate in another way than the usual one. Signatures of the hand-shake are always verified:
//! whoever shows a certificate must have its key.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use sha2::{Digest, Sha256};

/// Which certificates are taken.
#[derive(Debug)]
pub(super) enum Rule {
    /// Those that the usual judge takes, for this name instead of the host's.
    Name(ServerName<'static>, Arc<WebPkiServerVerifier>),
    /// Those with these SHA-256 fingerprints, whatever names, dates and authorities are in them.
    Prints(Vec<[u8; 32]>),
    /// All.
    Anybody,
}

/// The judge.
#[derive(Debug)]
pub(super) struct Judge {
    pub rule: Rule,
    pub provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.rule {
            Rule::Name(name, usual) => {
                usual.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
            }
            Rule::Prints(prints) => one_of(prints, end_entity),
            Rule::Anybody => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn one_of(prints: &[[u8; 32]], certificate: &CertificateDer<'_>) -> Result<ServerCertVerified, Error> {
    let print: [u8; 32] = Sha256::digest(certificate).into();
    if prints.contains(&print) {
        return Ok(ServerCertVerified::assertion());
    }
    let shown: String = print.iter().map(|byte| format!("{byte:02x}")).collect();
    let why = std::io::Error::other(format!("its fingerprint is {shown}, not that of mqtt.tls.pin"));
    Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why)))))
}
