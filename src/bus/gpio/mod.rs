//! The pins of the header: their level, their edges with the kernel's time stamps, and pins that are driven. Real
//! ones on a Pi, simulated ones anywhere. An edge is handed on as it came; whether it was a bounce is for others to say.

mod drive;
mod pi;
mod queue;
mod sim;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::{BusError, Buses};
use queue::EdgeQueue;

pub use drive::{LevelOutput, PulseOutput};
pub use queue::{Edge, Edges, Waker};
pub use sim::{SimulatedPins, Toggle};

/// Whose pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pins {
    /// `gpio`: this machine's header.
    Header,
    /// `gpio-sim`: simulated in this process.
    Simulated,
}

impl Pins {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Pins::Header => "gpio",
            Pins::Simulated => "gpio-sim",
        }
    }
}

impl fmt::Display for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Pins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Pins::Header, Pins::Simulated].into_iter().find(|pins| pins.name() == text).ok_or_else(|| {
            format!("unknown pins \"{text}\": write gpio for this machine's header, or gpio-sim for simulated ones")
        })
    }
}

/// What holds a pin that nothing drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// The built-in resistor (about 50 kΩ) to 3.3 V.
    Up,
    /// The built-in resistor to ground.
    Down,
    /// Nothing: a resistor of your own, or a part that drives both ways.
    None,
}

/// What a pin is made of, real or not. Dropping it lets go of the pin.
trait Line: Send {
    /// Its level now.
    fn is_high(&self) -> bool;

    /// Hands over what happened up to `now`; real pins do that by themselves.
    fn catch_up(&mut self, _now: Duration) {}

    /// When the next edge is known to come.
    fn due(&self) -> Option<Duration> {
        None
    }
}

/// A pin whose edges are watched. Dropping it lets go of the pin.
pub struct EdgeInput {
    line: Box<dyn Line>,
    queue: Arc<EdgeQueue>,
}

impl fmt::Debug for EdgeInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EdgeInput({:?})", self.queue)
    }
}

impl EdgeInput {
    /// The level now.
    pub fn is_high(&self) -> bool {
        self.line.is_high()
    }

    /// The edges up to `now` (`CLOCK_MONOTONIC`) that nobody has taken, oldest first.
    pub fn take(&mut self, now: Duration) -> Edges {
        self.line.catch_up(now);
        self.queue.take()
    }

    /// Whether edges wait to be taken.
    pub fn waits(&self) -> bool {
        self.queue.waits()
    }

    /// When to ask again though nobody called: only a simulated pin knows beforehand when it will move.
    pub fn due(&self) -> Option<Duration> {
        self.line.due()
    }

    /// Names whom to call when edges wait.
    pub fn wake_by(&self, waker: Waker) {
        self.queue.wake_by(waker);
    }

    /// Whether the kernel has stopped telling of edges: the pin must be let go and watched anew.
    pub fn is_deaf(&self) -> bool {
        self.queue.ended()
    }
}

/// A wire on which a part answers in edges (DHT11, DHT22). It holds the pin only while it asks.
#[derive(Debug, Clone)]
pub struct Wire {
    pins: Pins,
    pin: u8,
    simulated: SimulatedPins,
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pins {
            Pins::Header => write!(f, "pin {}", self.pin),
            Pins::Simulated => write!(f, "pin {} of {}", self.pin, self.pins),
        }
    }
}

impl Wire {
    /// Pulls the wire low for `low`, lets go (pull-up), and listens for `listen`. The stamps count from
    /// letting go.
    ///
    /// Listening is a loop that does nothing else: what runs in between may make it miss edges.
    ///
    /// # Errors
    /// As [`Buses::watch`].
    pub fn exchange(&self, low: Duration, listen: Duration) -> Result<Vec<Edge>, BusError> {
        match self.pins {
            Pins::Header => pi::exchange(self.pin, low, listen),
            Pins::Simulated => Ok(self.simulated.answer(self.pin)),
        }
    }
}

impl Buses {
    /// Watches a pin (BCM number). Whoever is named by [`EdgeInput::wake_by`] is called when `wake_at` edges
    /// wait; more than 4096 never do.
    ///
    /// # Errors
    /// There are no pins here, not this one, or somebody else has it.
    pub fn watch(&self, pins: Pins, pin: u8, pull: Pull, wake_at: usize) -> Result<EdgeInput, BusError> {
        let queue = Arc::new(EdgeQueue::new(wake_at));
        let line: Box<dyn Line> = match pins {
            Pins::Header => Box::new(pi::watch(pin, pull, &queue)?),
            Pins::Simulated => Box::new(self.pins.watch(pin, pull, &queue)?),
        };
        Ok(EdgeInput { line, queue })
    }

    /// The wire of a part that answers in edges when it is asked ([`Wire::exchange`]).
    pub fn wire(&self, pins: Pins, pin: u8) -> Wire {
        Wire { pins, pin, simulated: self.pins.clone() }
    }

    /// The simulated pins, to be moved by tests and demos.
    pub fn simulated_pins(&self) -> &SimulatedPins {
        &self.pins
    }
}
