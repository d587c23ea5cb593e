//! Section `mqtt.tls`: whom to trust, and who we are.

use schemars::JsonSchema;
use serde::Deserialize;

use super::notation::{NumberOrText, OneOrMore, TlsVersionText};

/// Whom to trust, and who we are.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Tls {
    /// Certificate authorities to trust instead of the system's, PEM. Where it is looked for, see `password_file`.
    #[schemars(extend("examples" = ["/etc/sensor-bridge/ca.pem"]))]
    pub(in crate::config) ca_file: Option<String>,
    /// Our certificate with those between it and its authority, PEM. With `key_file`. Where it is looked for, see
    /// `password_file`.
    #[schemars(extend("examples" = ["/etc/sensor-bridge/client.pem"]))]
    pub(in crate::config) cert_file: Option<String>,
    /// The key of our certificate, PEM without a pass phrase. With `cert_file`. Where it is looked for, see
    /// `password_file`.
    #[schemars(extend("examples" = ["client.key"]))]
    pub(in crate::config) key_file: Option<String>,
    /// Name that must stand in the broker's certificate, if it is not the host of `url`.
    #[schemars(extend("examples" = ["broker.internal"]))]
    pub(in crate::config) server_name: Option<String>,
    /// Oldest version of TLS to speak: `1.2` or `1.3`.
    #[schemars(with = "Option<TlsVersionText>", extend("default" = "1.2", "examples" = ["1.3"]))]
    pub(in crate::config) min_version: Option<NumberOrText>,
    /// SHA-256 fingerprint of the broker's certificate, hexadecimal: that certificate and no other, whoever
    /// signed it and whatever names and dates are in it. Several while certificates change.
    #[schemars(extend("examples" = ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]))]
    pub(in crate::config) pin: Option<OneOrMore>,
    /// Accepts whatever certificate the broker shows: anybody in between can read and change everything.
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub(in crate::config) insecure: Option<bool>,
}
