//! Judges of a broker's certificate other than the usual one. Signatures of the hand-shake are always verified:
//! whoever shows a certificate must have its key.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest, Sha256};

/// The usual judge, who looks for another name than the host's.
#[derive(Debug)]
pub(super) struct OtherName {
    pub name: ServerName<'static>,
    pub usual: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for OtherName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.usual.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Takes certificates by their fingerprints, or all of them. Looks at no name, date or authority.
#[derive(Debug)]
pub(super) struct Pinned {
    /// SHA-256; `None`: all.
    prints: Option<Vec<[u8; 32]>>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    pub(super) fn one_of(prints: Vec<[u8; 32]>, provider: Arc<CryptoProvider>) -> Self {
        Self { prints: Some(prints), provider }
    }

    pub(super) fn anybody(provider: Arc<CryptoProvider>) -> Self {
        Self { prints: None, provider }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let print: [u8; 32] = Sha256::digest(end_entity).into();
        match &self.prints {
            Some(prints) if !prints.contains(&print) => {
                let shown: String = print.iter().map(|byte| format!("{byte:02x}")).collect();
                let why = format!("its fingerprint is {shown}, not that of mqtt.tls.pin");
                Err(Error::InvalidCertificate(CertificateError::Other(rustls::OtherError(Arc::new(
                    std::io::Error::other(why),
                )))))
            }
            _ => Ok(ServerCertVerified::assertion()),
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
