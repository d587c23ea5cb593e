//! Where the daemon says how it is.

use std::path::PathBuf;
use std::time::Duration;

/// Where the daemon says how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The socket on which `sensor-bridge status` asks.
    pub socket: Socket,
    /// How often the facts are published, retained, beside the status topic; never if not given.
    pub interval: Option<Duration>,
}

/// Where the status socket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Socket {
    /// In systemd's runtime directory if there is one, else beside the database.
    Usual,
    /// Here.
    At(PathBuf),
    /// Nowhere.
    Off,
}
