//! The web page, and who may see and set what on it.

use std::net::SocketAddr;

use super::credentials::Secret;

/// The web page.
#[derive(Debug, Clone, PartialEq)]
pub struct Web {
    /// Where it listens; port 0 is any free one.
    pub listen: SocketAddr,
    /// What visitors must know; always there when `listen` is not on the loopback.
    pub password: Option<Secret>,
    /// Outputs that can be set from there; each is one of ours. Only with a password.
    pub allow: Vec<String>,
    /// Host names, in small letters, under which it may be asked for beside those of the loopback.
    pub hosts: Vec<String>,
}
