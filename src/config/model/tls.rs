//! How the broker's certificate is judged, and what we show of our own.

use std::path::PathBuf;

/// How the broker's certificate is judged, and what we show of our own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tls {
    /// Whom to trust.
    pub trust: Trust,
    /// Our certificate chain and its key, both PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Name that must stand in the certificate instead of the host's.
    pub server_name: Option<String>,
    /// TLS 1.3 only.
    pub only_1_3: bool,
    /// The application's protocol as it is said in the hand-shake (RFC 7301).
    pub alpn: Option<&'static str>,
}

/// Which certificates of a broker are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those of the authorities that the system knows.
    #[default]
    System,
    /// Those of the authorities in this file (PEM).
    Authorities(PathBuf),
    /// Those with these SHA-256 fingerprints.
    Certificates(Vec<[u8; 32]>),
    /// All. The configuration says so in so many words.
    Anybody,
}
