//! The same bridge over every transport that a broker offers: TLS, WebSocket, WebSocket over TLS; and over TLS only
//! with a broker that is who it should be.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use support::{Bridge, Mosquitto, Port, Subscriber, wait_until};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(20);

/// An authority, and a broker's certificate for `name` by it: `ca.pem`, `broker.pem`, `broker.key`.
fn certificates(name: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let broker = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    fs::write(folder.path().join("broker.pem"), broker.pem()).unwrap();
    fs::write(folder.path().join("broker.key"), key.serialize_pem()).unwrap();
    folder
}

/// A mosquitto that also listens on `port`, over TLS and WebSocket as asked.
fn broker(port: u16, certificates: Option<&Path>, web_socket: bool) -> Mosquitto {
    let mut options = format!("listener {port} 127.0.0.1\n");
    if web_socket {
        options.push_str("protocol websockets\n");
    }
    if let Some(folder) = certificates {
        let folder = folder.display();
        options.push_str(&format!("certfile {folder}/broker.pem\nkeyfile {folder}/broker.key\n"));
    }
    Mosquitto::with(&options)
}

/// Sends readings, and mirrors them back, over `url`.
fn bridge(url: &str, authority: Option<PathBuf>) -> Bridge {
    let authority = authority.map_or_else(String::new, |file| format!("ca_file: {}, ", file.display()));
    Bridge::start(|folder| {
        format!(
            "device: {{ id: bench }}
log: {{ path: {}/bridge.db }}
mqtt: {{ url: \"{url}\", {authority}topic: \"t/{{device}}/{{sensor}}/{{quantity}}\", qos: 1 }}
sensors: [{{ id: wave, driver: sim, scenario: sine, min: 0, max: 100, period: 10s, interval: 50ms }}]
mirror: [{{ topics: [\"t/+/wave/value\"], qos: 1, to: sqlite }}]
",
            folder.display()
        )
    })
}

fn mirrored(bridge: &Bridge) -> i64 {
    bridge.database().query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap()
}

/// Readings go out and come back, also after the broker was away.
fn works(scheme: &str, tls: bool, web_socket: bool) {
    let certificates = tls.then(|| certificates("localhost"));
    let port = Port::reserve();
    let mut broker = broker(port.number(), certificates.as_ref().map(TempDir::path), web_socket);
    let url = format!("{scheme}://localhost:{}", port.number());
    let bridge = bridge(&url, certificates.as_ref().map(|folder| folder.path().join("ca.pem")));
    let witness = Subscriber::start(broker.port(), &["t/+/wave/value"], 1);
    witness.wait_for(20, SOON);
    wait_until(SOON, "some come back", || mirrored(&bridge) >= 20);
    broker.restart();
    let before = mirrored(&bridge);
    wait_until(SOON, "more come back once the broker is there again", || mirrored(&bridge) > before + 20);
}

#[test]
fn over_tls() {
    works("mqtts", true, false);
}

#[test]
fn over_web_socket() {
    works("ws", false, true);
}

#[test]
fn over_web_socket_and_tls() {
    works("wss", true, true);
}

#[test]
fn a_broker_of_another_name_or_authority_gets_nothing() {
    let named_otherwise = certificates("other.example");
    let port = Port::reserve();
    let broker = broker(port.number(), Some(named_otherwise.path()), false);
    let url = format!("mqtts://localhost:{}", port.number());
    let trusted = bridge(&url, Some(named_otherwise.path().join("ca.pem")));
    wait_until(SOON, "the wrong name is told of", || trusted.stderr().contains("other.example"));
    let stranger = certificates("localhost");
    let unknown = bridge(&url, Some(stranger.path().join("ca.pem")));
    wait_until(SOON, "the unknown authority is told of", || {
        unknown.stderr().contains("name it in mqtt.ca_file")
    });
    assert!(!broker.log().contains("New client connected"), "{}", broker.log());
}
