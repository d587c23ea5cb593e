//! A simulated platform as a client of the broker: it hears, and answers as its rules say.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::wait_until;
use crate::support::wire::{Packet, Wire};

/// Topic and payload of a message that it sends.
pub type Answer = (String, Vec<u8>);

/// What a platform does.
pub trait Service: Send + 'static {
    /// What it subscribes to.
    fn filters(&self) -> Vec<String>;
    /// A message came; what it answers.
    fn heard(&mut self, topic: &str, payload: &[u8]) -> Vec<Answer>;
}

/// A running platform.
pub struct Actor<S> {
    shared: Arc<Mutex<(S, Vec<Answer>)>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<S: Service> Actor<S> {
    /// Starts it on the broker at this port; returns when it has subscribed.
    pub fn start(port: u16, service: S) -> Self {
        let (mut wire, _) = Wire::connect(port, "platform", true).unwrap();
        for filter in service.filters() {
            wire.subscribe(&filter, 1).unwrap();
        }
        let shared = Arc::new(Mutex::new((service, Vec::new())));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (shared, stop) = (Arc::clone(&shared), Arc::clone(&stop));
            move || run(&mut wire, &shared, &stop)
        });
        Self { shared, stop, thread: Some(thread) }
    }

    /// Looks at it, or has it do something; what `f` puts into the list is sent.
    pub fn with<T>(&self, f: impl FnOnce(&mut S, &mut Vec<Answer>) -> T) -> T {
        let mut shared = self.shared.lock().unwrap();
        let (service, answers) = &mut *shared;
        f(service, answers)
    }

    /// Waits until it has seen what is asked for.
    #[track_caller]
    pub fn wait(&self, what: &str, mut condition: impl FnMut(&S) -> bool) {
        wait_until(Duration::from_secs(30), what, || self.with(|service, _| condition(service)));
    }
}

fn run<S: Service>(wire: &mut Wire, shared: &Mutex<(S, Vec<Answer>)>, stop: &AtomicBool) {
    let mut next = 1;
    while !stop.load(Ordering::Relaxed) {
        let packet = match wire.receive(Duration::from_millis(10)) {
            Ok(packet) => packet,
            Err(error) => return eprintln!("the platform lost its broker: {error}"),
        };
        let mut shared = shared.lock().unwrap();
        let mut answers = std::mem::take(&mut shared.1);
        if let Some(Packet::Publish { topic, qos, id, payload, .. }) = packet {
            if qos > 0 {
                wire.puback(id);
            }
            answers.extend(shared.0.heard(&topic, &payload));
        }
        drop(shared);
        for (topic, payload) in answers {
            wire.publish(&topic, &payload, 1, next, false);
            next = next % 60_000 + 1;
        }
        if wire.flush().is_err() {
            return;
        }
    }
}

impl<S> Drop for Actor<S> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has said why, and a test that needs it fails by itself.
            thread.join().unwrap_or(());
        }
    }
}
