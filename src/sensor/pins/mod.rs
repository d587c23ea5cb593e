//! What drivers on pins share: their options, the debounce, and a watched pin whose level is debounced.

pub(super) mod debounce;

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::options::Span;
use super::{OptionProblem, SensorError};
use crate::bus::Buses;
use crate::bus::gpio::{EdgeInput, Pins, Pull, Toggle, Waker};
use debounce::{Change, Debounce};

/// The highest BCM number there is: the header has 0 to 27, compute modules the rest.
const LAST_PIN: u8 = 45;

/// Longest debounce that makes sense: a person holds a button longer.
const LONGEST_DEBOUNCE: Duration = Duration::from_secs(60);

/// How long an edge may be on its way from the kernel to us, when level and edges disagree.
const ON_ITS_WAY: Duration = Duration::from_millis(2);

/// BCM number of a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub(super) struct PinNumber(pub u8);

impl TryFrom<u64> for PinNumber {
    type Error = String;

    fn try_from(number: u64) -> Result<Self, String> {
        match u8::try_from(number) {
            Ok(pin @ 0..=LAST_PIN) => Ok(PinNumber(pin)),
            _ => {
                Err(format!("{number} is no pin: pins are BCM numbers, 0 to 27 on the header (GPIO17 is 17)"))
            }
        }
    }
}

impl JsonSchema for PinNumber {
    fn schema_name() -> Cow<'static, str> {
        "Pin".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "maximum": LAST_PIN, "examples": [17] })
    }
}

/// Whose pins: `gpio` or `gpio-sim`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct OnPins(pub Pins);

impl TryFrom<String> for OnPins {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(OnPins)
    }
}

impl JsonSchema for OnPins {
    fn schema_name() -> Cow<'static, str> {
        "Pins".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": ["gpio", "gpio-sim"] })
    }
}

/// What holds the pin when nothing drives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PullOption {
    /// About 50 kΩ to 3.3 V.
    Up,
    /// About 50 kΩ to ground.
    Down,
    /// Nothing.
    None,
}

impl From<PullOption> for Pull {
    fn from(option: PullOption) -> Self {
        match option {
            PullOption::Up => Pull::Up,
            PullOption::Down => Pull::Down,
            PullOption::None => Pull::None,
        }
    }
}

/// How a simulated pin moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Simulate {
    /// Time between two changes of the level.
    toggle: Span,
    /// How often the contact bounces at each change: there and back, a millisecond apart.
    #[serde(default)]
    #[schemars(extend("default" = 0))]
    bounces: u32,
}

/// A pin of the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) pins: Pins,
    pub(super) pin: u8,
    pub(super) pull: Pull,
    pub(super) debounce: Duration,
    toggle: Option<Toggle>,
}

/// What a sensor says of its pin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given {
    pub(super) pin: Option<PinNumber>,
    pub(super) pins: Option<OnPins>,
    pub(super) pull: Option<PullOption>,
    pub(super) debounce: Option<Span>,
    pub(super) simulate: Option<Simulate>,
    /// When `debounce` is left out.
    pub(super) usual_debounce: Duration,
}

impl Place {
    /// The pin, with what is wrong with it added to the problems.
    pub(super) fn check(given: Given, problems: &mut Vec<OptionProblem>) -> Option<Self> {
        let pins = given.pins.map_or(Pins::Header, |pins| pins.0);
        let debounce = given.debounce.map_or(given.usual_debounce, |span| span.0);
        if debounce > LONGEST_DEBOUNCE {
            problems.push(OptionProblem::new("debounce", "must be at most 60s"));
        }
        let toggle = given.simulate.and_then(|simulate| match check_toggle(pins, simulate) {
            Ok(toggle) => Some(toggle),
            Err(message) => {
                problems.push(OptionProblem::new("simulate", message));
                None
            }
        });
        let PinNumber(pin) = given.pin?;
        Some(Self { pins, pin, pull: given.pull.map_or(Pull::Up, Pull::from), debounce, toggle })
    }

