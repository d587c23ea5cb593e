//! mosquitto's command line clients: witnesses that share no code with the bridge.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::process::{end, find, signal, wait_for_exit};

/// One message as mosquitto_sub printed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Topic.
    pub topic: String,
    /// Quality of service with which it arrived.
    pub qos: u8,
    /// Retain flag.
    pub retained: bool,
    /// Payload (text without line breaks).
    pub payload: String,
}

#[derive(Default)]
struct Inbox {
    messages: Mutex<Vec<Message>>,
    news: Condvar,
}

/// A running mosquitto_sub. It reconnects by itself; with an id its session is persistent.
pub struct Subscriber {
    child: Child,
    inbox: Arc<Inbox>,
    reader: Option<JoinHandle<()>>,
}

impl Subscriber {
    /// Subscribes with a session that does not outlive it; returns when the broker has said yes.
    pub fn start(port: u16, topics: &[&str], qos: u8) -> Self {
        Self::spawn(port, None, topics, qos)
    }

    /// Subscribes with a persistent session of this client id; returns when the broker has said yes.
    pub fn persistent(port: u16, id: &str, topics: &[&str], qos: u8) -> Self {
        Self::spawn(port, Some(id), topics, qos)
    }

    fn spawn(port: u16, id: Option<&str>, topics: &[&str], qos: u8) -> Self {
        // Into a pipe it says "Subscribed" only when 4 KiB have come together, unless told otherwise.
        let mut command = Command::new(find("stdbuf"));
        command.arg("-oL").arg(find("mosquitto_sub"));
        command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", &qos.to_string(), "--nodelay", "-d"]);
        // A tab cannot stand in a topic of ours, and a payload may be anything after the third one.
        command.args(["-F", "\t%t\t%q\t%r\t%p"]);
        // mosquitto sends a subscriber at most 20 unacknowledged messages unless told otherwise, and what it
        // queues beyond that is overtaken by later messages (2.0.11). The witness of the order must not add
        // disorder of its own, and only MQTT 5 lets it ask for more.
        command.args(["-V", "5", "-D", "connect", "receive-maximum", "65535"]);
        if let Some(id) = id {
            command.args(["-c", "-i", id, "-x", "3600"]);
        }
        for topic in topics {
            command.args(["-t", topic]);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let inbox = Arc::new(Inbox::default());
        let (subscribed, ready) = std::sync::mpsc::sync_channel(1);
        let output = child.stdout.take().unwrap();
        let reader = thread::spawn({
            let inbox = Arc::clone(&inbox);
            move || {
                for line in BufReader::with_capacity(1 << 16, output).split(b'\n') {
                    let Ok(line) = line else { return };
                    let line = String::from_utf8_lossy(&line);
                    if line.starts_with("Subscribed") {
                        // Full or gone: it has been told already.
                        subscribed.try_send(()).unwrap_or(());
                    }
                    if let Some(message) = parse(&line) {
                        inbox.messages.lock().unwrap().push(message);
                        inbox.news.notify_all();
                    }
                }
            }
        });
        if ready.recv_timeout(Duration::from_secs(20)).is_err() {
            end(&mut child);
            panic!("mosquitto_sub could not subscribe to {topics:?} on port {port}");
        }
        Self { child, inbox, reader: Some(reader) }
    }

    /// Everything received so far, in the order of arrival.
    pub fn messages(&self) -> Vec<Message> {
        self.inbox.messages.lock().unwrap().clone()
    }

    /// How many were received so far.
    pub fn count(&self) -> usize {
        self.inbox.messages.lock().unwrap().len()
    }

    /// Waits for at least `count` messages and answers all there are; panics when `limit` has passed.
    #[track_caller]
    pub fn wait_for(&self, count: usize, limit: Duration) -> Vec<Message> {
        let end = Instant::now() + limit;
        let mut messages = self.inbox.messages.lock().unwrap();
        while messages.len() < count {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} messages instead of {count} after {limit:?}", messages.len());
            messages = self.inbox.news.wait_timeout(messages, left).unwrap().0;
        }
        messages.clone()
    }

    /// Waits for a message that fits; panics when `limit` has passed.
    #[track_caller]
    pub fn wait_for_one(&self, limit: Duration, fits: impl Fn(&Message) -> bool) -> Message {
        let end = Instant::now() + limit;
        let mut messages = self.inbox.messages.lock().unwrap();
        loop {
            if let Some(found) = messages.iter().find(|message| fits(message)) {
                return found.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no such message among {} after {limit:?}", messages.len());
            messages = self.inbox.news.wait_timeout(messages, left).unwrap().0;
        }
    }

    /// Ends it and answers everything it received.
    pub fn finish(mut self) -> Vec<Message> {
        signal(&self.child, "TERM");
        if wait_for_exit(&mut self.child, Duration::from_secs(5)).is_none() {
            end(&mut self.child);
        }
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.messages()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A line of `-F`; every other line is what `-d` says.
fn parse(line: &str) -> Option<Message> {
    let mut parts = line.strip_prefix('\t')?.splitn(4, '\t');
    let topic = parts.next()?.to_owned();
    let qos = parts.next()?.parse().ok()?;
    let retained = parts.next()? == "1";
    Some(Message { topic, qos, retained, payload: parts.next()?.to_owned() })
}

/// A running `mosquitto_pub -l`: publishes line by line. It cannot tell what was acknowledged; see
/// `AckedPublisher` for that.
pub struct Publisher {
    child: Child,
    input: Option<ChildStdin>,
}

impl Publisher {
    /// Publishes to one topic.
    pub fn start(port: u16, topic: &str, qos: u8) -> Self {
        let mut child = Command::new(find("mosquitto_pub"))
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", &qos.to_string()])
            .args(["-t", topic, "-l", "--nodelay"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        Self { child, input }
    }

    /// Publishes one payload (a text without line breaks).
    pub fn publish(&mut self, payload: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(format!("{payload}\n").as_bytes()).unwrap();
        input.flush().unwrap();
    }

    /// Waits until everything was acknowledged and mosquitto_pub has ended.
    #[track_caller]
    pub fn finish(mut self, limit: Duration) {
        self.input = None;
        let status = wait_for_exit(&mut self.child, limit);
        assert!(status.is_some_and(|status| status.success()), "mosquitto_pub: {status:?} after {limit:?}");
    }

    /// One message with these options of mosquitto_pub (`-r`, `-m …`, `-n`), acknowledged when it returns.
    pub fn once(port: u16, topic: &str, options: &[&str]) {
        let status = Command::new(find("mosquitto_pub"))
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-t", topic])
            .args(options)
            .status()
            .unwrap();
        assert!(status.success(), "mosquitto_pub {options:?}: {status}");
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}
