//! TLS for `mqtts` and `wss`: rustls with ring, certificates always verified. Knows no MQTT.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tracing::debug;

use super::failure::Failure;

/// A client configuration that trusts the authorities in `ca_file` (PEM), or the system's.
///
/// The provider is named here and not left to a process-wide default: rumqttc's own default configuration
/// panics when there is none, and also when a single certificate of the system's store cannot be read.
pub(super) fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, Failure> {
    let roots = match ca_file {
        Some(path) => from_file(path)?,
        None => from_system()?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn from_file(path: &Path) -> Result<RootCertStore, Failure> {
    let fail = |why: String| Failure::Tls(format!("{}: {why}; check mqtt.ca_file", path.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| fail(error.to_string()))? {
        let certificate = certificate.map_err(|error| fail(error.to_string()))?;
        roots.add(certificate).map_err(|error| fail(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(fail("no certificate in it".to_owned()));
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
            "this system has no certificate authorities; install ca-certificates or set mqtt.ca_file"
                .to_owned(),
        ));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "nothing").unwrap();
        for (path, expected) in [(path, "no certificate in it"), (folder.path().join("missing"), "missing")] {
            let failure = client_config(Some(&path)).unwrap_err().to_string();
            assert!(failure.contains(expected) && failure.contains("mqtt.ca_file"), "{failure}");
        }
    }
}
