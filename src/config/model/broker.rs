//! The way to the broker: its address, what carries the bytes, and a proxy between.

use std::fmt;

use super::credentials::Secret;
use super::tls::Tls;

/// Address of a broker, and the way to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Broker {
    /// Transport.
    pub transport: Transport,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Path of a WebSocket listener, beginning with `/`; `/mqtt` unless given.
    pub path: String,
    /// Headers of a WebSocket's request; values may be secrets.
    pub headers: Vec<(String, Secret)>,
    /// HTTP proxy that opens the connection.
    pub proxy: Option<Proxy>,
    /// Whom to trust and who we are, for `mqtts` and `wss`.
    pub tls: Tls,
}

impl fmt::Display for Broker {
    /// The URL without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.transport {
            Transport::Tcp => "mqtt",
            Transport::Tls => "mqtts",
            Transport::WebSocket => "ws",
            Transport::SecureWebSocket => "wss",
        };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

/// How bytes reach the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `mqtt://`, 1883.
    Tcp,
    /// `mqtts://`, 8883.
    Tls,
    /// `ws://`, 80.
    WebSocket,
    /// `wss://`, 443.
    SecureWebSocket,
}

/// An HTTP proxy that is asked to CONNECT.
#[derive(Debug, Clone, PartialEq)]
pub struct Proxy {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User name and password (basic authentication).
    pub credentials: Option<(String, Secret)>,
}
