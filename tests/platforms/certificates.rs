//! An authority, and what it gives out.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use tempfile::TempDir;

/// `ca.pem`; `broker.pem` and `broker.key` for `localhost`; `device.pem` and `device.key` for a device.
pub struct Certificates(TempDir);

impl Certificates {
    /// For the device of this name.
    pub fn of(device: &str) -> Self {
        let mut itself = CertificateParams::new(Vec::new()).unwrap();
        itself.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(itself, KeyPair::generate().unwrap()).unwrap();
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        let broker = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let mut wanted = CertificateParams::new(Vec::new()).unwrap();
        wanted.distinguished_name.push(DnType::CommonName, device);
        wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        for (file, wanted) in [("broker", broker), ("device", wanted)] {
            let key = KeyPair::generate().unwrap();
            let certificate = wanted.signed_by(&key, &issuer).unwrap();
            fs::write(folder.path().join(format!("{file}.pem")), certificate.pem()).unwrap();
            fs::write(folder.path().join(format!("{file}.key")), key.serialize_pem()).unwrap();
        }
        Self(folder)
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// One of them.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