    /// Begins to watch it. Somebody is called when `wake_at` edges wait.
    pub(super) fn watch(&self, buses: &Buses, wake_at: usize) -> Result<DebouncedInput, SensorError> {
        if self.pins == Pins::Simulated {
            buses.simulated_pins().toggle(self.pin, self.toggle);
        }
        let input = buses.watch(self.pins, self.pin, self.pull, wake_at)?;
        // Edges are heard from before this look on, so none is missed; one that is seen twice changes nothing.
        let debounce = Debounce::new(input.is_high(), self.debounce);
        Ok(DebouncedInput { input, debounce, pin: self.pin })
    }
}

fn check_toggle(pins: Pins, simulate: Simulate) -> Result<Toggle, String> {
    let Simulate { toggle: Span(every), bounces } = simulate;
    if pins != Pins::Simulated {
        return Err("is for simulated pins: remove this, or write bus: gpio-sim".to_owned());
    }
    if every < Duration::from_millis(1) {
        return Err("toggle must be at least 1ms".to_owned());
    }
    if every <= Duration::from_millis(2) * bounces {
        return Err(format!("{bounces} bounces of 2 ms do not fit between two changes"));
    }
    Ok(Toggle { every, bounces })
}

/// A watched pin whose bounces are taken out.
#[derive(Debug)]
pub(super) struct DebouncedInput {
    input: EdgeInput,
    debounce: Debounce,
    pin: u8,
}

impl DebouncedInput {
    /// The level that is settled.
    pub(super) fn is_high(&self) -> bool {
        self.debounce.settled()
    }

    /// Whether it may be about to change.
    pub(super) fn is_undecided(&self) -> bool {
        self.debounce.is_undecided()
    }

    /// Since when it has not come to rest, if it has not up to `now`.
    pub(super) fn restless_since(&self, now: Duration) -> Option<Duration> {
        self.debounce.restless_since(now)
    }

    /// The changes that were settled by `now`, oldest first, and how many edges are missing.
    ///
    /// # Errors
    /// The kernel does not tell of edges any more. What it told of before is taken first.
    pub(super) fn take(&mut self, now: Duration) -> Result<(Vec<Change>, u64), SensorError> {
        // Asked first: then nothing is told of any more after the edges that are taken.
        let deaf = self.input.is_deaf();
        let edges = self.input.take(now);
        if deaf && edges.edges.is_empty() && edges.lost == 0 {
            let message = format!("pin {} is watched no more: the kernel has ended it", self.pin);
            return Err(SensorError::Bus(message));
        }
        let mut changes: Vec<Change> = Vec::new();
        for edge in edges.edges {
            changes.extend(self.debounce.feed(edge.high, edge.at));
        }
        changes.extend(self.debounce.settle(now));
        Ok((changes, edges.lost))
    }

    /// When to take next though nobody calls.
    pub(super) fn due(&self) -> Option<Duration> {
        [self.debounce.due(), self.input.due(), self.ended()].into_iter().flatten().min()
    }

    /// Long ago, if the kernel has ended the watch: to be told at once.
    pub(super) fn ended(&self) -> Option<Duration> {
        self.input.is_deaf().then_some(Duration::ZERO)
    }

    /// Names whom to call.
    pub(super) fn wake_by(&self, waker: Waker) {
        self.input.wake_by(waker);
    }

    /// Whether the pin is where its edges left it. If it is elsewhere and no edge is on its way, the last one
    /// was lost: that is taken for one at `now`.
    pub(super) fn agrees(&mut self, now: Duration) -> bool {
        let explained = |this: &Self| this.input.waits() || this.input.is_high() == this.debounce.level();
        if explained(self) {
            return true;
        }
        std::thread::sleep(ON_ITS_WAY);
        if explained(self) {
            return true;
        }
        // Without debounce it is settled at once, and the reading that is under way says so.
        self.debounce.feed(!self.debounce.level(), now);
        false
    }
}
