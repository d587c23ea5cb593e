//! Simulated pins: moved by a test edge by edge, or toggling by themselves. They need no thread: a pin that
//! toggles works out its edges when it is looked at, and says when to look again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::super::{BusError, lock};
use super::drive::Drive;
use super::queue::{CAPACITY, Edge, EdgeQueue};
use super::{Line, Pull};

/// Between two bounces of a simulated contact.
const BOUNCE: Duration = Duration::from_millis(1);

/// A pin that toggles by itself, at every multiple of `every` on the kernel's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Toggle {
    /// Time between two changes; longer than all bounces of one.
    pub every: Duration,
    /// How often the contact bounces at each change: there and back, a millisecond apart.
    pub bounces: u32,
}

impl Toggle {
    /// Edges of one change.
    fn edges(self) -> u32 {
        self.bounces.saturating_mul(2).saturating_add(1)
    }

    /// Number of the last change at or before `at`, and the number of the last of its edges.
    fn position(self, at: Duration) -> (u64, u32) {
        let change = u64::try_from(at.as_nanos() / self.every.as_nanos().max(1)).unwrap_or(u64::MAX);
        let since = at.saturating_sub(self.moment(change, 0));
        let edge = u32::try_from(since.as_nanos() / BOUNCE.as_nanos()).unwrap_or(u32::MAX);
        (change, edge.min(self.edges() - 1))
    }

    fn moment(self, change: u64, edge: u32) -> Duration {
        let nanos = self.every.as_nanos().saturating_mul(change.into());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).saturating_add(BOUNCE * edge)
    }

    /// The level from that edge on: every odd change leads to high, every second edge of it back.
    fn is_high(change: u64, edge: u32) -> bool {
        (change % 2 == 1) ^ (edge % 2 == 1)
    }

    fn next(self, change: u64, edge: u32) -> (u64, u32) {
        if edge + 1 < self.edges() { (change, edge + 1) } else { (change + 1, 0) }
    }
}

/// What a simulated part answers when it is asked over its wire.
type Answer = Box<dyn FnMut() -> Vec<Edge> + Send>;

/// The kernel's monotonic clock, by which real edges are stamped.
fn monotonic() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// All simulated pins of one process. Cheap to clone; every clone is the same pins.
#[derive(Clone, Default)]
pub struct SimulatedPins(Arc<Mutex<BTreeMap<u8, Pin>>>);

#[derive(Default)]
struct Pin {
    /// Set by hand; without it the pull decides.
    high: Option<bool>,
    toggle: Option<Toggle>,
    answer: Option<Answer>,
    /// Which configuration the part that answers stands for; none when it was attached by hand.
    description: Option<String>,
    watcher: Option<Watcher>,
    /// The share of time for which it is driven high, and whether somebody drives it still.
    driven: Option<(f64, bool)>,
}

struct Watcher {
    queue: Arc<EdgeQueue>,
    /// Number of the last edge.
    sequence: u32,
    high: bool,
    /// Where a pin that toggles has come to.
    position: (u64, u32),
}

impl Watcher {
    fn push(&mut self, high: bool, at: Duration) {
        self.high = high;
        self.sequence = self.sequence.wrapping_add(1);
        self.queue.push(Edge { high, at, sequence: self.sequence });
    }
}

impl fmt::Debug for SimulatedPins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimulatedPins({} known)", lock(&self.0).len())
    }
}

impl SimulatedPins {
    /// Moves a pin: an edge with this stamp if it was elsewhere, and in any case its level from now on.
    pub fn set(&self, pin: u8, high: bool, at: Duration) {
        let mut pins = lock(&self.0);
        let pin = pins.entry(pin).or_default();
        pin.high = Some(high);
        if let Some(watcher) = pin.watcher.as_mut().filter(|watcher| watcher.high != high) {
            watcher.push(high, at);
        }
    }

    /// Loses edges, as a kernel does whose buffer is full: they leave a gap in the numbers. The level is where
    /// an odd or even number of them leaves it.
    pub fn lose(&self, pin: u8, edges: u32) {
        if let Some(watcher) = lock(&self.0).get_mut(&pin).and_then(|pin| pin.watcher.as_mut()) {
            watcher.sequence = watcher.sequence.wrapping_add(edges);
            watcher.high ^= edges % 2 == 1;
        }
    }

    /// Ends the watch as an error in the kernel would.
    pub fn deafen(&self, pin: u8) {
        if let Some(watcher) = lock(&self.0).get(&pin).and_then(|pin| pin.watcher.as_ref()) {
            watcher.queue.end();
        }
    }

