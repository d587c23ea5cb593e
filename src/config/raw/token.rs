//! Section `mqtt.token`: a password that is made or fetched for each connection.

use schemars::JsonSchema;
use serde::Deserialize;

use super::notation::DurationText;

/// A password that is made or fetched for each connection. One of `command`, `file`, `jwt` and `sas`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Token {
    /// Program with its arguments that prints the token; it has 20 s.
    #[schemars(extend("examples" = [["/usr/local/bin/token", "--device", "greenhouse"]]))]
    pub(in crate::config) command: Option<Vec<String>>,
    /// File that something else keeps up to date.
    #[schemars(extend("examples" = ["/run/token/mqtt"]))]
    pub(in crate::config) file: Option<String>,
    /// After how long the token of `command` or `file` is asked for anew. Default: only when a connection is made.
    #[schemars(extend("examples" = ["50m"]))]
    pub(in crate::config) refresh: Option<DurationText>,
    /// JSON Web Token signed with a key of ours.
    pub(in crate::config) jwt: Option<Jwt>,
    /// Shared access signature, as Azure's brokers want it.
    pub(in crate::config) sas: Option<Sas>,
}

/// JSON Web Token (RFC 7519) with `iat`, `exp` and `aud`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Jwt {
    /// Private key: RSA (signs RS256) or P-256 (signs ES256), PEM in PKCS #8 without a pass phrase.
    #[schemars(required, extend("examples" = ["device.key"]))]
    pub(in crate::config) key_file: Option<String>,
    /// Whom the token is for.
    #[schemars(required, extend("examples" = ["my-project"]))]
    pub(in crate::config) audience: Option<String>,
    /// How long a token is valid. A new connection is made with a new one before that.
    #[schemars(extend("default" = "1h", "examples" = ["20m"]))]
    pub(in crate::config) lifetime: Option<DurationText>,
}

/// Shared access signature.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Sas {
    /// File with the shared key, base64.
    #[schemars(required, extend("examples" = ["device.sas"]))]
    pub(in crate::config) key_file: Option<String>,
    /// What access is asked for. Must be given unless the platform knows it.
    #[schemars(extend("examples" = ["hub.azure-devices.net/devices/greenhouse-pi"]))]
    pub(in crate::config) resource: Option<String>,
    /// Name of the policy that the key belongs to; a device's own key has none.
    #[schemars(extend("examples" = ["device"]))]
    pub(in crate::config) policy: Option<String>,
    /// How long a signature is valid. A new connection is made with a new one before that.
    #[schemars(extend("default" = "1h", "examples" = ["1d"]))]
    pub(in crate::config) lifetime: Option<DurationText>,
}
