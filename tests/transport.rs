//! The same bridge over every transport that a broker offers: TLS, WebSocket, WebSocket over TLS; and over TLS only
//! with a broker that is who it should be.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use support::{Bridge, Mosquitto, Port, Subscriber, Tunnel, wait_until};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(20);

/// An authority with the certificates that it gives out.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// `ca.pem`, and for a broker called `name` `broker.pem` and `broker.key`.
    fn new(name: &str) -> Self {
        let mut itself = CertificateParams::new(Vec::new()).unwrap();
        itself.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(itself, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { folder: TempDir::new().unwrap(), issuer };
        fs::write(authority.file("ca.pem"), authority.issuer.pem()).unwrap();
        authority.give("broker", CertificateParams::new(vec![name.to_owned()]).unwrap());
        authority
    }

    /// `client.pem` and `client.key` for somebody called `name`.
    fn client(&self, name: &str) {
        let mut wanted = CertificateParams::new(Vec::new()).unwrap();
        wanted.distinguished_name.push(DnType::CommonName, name);
        wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.give("client", wanted);
    }

    fn give(&self, file: &str, wanted: CertificateParams) {
        let key = KeyPair::generate().unwrap();
        let certificate = wanted.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.file(&format!("{file}.pem")), certificate.pem()).unwrap();
        fs::write(self.file(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// As `openssl x509 -fingerprint -sha256` prints it.
    fn fingerprint(&self) -> String {
        let pem = fs::read(self.file("broker.pem")).unwrap();
        let der = rustls::pki_types::CertificateDer::from_pem_slice(&pem).unwrap();
        let bytes: Vec<String> = Sha256::digest(&der).iter().map(|byte| format!("{byte:02X}")).collect();
        bytes.join(":")
    }
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

/// Sends readings, and mirrors them back, over `url`; `mqtt` is more of the section, ended by a comma.
fn bridge(url: &str, mqtt: &str) -> Bridge {
    Bridge::start(|folder| {
        format!(
            "device: {{ id: bench }}
log: {{ path: {}/bridge.db }}
mqtt: {{ url: \"{url}\", {mqtt} topic: \"t/{{device}}/{{sensor}}/{{quantity}}\", qos: 1 }}
sensors: [{{ id: wave, driver: sim, scenario: sine, min: 0, max: 100, period: 10s, interval: 50ms }}]
mirror: [{{ topics: [\"t/+/wave/value\"], qos: 1, to: sqlite }}]
",
            folder.display()
        )
    })
}

fn trusting(authority: &Authority) -> String {
    format!("tls: {{ ca_file: {} }},", authority.file("ca.pem").display())
}

/// Readings go out and come back, also after the broker was away.
fn works(scheme: &str, tls: bool, web_socket: bool) {
    let authority = tls.then(|| Authority::new("localhost"));
    let port = Port::reserve();
    let mut broker = broker(port.number(), authority.as_ref().map(Authority::folder), web_socket);
    let url = format!("{scheme}://localhost:{}", port.number());
    let bridge = bridge(&url, &authority.as_ref().map(trusting).unwrap_or_default());
    let witness = Subscriber::start(broker.port(), &["t/+/wave/value"], 1);
    witness.wait_for(20, SOON);
    flows(&bridge);
    broker.restart();
    flows(&bridge);
}

/// Messages come back.
#[track_caller]
fn flows(bridge: &Bridge) {
    let before = mirrored(bridge);
    wait_until(SOON, "readings go out and come back", || mirrored(bridge) > before + 20);
}

fn mirrored(bridge: &Bridge) -> i64 {
    let count = |database: rusqlite::Connection| {
        database.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap_or(0)
    };
    if bridge.stderr().contains("log: ok") { count(bridge.database()) } else { 0 }
}

#[track_caller]
fn says(bridge: &Bridge, text: &str) {
    wait_until(SOON, text, || bridge.stderr().contains(text));
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
    let named_otherwise = Authority::new("other.example");
    let port = Port::reserve();
    let broker = broker(port.number(), Some(named_otherwise.folder()), false);
    let url = format!("mqtts://localhost:{}", port.number());
    says(&bridge(&url, &trusting(&named_otherwise)), "only valid for DnsName(\"other.example\")");
    says(&bridge(&url, &trusting(&Authority::new("localhost"))), "name it in mqtt.tls.ca_file");
    let pinned = format!("tls: {{ pin: \"{}\" }},", "00".repeat(32));
    let print = named_otherwise.fingerprint().replace(':', "").to_lowercase();
    says(&bridge(&url, &pinned), &format!("its fingerprint is {print}, not that of mqtt.tls.pin"));
    assert!(!broker.log().contains("New client connected"), "{}", broker.log());
}

#[test]
fn a_certificate_out_of_its_time_is_told_from_others() {
    for (years, words) in [((2020, 2021), "certificate expired"), ((2096, 2097), "certificate not valid yet")]
    {
        let authority = Authority::new("localhost");
        let mut wanted = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        wanted.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        wanted.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        authority.give("broker", wanted);
        let port = Port::reserve();
        let broker = broker(port.number(), Some(authority.folder()), false);
        let bridge = bridge(&format!("mqtts://localhost:{}", port.number()), &trusting(&authority));
        says(&bridge, words);
        says(&bridge, "check the certificate's dates and this machine's clock");
        assert!(!broker.log().contains("New client connected"), "{}", broker.log());
    }
}

#[test]
fn a_broker_of_another_name_is_taken_where_the_configuration_says_so() {
    let named_otherwise = Authority::new("other.example");
    let port = Port::reserve();
    let _broker = broker(port.number(), Some(named_otherwise.folder()), false);
    let url = format!("mqtts://localhost:{}", port.number());
    let ca = named_otherwise.file("ca.pem");
    flows(&bridge(&url, &format!("tls: {{ ca_file: {}, server_name: other.example }},", ca.display())));
    let pinned = format!("tls: {{ pin: [\"{}\", \"{}\"] }},", "00".repeat(32), named_otherwise.fingerprint());
    flows(&bridge(&url, &pinned));
    flows(&bridge(&url, "tls: { min_version: 1.3, insecure: true },"));
}

#[test]
fn insecure_is_said_at_each_start_and_each_reload() {
    let port = Port::reserve();
    let authority = Authority::new("localhost");
    let _broker = broker(port.number(), Some(authority.folder()), false);
    let mut bridge = bridge(&format!("mqtts://localhost:{}", port.number()), "tls: { insecure: true },");
    let warned =
        |bridge: &Bridge| bridge.stderr().matches("the broker's certificate is not verified").count();
    wait_until(SOON, "a warning", || warned(&bridge) == 1);
    flows(&bridge);
    bridge.signal("HUP");
    wait_until(SOON, "another warning", || warned(&bridge) == 2);
    bridge.restart();
    wait_until(SOON, "a third warning", || warned(&bridge) == 3);
}

#[test]
fn a_broker_that_wants_a_certificate_gets_ours() {
    let authority = Authority::new("localhost");
    authority.client("greenhouse");
    let port = Port::reserve();
    let folder = authority.folder().display();
    // The name in the certificate is the user, and only that user may.
    fs::write(authority.file("acl"), "user greenhouse\ntopic readwrite t/#\n").unwrap();
    let options = format!(
        "listener {} 127.0.0.1\ncafile {folder}/ca.pem\ncertfile {folder}/broker.pem\n\
         keyfile {folder}/broker.key\nrequire_certificate true\nuse_identity_as_username true\nacl_file {folder}/acl\n",
        port.number()
    );
    let _broker = Mosquitto::with(&options);
    let url = format!("mqtts://localhost:{}", port.number());
    let tls = |files: &str| format!("tls: {{ ca_file: {folder}/ca.pem{files} }},");
    let ours = format!(", cert_file: {folder}/client.pem, key_file: {folder}/client.key");
    flows(&bridge(&url, &tls(&ours)));
    says(&bridge(&url, &tls("")), "TLS: ");
    let theirs = format!(", cert_file: {folder}/client.pem, key_file: {folder}/broker.key");
    says(&bridge(&url, &tls(&theirs)), "check mqtt.tls.cert_file and key_file");
}

#[test]
fn a_key_with_a_pass_phrase_is_refused_with_what_to_do() {
    let bridge = Bridge::prepare(|folder| {
        let key = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        fs::write(folder.join("client.key"), key).unwrap();
        fs::write(folder.join("client.pem"), "").unwrap();
        format!(
            "mqtt: {{ url: \"mqtts://b\", tls: {{ cert_file: {}/client.pem, key_file: client.key }} }}\nsensors: [{{ id: s, driver: sim }}]\n",
            folder.display()
        )
    });
    let output = bridge.run(&["check"]);
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("is protected by a pass phrase; openssl pkey -in "), "{said}");
}

#[test]
fn through_a_proxy_with_and_without_a_password() {
    let authority = Authority::new("localhost");
    let port = Port::reserve();
    let _broker = broker(port.number(), Some(authority.folder()), false);
    let url = format!("mqtts://localhost:{}", port.number());
    let open = Tunnel::start(None);
    let through = |tunnel: &Tunnel, more: &str| {
        format!("{} proxy: \"http://127.0.0.1:{}\", {more}", trusting(&authority), tunnel.port())
    };
    flows(&bridge(&url, &through(&open, "")));
    assert!(open.asked().iter().all(|line| *line == format!("CONNECT localhost:{} HTTP/1.1", port.number())));

    // "pi:geheim" in base64.
    let locked = Tunnel::start(Some("Basic cGk6Z2VoZWlt"));
    let refused = bridge(&url, &through(&locked, ""));
    says(&refused, "proxy: ");
    says(&refused, "407");
    let password = authority.file("proxy.password");
    fs::write(&password, "geheim\n").unwrap();
    let known = format!("proxy_username: pi, proxy_password_file: {}, ", password.display());
    let let_in = bridge(&url, &through(&locked, &known));
    flows(&let_in);
    assert!(!let_in.stderr().contains("geheim"));
}

#[test]
fn the_request_that_opens_a_web_socket_has_our_path_and_headers() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://127.0.0.1:{}/live/mqtt", listener.local_addr().unwrap().port());
    let bridge = bridge(&url, "headers: { X-Api-Key: geheim },");
    let (mut stream, _) = listener.accept().unwrap();
    let request = support::head(&mut stream).unwrap();
    assert!(request.starts_with("GET /live/mqtt HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains("\r\nx-api-key: geheim\r\n"), "{request}");
    std::io::Write::write_all(&mut stream, b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        .unwrap();
    says(&bridge, "WebSocket: ");
    says(&bridge, "401");
    assert!(!bridge.stderr().contains("geheim"));
}
