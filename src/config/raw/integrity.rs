//! Keys `integrity`: what a payload carries, or must carry, so that it can be checked.

use schemars::JsonSchema;
use serde::Deserialize;

use super::notation::OneOrMore;

/// What payloads carry so that they can be checked.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum Integrity {
    /// A sum.
    Sum(Sum),
    /// A keyed one.
    Keyed(Keyed),
}

/// A sum that needs no key.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Sum {
    /// CRC-32.
    Crc32,
}

/// HMAC-SHA-256.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Keyed {
    /// File with the key, or several for a mirror: any of them will do.
    #[schemars(required, extend("examples" = ["payload.key"]))]
    pub(in crate::config) hmac_key_file: Option<OneOrMore>,
}
