//! Section `commands`: topics on which commands come in, and what each may do.

use schemars::JsonSchema;
use serde::Deserialize;

/// A topic on which commands come in.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(extend("if" = {"not": {"required": ["from"]}}, "then" = {"required": ["topic"]}))]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Command {
    /// Topic, without wildcards. `{device}` may be used. Either this or `from` must be given.
    #[schemars(extend("examples" = ["castel/{device}/command"]))]
    pub(in crate::config) topic: Option<String>,
    /// `platform`: these are the commands that come the way of `mqtt.platform`.
    #[schemars(extend("examples" = ["platform"]))]
    pub(in crate::config) from: Option<CommandsFrom>,
    /// Quality of service asked for.
    #[schemars(range(min = 0, max = 2), extend("default" = 1, "examples" = [2]))]
    pub(in crate::config) qos: Option<u8>,
    /// What may be commanded from here: ids of outputs, and `read`, `interval`, `change`, `pause`, `resume`,
    /// `republish`, `status`, `reload`; with `read:air` on that sensor only.
    #[schemars(required, length(min = 1), extend("examples" = [["fan", "status", "read:air"]]))]
    pub(in crate::config) allow: Option<Vec<String>>,
    /// File with a key of at least 16 bytes: then every command must carry its HMAC-SHA-256. Found as
    /// `mqtt.password_file` is.
    #[schemars(extend("examples" = ["command.key"]))]
    pub(in crate::config) hmac_key_file: Option<String>,
    /// Topic of the answers, unless a command (MQTT 5) names one. `{device}` may be used. Default: no answer.
    #[schemars(extend("examples" = ["castel/{device}/reply"]))]
    pub(in crate::config) reply: Option<String>,
    /// Whether commands are obeyed while the clock is not synchronised and cannot tell whether they have expired.
    #[schemars(extend("default" = "refuse", "examples" = ["obey"]))]
    pub(in crate::config) unsynced: Option<CommandsUnsynced>,
}

/// What happens to commands while the clock is not synchronised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum CommandsUnsynced {
    /// They are refused.
    Refuse,
    /// They are obeyed if they have not expired by the clock as it is.
    Obey,
}

/// Where commands come from if not on a topic of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum CommandsFrom {
    /// The platform.
    Platform,
}
