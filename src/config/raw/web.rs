//! Section `web`: the page, and who may see and set what on it.

use schemars::JsonSchema;
use serde::Deserialize;

/// The web page.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Web {
    /// Address and port. `127.0.0.1:8480` is for this machine only; `0.0.0.0:8480` and `[::]:8480` are for
    /// the network, and need a password. Port 0 takes a free one and logs it.
    #[schemars(required, extend("examples" = ["127.0.0.1:8480"]))]
    pub(in crate::config) listen: Option<String>,
    /// Password of the page. Better in a file of its own (`password_file`) or in the environment.
    #[schemars(extend("writeOnly" = true, "examples" = ["…"]))]
    pub(in crate::config) password: Option<String>,
    /// File that holds the password, found like `mqtt.password_file`. Programs send it as a bearer token.
    #[schemars(extend("examples" = ["web.password"]))]
    pub(in crate::config) password_file: Option<String>,
    /// Outputs that can be set on the page, by who knows the password. Default: none.
    #[schemars(extend("examples" = [["fan"]]))]
    pub(in crate::config) allow: Option<Vec<String>>,
    /// Further host names under which the page is asked for on this machine: that of a reverse proxy.
    /// `localhost` and loopback addresses always work.
    #[schemars(extend("examples" = [["pi.example.org"]]))]
    pub(in crate::config) hosts: Option<Vec<String>>,
}
