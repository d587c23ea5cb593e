//! The events, and the scene they happen to.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::{Bridge, Mosquitto, Proxy, Seed, holds_within};

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The broker is stopped in order and started again.
    StopBroker,
    /// The broker is killed and started again.
    KillBroker,
    /// Connections are reset.
    Cut,
    /// Connections stay open and carry nothing any more.
    HalfOpen,
    /// Connections are reset and refused for a while.
    Refuse,
    /// Connections are slow for a while.
    Stall,
    /// The daemon is killed and started again.
    KillDaemon,
    /// The daemon is told to leave and started again.
    RestartDaemon,
}

const EVERY: [Event; 8] = [
    Event::StopBroker,
    Event::KillBroker,
    Event::Cut,
    Event::HalfOpen,
    Event::Refuse,
    Event::Stall,
    Event::KillDaemon,
    Event::RestartDaemon,
];

/// A broker, a network before it, and a daemon.
pub struct Scene {
    /// Chance.
    pub seed: Seed,
    /// The broker.
    pub broker: Mosquitto,
    /// The network between the two.
    pub proxy: Proxy,
    /// The daemon.
    pub bridge: Bridge,
    /// How often the daemon was killed.
    pub daemon_kills: usize,
    /// How often the broker was killed.
    pub broker_kills: usize,
}

/// What a scene needs to know of the test.
pub trait Witness {
    /// Rises with everything that arrives where it should.
    fn arrived(&self) -> usize;

    /// Lets the broker come to rest: nothing under way that it has acknowledged and not yet saved.
    fn hush(&mut self) {}

    /// Ends `hush`.
    fn unhush(&mut self) {}
}

/// How many events are to happen: one of each, or `CHAOS_EVENTS`.
pub fn events_wanted() -> usize {
    match std::env::var("CHAOS_EVENTS") {
        Ok(text) => text.parse().expect("CHAOS_EVENTS is a number"),
        Err(_) => EVERY.len(),
    }
}

impl Scene {
    /// Plays events at random moments, each kind at least once.
    pub fn play(&mut self, witness: &mut impl Witness) {
        let count = events_wanted();
        let mut events: Vec<Event> = EVERY.to_vec();
        events.resize_with(count.max(EVERY.len()), || EVERY[self.seed.below(EVERY.len())]);
        events.truncate(count);
        self.seed.shuffle(&mut events);
        let patient = count > EVERY.len();
        let begun = Instant::now();
        for (number, event) in events.into_iter().enumerate() {
            sleep(self.seed.millis(0, 800));
            println!("{:6.1} s  event {number}: {event:?}", begun.elapsed().as_secs_f64());
            self.happen(event, patient, witness);
            if let Some(status) = self.bridge.ended() {
                panic!("the daemon left with {status} after {event:?}\n{}", self.bridge.last_words());
            }
            // Half of the time the next event meets a daemon that has not recovered from this one yet.
            if self.seed.chance(50) {
                let before = witness.arrived();
                let limit = Duration::from_secs(if patient { 30 } else { 5 });
                holds_within(limit, || witness.arrived() > before);
            }
        }
    }

    fn happen(&mut self, event: Event, patient: bool, witness: &mut impl Witness) {
        match event {
            Event::StopBroker => {
                self.broker.stop();
                sleep(self.seed.millis(0, 1500));
                self.broker.resume();
            }
            Event::KillBroker => self.kill_broker(witness),
            Event::Cut => self.proxy.cut(),
            Event::HalfOpen => {
                self.proxy.half_open();
                sleep(self.seed.millis(200, 2500));
                // Otherwise the daemon has to find out by itself that nobody answers.
                if !patient || self.seed.chance(50) {
                    self.proxy.cut();
                }
                self.proxy.resume();
            }
            Event::Refuse => {
                self.proxy.refuse();
                sleep(self.seed.millis(0, 1500));
                self.proxy.resume();
            }
            Event::Stall => {
                self.proxy.stall();
                sleep(self.seed.millis(100, 1500));
                self.proxy.resume();
            }
            Event::KillDaemon => {
                self.bridge.kill();
                self.daemon_kills += 1;
                sleep(self.seed.millis(0, 500));
                self.bridge.resume();
            }
            Event::RestartDaemon => self.bridge.restart(),
        }
    }

    /// What mosquitto acknowledges it saves in the next turn of its loop, milliseconds later, or, for what is
    /// on its way to a connected subscriber, only together with something else (`Mosquitto::save`). Killed in
    /// between it loses what it promised, whoever published it, and it sends messages again that it has told
    /// their subscriber to forget (PUBREL). That is not what is tested here, so the network stalls first
    /// (messages of ours are under way, answers are not), the broker comes to rest and is told to save.
    fn kill_broker(&mut self, witness: &mut impl Witness) {
        self.proxy.stall();
        witness.hush();
        let mut before = witness.arrived();
        sleep(Duration::from_millis(300));
        // The part of the way behind the broker is allowed to finish.
        holds_within(Duration::from_secs(10), || {
            let now = witness.arrived();
            let still = now == before;
            before = now;
            if !still {
                sleep(Duration::from_millis(200));
            }
            still
        });
        self.broker.save();
        self.broker.kill();
        self.broker_kills += 1;
        self.proxy.resume();
        sleep(self.seed.millis(0, 1000));
        self.broker.resume();
        witness.unhush();
    }
}
