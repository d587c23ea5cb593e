//! The two systems that a Pi of the tests boots: busybox, where the daemon is started by hand, and Debian, where
//! systemd does that. What a test asks of either, said the way of each.

use crate::pi::quoted;

/// What is on the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// The bridge and its configuration; the rest is in the initramfs.
    Busybox,
    /// Debian with systemd.
    Debian,
}

impl System {
    /// What is added to the kernel's command line.
    pub fn boot_options(self) -> &'static str {
        match self {
            Self::Busybox => "",
            // Names of interfaces as the kernel gives them: that one is up by then. And nobody but the tests on
            // the console.
            Self::Debian => {
                " card_init=/sbin/init net.ifnames=0 systemd.show_status=no systemd.getty_auto=no loglevel=3"
            }
        }
    }

    /// The bridge with these arguments: run by the user who has no more rights than its groups give, or the way of
    /// somebody with sudo, who may read the password that the configuration names.
    pub fn bridge(self, arguments: &str) -> String {
        match self {
            Self::Busybox => format!("su bridge -c {}", quoted(&format!("./sensor-bridge {arguments}"))),
            Self::Debian => format!("sensor-bridge {arguments}"),
        }
    }

    /// The option that names the configuration, where it is not where it belongs.
    pub fn config(self) -> &'static str {
        match self {
            Self::Busybox => "--config config.yaml",
            Self::Debian => "",
        }
    }

    /// Where the log is.
    pub fn database(self) -> &'static str {
        match self {
            Self::Busybox => "data/bridge.db",
            Self::Debian => "/var/lib/sensor-bridge/bridge.db",
        }
    }

    /// Sends a file to a port of the machine outside.
    pub fn send(self, file: &str, port: u16) -> String {
        match self {
            Self::Busybox => format!("nc 10.0.2.2 {port} <{file}"),
            Self::Debian => format!("cat {file} >/dev/tcp/10.0.2.2/{port}"),
        }
    }

    /// Receives a file from there.
    pub fn receive(self, file: &str, port: u16) -> String {
        match self {
            Self::Busybox => format!("nc 10.0.2.2 {port} </dev/null >{file}"),
            Self::Debian => format!("cat </dev/tcp/10.0.2.2/{port} >{file}"),
        }
    }

    /// The daemon's last lines.
    pub fn last_words(self) -> &'static str {
        match self {
            Self::Busybox => "tail -n 40 /tmp/daemon 2>/dev/null; true",
            Self::Debian => "journalctl -u sensor-bridge -n 40 --no-pager -o short-monotonic; true",
        }
    }
}
