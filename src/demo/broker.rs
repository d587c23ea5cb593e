//! The broker of the demo: embedded when the build has one, else a mosquitto found on this machine.
//! Not for production: it listens on loopback only, and it ends with the demo.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use tokio::net::TcpSocket;

/// A running broker.
pub struct Broker {
    /// Its address.
    pub url: String,
    /// What it is, for people.
    pub name: &'static str,
    _port: Port,
    #[cfg(not(feature = "embedded-broker"))]
    _child: Child,
}

/// A loopback port of our own: bound but not listening, so that a broker can listen on it (both with
/// `SO_REUSEADDR`) and nobody else is given the number between our asking for it and the broker's start.
struct Port {
    _held: TcpSocket,
    number: u16,
}

impl Port {
    fn reserve() -> Result<Self> {
        let reserve = || {
            let held = TcpSocket::new_v4()?;
            held.set_reuseaddr(true)?;
            held.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            let number = held.local_addr()?.port();
            Ok::<_, std::io::Error>(Self { _held: held, number })
        };
        reserve().context("finding a free loopback port")
    }
}

/// Starts rumqttd inside this process; it has no way to stop, so it ends with the process.
#[cfg(feature = "embedded-broker")]
pub fn start() -> Result<Broker> {
    use std::collections::HashMap;

    use rumqttd::{Config, ConnectionSettings, RouterConfig, ServerSettings};

    let reserved = Port::reserve()?;
    let port = reserved.number;
    let listener = ServerSettings {
        name: "demo".into(),
        listen: ([127, 0, 0, 1], port).into(),
        tls: None,
        next_connection_delay_ms: 1,
        connections: ConnectionSettings {
            connection_timeout_ms: 5_000,
            max_payload_size: 1 << 20,
            max_inflight_count: 100,
            auth: None,
            external_auth: None,
            dynamic_filters: true,
        },
    };
    let config = Config {
        router: RouterConfig {
            max_connections: 20,
            max_outgoing_packet_count: 200,
            max_segment_size: 10 << 20,
            max_segment_count: 3,
            ..RouterConfig::default()
        },
        v4: Some(HashMap::from([("demo".into(), listener)])),
        ..Config::default()
    };
    std::thread::Builder::new()
        .name("demo-broker".into())
        .spawn(move || {
            if let Err(error) = rumqttd::Broker::new(config).start() {
                tracing::error!("the demo's broker ended: {error}");
            }
        })
        .context("starting the demo's broker")?;
    Ok(Broker {
        url: format!("mqtt://127.0.0.1:{port}"),
        name: "embedded in this program (rumqttd)",
        _port: reserved,
    })
}

/// Ends the child with the demo.
#[cfg(not(feature = "embedded-broker"))]
struct Child(std::process::Child, #[expect(dead_code, reason = "removes the folder when dropped")] Folder);

#[cfg(not(feature = "embedded-broker"))]
struct Folder(std::path::PathBuf);

#[cfg(not(feature = "embedded-broker"))]
impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!("cannot remove {}: {error}", self.0.display());
        }
    }
}

#[cfg(not(feature = "embedded-broker"))]
impl Drop for Child {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            tracing::warn!("cannot end the demo's mosquitto: {error}");
        }
    }
}

/// Starts the mosquitto of this machine on a port and in a folder of its own.
#[cfg(not(feature = "embedded-broker"))]
pub fn start() -> Result<Broker> {
    use std::process::{Command, Stdio};

    let reserved = Port::reserve()?;
    let port = reserved.number;
    let folder =
        Folder(std::env::temp_dir().join(format!("sensor-bridge-demo-broker-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).with_context(|| format!("creating {}", folder.0.display()))?;
    let config = folder.0.join("mosquitto.conf");
    std::fs::write(&config, format!("listener {port} 127.0.0.1\nallow_anonymous true\n"))
        .with_context(|| format!("writing {}", config.display()))?;
    // Debian puts it where only root's PATH looks.
    let child = ["mosquitto", "/usr/sbin/mosquitto"].into_iter().find_map(|program| {
        Command::new(program).arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
    });
    let child = child.context(
        "this build has no embedded broker, and no mosquitto was found: install mosquitto, or name a broker with --broker mqtt://HOST:PORT",
    )?;
    Ok(Broker {
        url: format!("mqtt://127.0.0.1:{port}"),
        name: "a mosquitto of this machine",
        _port: reserved,
        _child: Child(child, folder),
    })
}