    /// Lets a pin toggle by itself, or no more, from the next time that it is watched.
    pub fn toggle(&self, pin: u8, toggle: Option<Toggle>) {
        lock(&self.0).entry(pin).or_default().toggle = toggle;
    }

    /// Puts a part on a pin that answers in edges when asked ([`super::Wire::exchange`]), in place of any there was.
    pub fn attach(&self, pin: u8, answer: impl FnMut() -> Vec<Edge> + Send + 'static) {
        let mut pins = lock(&self.0);
        let pin = pins.entry(pin).or_default();
        pin.answer = Some(Box::new(answer));
        pin.description = None;
    }

    /// Makes sure that a pin has the part that a sensor's configuration describes: one of another description goes,
    /// one that was attached stays.
    pub fn simulate(&self, pin: u8, description: &str, answer: impl FnMut() -> Vec<Edge> + Send + 'static) {
        let mut pins = lock(&self.0);
        let pin = pins.entry(pin).or_default();
        let stays = pin.description.as_deref().is_none_or(|known| known == description);
        if pin.answer.is_some() && stays {
            return;
        }
        pin.answer = Some(Box::new(answer));
        pin.description = Some(description.to_owned());
    }

    /// The share of time for which a pin is driven high, or was when it was let go.
    pub fn driven(&self, pin: u8) -> Option<f64> {
        lock(&self.0).get(&pin)?.driven.map(|(high, _)| high)
    }

    pub(super) fn drive(&self, number: u8, high: f64) -> Result<SimOutput, BusError> {
        let mut pins = lock(&self.0);
        let pin = pins.entry(number).or_default();
        if pin.watcher.is_some() || pin.driven.is_some_and(|(_, held)| held) {
            return Err(BusError(format!("pin {number} is in use already by this program")));
        }
        pin.driven = Some((high, true));
        Ok(SimOutput { pins: self.clone(), number })
    }

    pub(super) fn answer(&self, pin: u8) -> Vec<Edge> {
        lock(&self.0)
            .get_mut(&pin)
            .and_then(|pin| pin.answer.as_mut())
            .map_or_else(Vec::new, |answer| answer())
    }

    pub(super) fn watch(&self, number: u8, pull: Pull, queue: &Arc<EdgeQueue>) -> Result<SimPin, BusError> {
        let mut pins = lock(&self.0);
        let pin = pins.entry(number).or_default();
        if pin.watcher.is_some() || pin.driven.is_some_and(|(_, held)| held) {
            return Err(BusError(format!("pin {number} is in use already by this program")));
        }
        let position = pin.toggle.map_or((0, 0), |toggle| toggle.position(monotonic()));
        let high = match pin.toggle {
            Some(_) => Toggle::is_high(position.0, position.1),
            None => pin.high.unwrap_or(pull == Pull::Up),
        };
        pin.watcher = Some(Watcher { queue: Arc::clone(queue), sequence: 0, high, position });
        Ok(SimPin { pins: self.clone(), number })
    }
}

/// A watched simulated pin.
pub(super) struct SimPin {
    pins: SimulatedPins,
    number: u8,
}

impl SimPin {
    fn with<T>(&self, look: impl FnOnce(&mut Watcher, Option<Toggle>) -> T) -> Option<T> {
        let mut pins = lock(&self.pins.0);
        let pin = pins.get_mut(&self.number)?;
        let toggle = pin.toggle;
        pin.watcher.as_mut().map(|watcher| look(watcher, toggle))
    }
}

impl Line for SimPin {
    /// Where its last edge led, so that level and edges agree at whatever time the caller lives.
    fn is_high(&self) -> bool {
        self.with(|watcher, _| watcher.high).unwrap_or_default()
    }

    fn catch_up(&mut self, now: Duration) {
        self.with(|watcher, toggle| {
            let Some(toggle) = toggle else { return };
            let (change, _) = toggle.position(now);
            // After a sleep of hours only the end is worked out; the rest would not fit into the queue.
            let first = change.saturating_sub(CAPACITY as u64);
            if watcher.position.0 < first {
                let missed = (first - watcher.position.0).saturating_mul(toggle.edges().into());
                watcher.sequence = watcher.sequence.wrapping_add(u32::try_from(missed).unwrap_or(u32::MAX));
                watcher.position = (first, 0);
            }
            loop {
                let (change, edge) = toggle.next(watcher.position.0, watcher.position.1);
                let at = toggle.moment(change, edge);
                if at > now {
                    break;
                }
                watcher.position = (change, edge);
                watcher.push(Toggle::is_high(change, edge), at);
            }
        });
    }

