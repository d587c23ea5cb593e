//! A mosquitto of a test's own: on a free port, with a folder of its own, to be stopped and started again;
//! and mosquitto_sub as a subscriber that shares no code with us.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::config::{Backlog, Broker, Mqtt, MqttVersion, Transport};

/// Longest wait for anything in these tests.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The broker.
pub(super) struct TestBroker {
    folder: TempDir,
    pub port: u16,
    child: Option<Child>,
}

impl TestBroker {
    /// Starts with these lines added to the configuration, `{dir}` being the broker's folder. Anonymous
    /// clients are let in unless the lines speak of it.
    pub(super) fn start(extra: &str) -> Self {
        Self::start_with(extra, &[])
    }

    /// As [`TestBroker::start`], with these files in its folder.
    pub(super) fn start_with(extra: &str, files: &[(&str, &str)]) -> Self {
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
        Command::new("/usr/sbin/mosquitto")
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
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
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("mosquitto.log")).unwrap_or_default()
    }

    /// Ends it in order (SIGTERM): sessions are saved.
    pub(super) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        child.wait().unwrap();
    }

    /// Starts it again on its port.
    pub(super) fn restart(&mut self) {
        self.stop();
        self.child = Some(self.spawn());
        assert!(self.is_up(), "mosquitto does not start again: {}", self.log());
    }

    /// Ends it and forgets its sessions and messages.
    pub(super) fn forget(&mut self) {
        self.stop();
        std::fs::remove_file(self.folder.path().join("mosquitto.db")).unwrap();
    }

    /// Ends the connection of this client id, as a rival with the same one does, and leaves its session.
    pub(super) fn cut(&self, client_id: &str, version: MqttVersion) {
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
    pub(super) fn publish(&self, topic: &str, payload: &str) {
        let port = self.port.to_string();
        let status = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", topic, "-m", payload])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// How a bridge is configured for it.
    pub(super) fn config(&self, version: MqttVersion) -> Mqtt {
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
    pub(super) fn subscribe(&self, filter: &str) -> Subscriber {
        self.subscribe_at(filter, 2)
    }

    /// A subscriber that hears everything in the order in which the broker took it. Above QoS 0 mosquitto
    /// 2.0.11 does not keep the order of what waits for a subscriber: a message that finds one of the 20
    /// places in flight free overtakes those that wait for one.
    pub(super) fn subscribe_in_order(&self, filter: &str) -> Subscriber {
        self.subscribe_at(filter, 0)
    }

    fn subscribe_at(&self, filter: &str, qos: u8) -> Subscriber {
        let seen = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        // stdbuf, because into a pipe mosquitto_sub writes what it says of itself only when it ends.
        let mut child = Command::new("stdbuf")
            .args(["-oL", "mosquitto_sub"])
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-i",
                "watcher",
                "-c",
                "-q",
                &qos.to_string(),
            ])
            .args(["-V", "mqttv311", "-k", "60", "-d", "-t", filter, "-F", "MSG %q %r %t %p"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (subscribed, ready) = std::sync::mpsc::sync_channel(16);
        let into = seen.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(message) = line.strip_prefix("MSG ") {
                    into.0.lock().unwrap().push(Received::parse(message));
                    into.1.notify_all();
                } else if line.contains("SUBACK") {
                    subscribed.try_send(()).ok();
                }
            }
        });
        ready.recv_timeout(PATIENCE).expect("mosquitto_sub does not subscribe");
        Subscriber { child, seen }
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A message as mosquitto_sub printed it.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub qos: u8,
    pub retain: bool,
    pub topic: String,
    pub payload: String,
    /// The value, if it is a whole number.
    value: Option<i64>,
}

impl Received {
    fn parse(line: &str) -> Self {
        let mut parts = line.splitn(4, ' ');
        let mut next = || parts.next().unwrap_or_default().to_owned();
        let (qos, retain, topic, payload) = (next(), next(), next(), next());
        // Once here, because conditions look at all messages again with each that comes.
        let json = serde_json::from_str::<serde_json::Value>(&payload).ok();
        let value = json.and_then(|json| json["value"].as_i64());
        Self { qos: qos.parse().unwrap(), retain: retain == "1", topic, payload, value }
    }

    /// A field of the JSON payload.
    pub(super) fn field(&self, name: &str) -> serde_json::Value {
        let payload: serde_json::Value = serde_json::from_str(&self.payload).unwrap();
        payload[name].clone()
    }

    /// The value, which these tests make a number that counts up.
    pub(super) fn number(&self) -> i64 {
        self.value.unwrap()
    }
}

/// A running mosquitto_sub.
pub(super) struct Subscriber {
    child: Child,
    seen: Arc<(Mutex<Vec<Received>>, Condvar)>,
}

impl Subscriber {
    /// What has come, once it satisfies `enough`.
    pub(super) fn until(&self, enough: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.seen.0.lock().unwrap();
        loop {
            if enough(&seen) {
                return seen.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "after {} messages; the last: {:?}", seen.len(), seen.last());
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// What has come so far.
    pub(super) fn seen(&self) -> Vec<Received> {
        self.seen.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// As [`Subscriber::until`] so many messages.
    pub(super) fn count(&self, count: usize) -> Vec<Received> {
        self.until(|seen| seen.len() >= count)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
