//! A publisher that knows what the broker has acknowledged, which mosquitto_pub does not tell.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::wire::{Packet, Wire};

/// A message and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: String,
}

#[derive(Default)]
struct Shared {
    acknowledged: Mutex<Vec<Sent>>,
    /// Wishes of the owner.
    paused: AtomicBool,
    over: AtomicBool,
    /// Nothing of ours is under way.
    quiet: AtomicBool,
    connections: AtomicU64,
}

/// Publishes one message after the other straight to the broker, each until it is acknowledged (QoS 1:
/// PUBACK, QoS 2: PUBCOMP): over lost connections and restarts of the broker it resumes its session, with
/// DUP set and the same packet id, as a careful client does.
pub struct AckedPublisher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Option<Sent>>>,
}

/// How far the hand-shake of the message under way has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Fresh,
    Sent,
    Released,
}

impl AckedPublisher {
    /// Publishes `message(0)`, `message(1)`, … (topic and payload) with at least `pause` between them.
    pub fn start(
        port: u16,
        client_id: &str,
        qos: u8,
        pause: Duration,
        message: impl Fn(u64) -> (String, String) + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            let mut session = Session { port, client_id: client_id.to_owned(), qos, wire: None };
            move || session.run(&shared, pause, message)
        });
        Self { shared, thread: Some(thread) }
    }

    /// How many were acknowledged so far.
    pub fn count(&self) -> usize {
        self.shared.acknowledged.lock().unwrap().len()
    }

    /// How many connections it has had.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Acquire)
    }

    /// Finishes the message under way and begins no other. Answers whether it came to rest within `limit`.
    pub fn pause(&self, limit: Duration) -> bool {
        self.shared.paused.store(true, Ordering::Release);
        super::holds_within(limit, || self.shared.quiet.load(Ordering::Acquire))
    }

    /// Goes on after `pause`.
    pub fn resume(&self) {
        self.shared.quiet.store(false, Ordering::Release);
        self.shared.paused.store(false, Ordering::Release);
    }

    /// Finishes the message under way and answers everything acknowledged, in order; panics when the
    /// broker does not acknowledge within `limit`.
    #[track_caller]
    pub fn finish(mut self, limit: Duration) -> Vec<Sent> {
        assert!(self.pause(limit), "the broker did not acknowledge the last message within {limit:?}");
        self.shared.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            assert_eq!(thread.join().unwrap(), None, "a message was left behind");
        }
        std::mem::take(&mut self.shared.acknowledged.lock().unwrap())
    }
}

impl Drop for AckedPublisher {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed already; a second one in a drop would hide it.
            drop(thread.join());
        }
    }
}

struct Session {
    port: u16,
    client_id: String,
    qos: u8,
    wire: Option<Wire>,
}

impl Session {
    /// Answers the message that was under way when it was told to end.
    fn run(
        &mut self,
        shared: &Shared,
        pause: Duration,
        message: impl Fn(u64) -> (String, String),
    ) -> Option<Sent> {
        for number in 0.. {
            while shared.paused.load(Ordering::Acquire) && !shared.over.load(Ordering::Acquire) {
                shared.quiet.store(true, Ordering::Release);
                thread::sleep(Duration::from_millis(2));
            }
            if shared.over.load(Ordering::Acquire) {
                break;
            }
            let begun = Instant::now();
            let (topic, payload) = message(number);
            let id = (number % 65_535) as u16 + 1;
            let mut stage = Stage::Fresh;
            while let Err(_lost) = self.deliver(shared, &topic, &payload, id, &mut stage) {
                self.wire = None;
                if shared.over.load(Ordering::Acquire) {
                    return Some(Sent { topic, payload });
                }
                thread::sleep(Duration::from_millis(20));
            }
            shared.acknowledged.lock().unwrap().push(Sent { topic, payload });
            thread::sleep(pause.saturating_sub(begun.elapsed()));
        }
        if let Some(wire) = &mut self.wire {
            wire.disconnect();
            // The session is stored; whether the farewell arrives does not matter.
            drop(wire.flush());
        }
        None
    }

    /// Takes one message as far as this connection lives.
    fn deliver(
        &mut self,
        shared: &Shared,
        topic: &str,
        payload: &str,
        id: u16,
        stage: &mut Stage,
    ) -> io::Result<()> {
        let wire = match &mut self.wire {
            Some(wire) => wire,
            none => {
                let (wire, session_present) = Wire::connect(self.port, &self.client_id, false)?;
                shared.connections.fetch_add(1, Ordering::AcqRel);
                // Without a session the broker knows nothing of the hand-shake: it begins anew.
                if !session_present {
                    *stage = Stage::Fresh;
                }
                none.insert(wire)
            }
        };
        if *stage == Stage::Released {
            wire.pubrel(id);
        } else {
            wire.publish(topic, payload.as_bytes(), self.qos, id, *stage == Stage::Sent);
            *stage = Stage::Sent;
        }
        wire.flush()?;
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            match wire.receive(Duration::from_millis(200))? {
                Some(Packet::PubAck(acked) | Packet::PubComp(acked)) if acked == id => return Ok(()),
                Some(Packet::PubRec(received)) if received == id => {
                    *stage = Stage::Released;
                    wire.pubrel(id);
                    wire.flush()?;
                }
                // Acks of an earlier message's resend.
                Some(_) => {}
                None if shared.over.load(Ordering::Acquire) => break,
                None => {}
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}