    fn due(&self) -> Option<Duration> {
        self.with(|watcher, toggle| {
            let toggle = toggle?;
            let (change, edge) = toggle.next(watcher.position.0, watcher.position.1);
            Some(toggle.moment(change, edge))
        })?
    }
}

impl Drop for SimPin {
    fn drop(&mut self) {
        if let Some(pin) = lock(&self.pins.0).get_mut(&self.number) {
            pin.watcher = None;
        }
    }
}

/// A driven simulated pin.
pub(super) struct SimOutput {
    pins: SimulatedPins,
    number: u8,
}

impl Drive for SimOutput {
    fn set(&mut self, high: f64) -> Result<(), BusError> {
        lock(&self.pins.0).entry(self.number).or_default().driven = Some((high, true));
        Ok(())
    }
}

impl Drop for SimOutput {
    fn drop(&mut self) {
        if let Some((_, held)) = lock(&self.pins.0).get_mut(&self.number).and_then(|pin| pin.driven.as_mut())
        {
            *held = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Buses;
    use super::super::{EdgeInput, Edges, Pins};
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn watched(buses: &Buses, pull: Pull) -> EdgeInput {
        buses.watch(Pins::Simulated, 17, pull, 1).unwrap()
    }

    #[test]
    fn a_pin_moved_by_hand_has_edges_with_stamps_and_numbers() {
        let buses = Buses::new();
        let pins = buses.simulated_pins();
        let mut input = watched(&buses, Pull::Up);
        assert!(input.is_high(), "the pull decides");
        pins.set(17, true, ms(1));
        pins.set(17, false, ms(2));
        pins.lose(17, 2);
        pins.set(17, true, ms(9));
        let edges = input.take(ms(10));
        let expected =
            [Edge { high: false, at: ms(2), sequence: 1 }, Edge { high: true, at: ms(9), sequence: 4 }];
        assert_eq!(edges, Edges { edges: expected.into(), lost: 2 });
        assert!(input.is_high());
        assert_eq!(input.due(), None);
    }

    #[test]
    fn a_pin_is_watched_once_and_free_again_afterwards() {
        let buses = Buses::new();
        let input = watched(&buses, Pull::Down);
        assert!(!input.is_high());
        let again = buses.watch(Pins::Simulated, 17, Pull::Up, 1).unwrap_err();
        assert!(again.to_string().contains("in use already"), "{again}");
        buses.simulated_pins().deafen(17);
        assert!(input.is_deaf());
        drop(input);
        assert!(!watched(&buses, Pull::None).is_deaf());
    }

    #[test]
    fn a_pin_toggles_on_its_grid_and_bounces() {
        let buses = Buses::new();
        buses.simulated_pins().toggle(17, Some(Toggle { every: ms(100), bounces: 1 }));
        let mut input = watched(&buses, Pull::Up);
        let due = input.due().unwrap();
        // From the beginning of a change that lies ahead.
        let change = due.as_millis() as u64 / 100 + 1;
        input.take(ms(change * 100 - 1));
        let edges = input.take(ms(change * 100 + 250)).edges;
        let seen: Vec<(u64, bool)> = edges
            .iter()
            .map(|edge| (edge.at.as_millis() as u64 - change * 100, edge.high ^ change.is_multiple_of(2)))
            .collect();
        let expected = [
            (0, true),
            (1, false),
            (2, true),
            (100, false),
            (101, true),
            (102, false),
            (200, true),
            (201, false),
            (202, true),
        ];
        assert_eq!(seen, expected);
        assert_eq!(input.due(), Some(ms(change * 100 + 300)));
        assert_eq!(input.take(ms(change * 100 + 299)), Edges::default());
    }

    #[test]
    fn after_a_long_sleep_only_the_end_is_there_and_the_rest_is_counted() {
        let buses = Buses::new();
        buses.simulated_pins().toggle(17, Some(Toggle { every: ms(1), bounces: 0 }));
        let mut input = watched(&buses, Pull::Up);
        let start = input.due().unwrap();
        let Edges { edges, lost } = input.take(start + Duration::from_secs(3600));
        assert_eq!(edges.len() as u64 + lost, 3_600_001);
        assert!(edges.len() <= CAPACITY);
    }
}
