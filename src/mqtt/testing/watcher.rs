//! mosquitto_sub, and what it heard.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::ops::RangeInclusive;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use super::PATIENCE;

/// A message as mosquitto_sub printed it.
#[derive(Debug, Clone)]
pub struct Received {
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
    pub fn field(&self, name: &str) -> serde_json::Value {
        let payload: serde_json::Value = serde_json::from_str(&self.payload).unwrap();
        payload[name].clone()
    }

    /// The value, which these tests make a number that counts up.
    pub fn number(&self) -> i64 {
        self.value.unwrap()
    }
}

/// A running mosquitto_sub.
pub struct Watcher {
    child: Child,
    seen: Arc<(Mutex<Vec<Received>>, Condvar)>,
}

impl Watcher {
    /// Starts it with a session of its own, and waits until it is subscribed.
    pub fn start(port: u16, filter: &str, qos: u8) -> Self {
        let seen = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        // stdbuf, because into a pipe mosquitto_sub writes what it says of itself only when it ends.
        let mut child = Command::new("stdbuf")
            .args(["-oL", "mosquitto_sub"])
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-i", "watcher", "-c", "-q", &qos.to_string()])
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
        Self { child, seen }
    }

    /// What has come, once it satisfies `enough`.
    pub fn until(&self, enough: impl Fn(&[Received]) -> bool) -> Vec<Received> {
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
    pub fn seen(&self) -> Vec<Received> {
        self.seen.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// As [`Watcher::until`] so many messages.
    pub fn count(&self, count: usize) -> Vec<Received> {
        self.until(|seen| seen.len() >= count)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub fn numbers(received: &[Received], topic: &str) -> Vec<i64> {
    received.iter().filter(|one| one.topic == topic).map(Received::number).collect()
}

/// The first arrival of each number, in the order of arrival.
pub fn firsts(received: &[Received], topic: &str) -> Vec<i64> {
    let mut seen = BTreeMap::new();
    numbers(received, topic).into_iter().filter(|number| seen.insert(*number, ()).is_none()).collect()
}

/// Each number once and in order; says where it is otherwise, not all of it.
#[track_caller]
pub fn assert_counts(actual: &[i64], expected: RangeInclusive<i64>) {
    let expected: Vec<_> = expected.collect();
    let differs = actual.iter().zip(&expected).position(|(one, other)| one != other);
    let at = differs.unwrap_or(actual.len().min(expected.len()));
    let around = &actual[at.saturating_sub(5)..actual.len().min(at + 15)];
    assert!(actual == expected, "{} of {}; from the {at}th on: {around:?}", actual.len(), expected.len());
}

/// Everything that has come, once it has `count` numbers of the topic; names those that do not come.
pub fn has_all(watcher: &Watcher, topic: &str, count: i64) -> Vec<Received> {
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        watcher.until(|seen| seen.last().is_some() && firsts(seen, topic).len() as i64 >= count)
    }));
    waited.unwrap_or_else(|_| {
        let arrived = firsts(&watcher.seen(), topic);
        let missing: Vec<i64> = (1..=count).filter(|number| !arrived.contains(number)).collect();
        panic!("{topic}: did not come: {missing:?}")
    })
}
