//! A mosquitto of a test's own: on a free port, with a folder of its own, to be stopped and started again; what is
//! published and heard at it.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{PATIENCE, Watcher};
use crate::config::{Backlog, Broker, Mqtt, MqttVersion, Transport};

/// The broker.
pub struct TestBroker {
    folder: TempDir,
    pub port: u16,
    child: Option<Child>,
}

impl TestBroker {
    /// Starts with these lines added to the configuration, `{dir}` being the broker's folder. Anonymous
    /// clients are let in unless the lines speak of it.
    pub fn start(extra: &str) -> Self {
        Self::start_with(extra, &[])
    }

    /// As [`TestBroker::start`], with these files in its folder.
    pub fn start_with(extra: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let mut broker = Self { folder, port: 0, child: None };
        // Between finding a free port and listening on it another test may take it: then another.
        for _ in 0..10 {
            broker.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            broker.configure(extra);
            broker.child = Some(broker.spawn());
            if broker.is_up() {
                return broker;
            }
            broker.stop();
        }
        panic!("mosquitto does not start: {}", broker.log());
    }

    /// As [`TestBroker::start`], with TLS. Answers where the certificate of its authority is, too.
    pub fn start_encrypted() -> (Self, PathBuf) {
        let files = [
            ("ca.pem", include_str!("../../../tests/data/tls/ca.pem")),
            ("server.pem", include_str!("../../../tests/data/tls/server.pem")),
            ("server.key", include_str!("../../../tests/data/tls/server.key")),
        ];
        let broker = Self::start_with("certfile {dir}/server.pem\nkeyfile {dir}/server.key", &files);
        let authority = broker.folder.path().join("ca.pem");
        (broker, authority)
    }

    /// Not `max_queued_messages 0` (no limit): mosquitto 2.0.11 then takes every refusal of a message for an
    /// overflow and closes the connection.
    fn configure(&self, extra: &str) {
        let directory = self.folder.path().display().to_string();
        let anonymous = if extra.contains("allow_anonymous") { "" } else { "allow_anonymous true" };
        let durable = if extra.contains("persistence") {
            String::new()
        } else {
            format!(
                "persistence true\npersistence_location {directory}/\n\
                 autosave_on_changes true\nautosave_interval 1"
            )
        };
        let config = format!(
            "user root\nlistener {} 127.0.0.1\n{durable}\nmax_queued_messages 1000000\n{anonymous}\n{}\n",
            self.port,
            extra.replace("{dir}", &directory),
        );
        std::fs::write(self.folder.path().join("mosquitto.conf"), config).unwrap();
    }

    fn spawn(&self) -> Child {
        let log = self.folder.path().join("mosquitto.log");
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let program = ["/usr/sbin/mosquitto", "mosquitto"].into_iter().find(|path| Path::new(path).exists());
        Command::new(program.unwrap_or("mosquitto"))
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("these tests need mosquitto")
    }

    fn is_up(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.child.as_mut().unwrap().try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// What it logged since it was first started; with `log_type all`, every packet.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("mosquitto.log")).unwrap_or_default()
    }

    /// Ends it in order (SIGTERM): sessions are saved.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        child.wait().unwrap();
    }

    /// Starts it again on its port.
    pub fn restart(&mut self) {
        self.stop();
        self.child = Some(self.spawn());
        assert!(self.is_up(), "mosquitto does not start again: {}", self.log());
    }

    /// Ends it and forgets its sessions and messages.
    pub fn forget(&mut self) {
        self.stop();
        std::fs::remove_file(self.folder.path().join("mosquitto.db")).unwrap();
    }

    /// Ends the connection of this client id, as a rival with the same one does, and leaves its session.
    pub fn cut(&self, client_id: &str, version: MqttVersion) {
        let version = if version == MqttVersion::V5 { "mqttv5" } else { "mqttv311" };
        let status = Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-i", client_id, "-c", "-V", version])
            .args(["-t", "nothing", "-E"])
            .args(if version == "mqttv5" { &["-x", "3600"][..] } else { &[] })
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Publishes at QoS 1, and waits until the broker has it.
    pub fn publish(&self, topic: &str, payload: &str) {
        self.publish_by(&["-t", topic, "-q", "1", "-m", payload], b"");
    }

    /// Publishes what these arguments of mosquitto_pub say, and waits until the broker has it.
    pub fn publish_by(&self, arguments: &[&str], input: &[u8]) {
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).args(arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Publishes one message per line.
    pub fn lines(&self, topic: &str, qos: u8, lines: impl IntoIterator<Item = String>) {
        let input: String = lines.into_iter().map(|line| line + "\n").collect();
        self.publish_by(&["-t", topic, "-q", &qos.to_string(), "-l"], input.as_bytes());
    }

    /// How a bridge is configured for it.
    pub fn config(&self, version: MqttVersion) -> Mqtt {
        Mqtt {
            broker: Broker {
                transport: Transport::Tcp,
                host: "127.0.0.1".to_owned(),
                port: self.port,
                path: "/mqtt".to_owned(),
                headers: Vec::new(),
                proxy: None,
                tls: crate::config::Tls::default(),
            },
            credentials: None,
            client_id: "bridge-under-test".to_owned(),
            version,
            keep_alive: Duration::from_secs(5),
            backlog: Backlog::InOrder,
            window: 100,
            max_packet_size: 1 << 20,
            status_topic: Some("test/pi/status".to_owned()),
            max_payload: None,
            rate: None,
            pace: None,
            clean: false,
            platform: None,
            integrity: None,
            pseudonym: None,
        }
    }

    /// A subscriber with a session of its own, so that it misses nothing while the broker is away. Waits
    /// until it is subscribed.
    pub fn subscribe(&self, filter: &str) -> Watcher {
        Watcher::start(self.port, filter, 2)
    }

    /// A subscriber that hears everything in the order in which the broker took it. Above QoS 0 mosquitto
    /// 2.0.11 does not keep the order of what waits for a subscriber: a message that finds one of the 20
    /// places in flight free overtakes those that wait for one.
    pub fn subscribe_in_order(&self, filter: &str) -> Watcher {
        Watcher::start(self.port, filter, 0)
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        self.stop();
    }
}
