//! TLS for `mqtts` and `wss`: rustls with ring. Verifies as the configuration says. Knows no MQTT.

mod judge;

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tracing::debug;

use super::failure::Failure;
use crate::config::{Tls, Trust};
use judge::{Judge, Rule};

/// A client configuration that judges and shows what `tls` says.
///
/// The provider is named here and not left to a process-wide default: rumqttc's own default configuration
/// panics when there is none, and also when a single certificate of the system's store cannot be read.
pub(super) fn client_config(tls: &Tls) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[&SupportedProtocolVersion] =
        if tls.only_1_3 { &[&rustls::version::TLS13] } else { rustls::DEFAULT_VERSIONS };
    let verifier = verifier(tls, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| Failure::Tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate, "cert_file")?;
            builder.with_client_auth_cert(chain, private_key(key)?).map_err(|error| {
                let advice = "check mqtt.tls.cert_file and key_file";
                Failure::Tls(format!("our certificate and its key: {error}; {advice}"))
            })?
        }
    };
    config.alpn_protocols = tls.alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Ok(config)
}

fn verifier(tls: &Tls, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Failure> {
    let judge =
        |rule| -> Arc<dyn ServerCertVerifier> { Arc::new(Judge { rule, provider: provider.clone() }) };
    let roots = match &tls.trust {
        Trust::System => from_system()?,
        Trust::Authorities(path) => from_file(path)?,
        Trust::Certificates(prints) => return Ok(judge(Rule::Prints(prints.clone()))),
        Trust::Anybody => return Ok(judge(Rule::Anybody)),
    };
    let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| Failure::Tls(error.to_string()))?;
    let Some(name) = &tls.server_name else { return Ok(usual) };
    let name = name
        .clone()
        .try_into()
        .map_err(|error| Failure::Tls(format!("\"{name}\": {error}; check mqtt.tls.server_name")))?;
    Ok(judge(Rule::Name(name, usual)))
}

fn certificates(path: &Path, key: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let fail = |why: String| Failure::Tls(format!("{}: {why}; check mqtt.tls.{key}", path.display()));
    let found: Result<Vec<_>, pem::Error> =
        CertificateDer::pem_file_iter(path).and_then(|certificates| certificates.collect());
    match found {
        Ok(found) if found.is_empty() => Err(fail("no certificate in it".to_owned())),
        Ok(found) => Ok(found),
        Err(error) => Err(fail(error.to_string())),
    }
}

/// A private key, PEM without a pass phrase.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Failure> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        let why = match error {
            pem::Error::NoItemsFound => "no private key without a pass phrase in it".to_owned(),
            other => other.to_string(),
        };
        Failure::Tls(format!("{}: {why}", path.display()))
    })
}

fn from_file(path: &Path) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, "ca_file")? {
        roots
            .add(certificate)
            .map_err(|error| Failure::Tls(format!("{}: {error}; check mqtt.tls.ca_file", path.display())))?;
    }
    Ok(roots)
}

fn from_system() -> Result<RootCertStore, Failure> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        debug!("a certificate of the system's store cannot be read: {error}");
    }
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    debug!("{added} certificate authorities of the system, {ignored} ignored");
    if roots.is_empty() {
        return Err(Failure::Tls(
            "this system has no certificate authorities; install ca-certificates or set mqtt.tls.ca_file"
                .to_owned(),
        ));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_platform_wants_to_hear_is_said() {
        for (alpn, said) in [(None, vec![]), (Some("x-amzn-mqtt-ca"), vec![b"x-amzn-mqtt-ca".to_vec()])] {
            let tls = Tls { trust: Trust::Anybody, alpn, ..Tls::default() };
            assert_eq!(client_config(&tls).unwrap().alpn_protocols, said);
        }
    }

    #[test]
    fn a_file_without_certificates_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "nothing").unwrap();
        for (path, expected) in [(path, "no certificate in it"), (folder.path().join("missing"), "missing")] {
            let tls = Tls { trust: Trust::Authorities(path), ..Tls::default() };
            let failure = client_config(&tls).unwrap_err().to_string();
            assert!(failure.contains(expected) && failure.contains("mqtt.tls.ca_file"), "{failure}");
        }
    }
}
