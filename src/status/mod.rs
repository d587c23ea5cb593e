//! The board: what state each part is in, and its counters. It shows; it changes nothing.
//!
//! Every room gets a [`Part`] and writes its state there; a change of state is one log line, never a flood.

mod events;
mod histogram;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tracing::{info, warn};

pub use events::{EVENTS, Event, What};
pub use histogram::{BOUNDS, Counts, Histogram};

use events::Events;

/// State of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not heard from yet.
    Starting,
    /// As it should be.
    Ok,
    /// Works, but something should be looked at.
    Degraded(String),
    /// Does not work; retried with back-off.
    Failed(String),
    /// Ended in order.
    Stopped,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Starting => f.write_str("starting"),
            State::Ok => f.write_str("ok"),
            State::Degraded(why) => write!(f, "degraded: {why}"),
            State::Failed(why) => write!(f, "failed: {why}"),
            State::Stopped => f.write_str("stopped"),
        }
    }
}

/// Most characters of a reason: it may be of somebody else's making, a broker's say, who may say 64 kB.
const LONGEST: usize = 500;

/// A text as one line: what is of somebody else's making must not look like lines of ours in the journal, nor play with
/// somebody's terminal.
fn one_line(text: String) -> String {
    if text.len() <= LONGEST && !text.contains(char::is_control) {
        return text;
    }
    let mut line = String::new();
    for letter in text.chars().take(LONGEST) {
        match letter {
            letter if letter.is_control() => line.extend(letter.escape_default()),
            letter => line.push(letter),
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}

impl State {
    /// With a reason that is one line.
    fn in_one_line(self) -> Self {
        match self {
            State::Degraded(why) => State::Degraded(one_line(why)),
            State::Failed(why) => State::Failed(one_line(why)),
            other => other,
        }
    }

    /// Whether the two are the same but for the reason.
    fn is_like(&self, other: &State) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// All parts. Cheap to clone; every clone is the same board. It outlives a reload of the configuration, so
/// that counters never go back while the program runs.
#[derive(Debug, Clone)]
pub struct Board {
    parts: Arc<Mutex<BTreeMap<String, Part>>>,
    events: Arc<Events>,
    since: Instant,
}

impl Default for Board {
    fn default() -> Self {
        Self { parts: Arc::default(), events: Arc::default(), since: Instant::now() }
    }
}

/// One part's place on the board.
#[derive(Debug, Clone)]
pub struct Part {
    name: Arc<str>,
    state: Arc<Mutex<Current>>,
    figures: Arc<Mutex<BTreeMap<&'static str, Figure>>>,
    histograms: Arc<Mutex<BTreeMap<&'static str, Histogram>>>,
    events: Arc<Events>,
}

/// A part's state.
#[derive(Debug)]
struct Current {
    state: State,
    /// Since it is exactly this, reason included.
    since: Instant,
    /// Since it is of this kind: what fails for another reason than before has failed all the while.
    kind_since: Instant,
}

/// A number on the board: a counter when only added to, a gauge when set.
#[derive(Debug, Clone, Default)]
pub struct Figure(Arc<AtomicI64>);

impl Figure {
    /// Adds to a counter.
    pub fn add(&self, count: usize) {
        self.0.fetch_add(i64::try_from(count).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A board's lock is held for a few instructions that cannot panic halfway, so a poisoned one is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    /// An empty board.
    pub fn new() -> Self {
        Self::default()
    }

    /// The part of this name, made on first use: `sensor air`, `log`, `publisher`, `mirror csv`.
    pub fn part(&self, name: &str) -> Part {
        let mut parts = lock(&self.parts);
        parts.entry(name.to_owned()).or_insert_with(|| Part::new(name, Arc::clone(&self.events))).clone()
    }

    /// Every part as it is now, by name.
    pub fn parts(&self) -> Vec<Part> {
        lock(&self.parts).values().cloned().collect()
    }

    /// The last things that happened, oldest first, at most [`EVENTS`].
    pub fn events(&self) -> Vec<Event> {
        self.events.list()
    }

    /// Warnings and states to be looked at since the program began.
    pub fn warnings(&self) -> u64 {
        self.events.warnings()
    }

    /// When the board was made: the program began then.
    pub fn since(&self) -> Instant {
        self.since
    }
}

impl fmt::Display for Board {
    /// One line a part: name, state, seconds since it changed, figures.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.parts() {
            let (state, since) = part.state();
            write!(f, "{}: {state} (for {} s)", part.name, since.elapsed().as_secs())?;
            for (name, value) in part.figures() {
                write!(f, " {name}={value}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl Part {
    fn new(name: &str, events: Arc<Events>) -> Self {
        let now = Instant::now();
        Self {
            name: name.into(),
            state: Arc::new(Mutex::new(Current { state: State::Starting, since: now, kind_since: now })),
            figures: Arc::default(),
            histograms: Arc::default(),
            events,
        }
    }

    /// Name on the board.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sets the state; logs it if it is new. Answers whether it was.
    pub fn set(&self, state: State) -> bool {
        let state = state.in_one_line();
        {
            let mut current = lock(&self.state);
            if current.state == state {
                return false;
            }
            let now = Instant::now();
            let kind_since = if current.state.is_like(&state) { current.kind_since } else { now };
            *current = Current { state: state.clone(), since: now, kind_since };
        }
        self.events.add(&self.name, What::State(state.clone()));
        match state {
            State::Degraded(_) | State::Failed(_) => warn!("{}: {state}", self.name),
            _ => info!("{}: {state}", self.name),
        }
        true
    }

    /// Says something that does not change the state: a line in the journal, and an event.
    pub fn warn(&self, what: String) {
        let what = one_line(what);
        warn!("{}: {what}", self.name);
        self.events.add(&self.name, What::Warning(what));
    }

    /// All is well, and this was done: one line in the journal, and one event.
    pub fn done(&self, what: String) {
        {
            let mut current = lock(&self.state);
            if current.state != State::Ok {
                let now = Instant::now();
                *current = Current { state: State::Ok, since: now, kind_since: now };
            }
        }
        info!("{}: {what}", self.name);
        self.events.add(&self.name, What::Done(what));
    }

    /// State, and since when.
    pub fn state(&self) -> (State, Instant) {
        let current = lock(&self.state);
        (current.state.clone(), current.since)
    }

    /// State, and since when it is of this kind, whatever the reason was meanwhile.
    pub fn state_of_kind(&self) -> (State, Instant) {
        let current = lock(&self.state);
        (current.state.clone(), current.kind_since)
    }

    /// The histogram of this name, made on first use.
    pub fn histogram(&self, name: &'static str) -> Histogram {
        lock(&self.histograms).entry(name).or_default().clone()
    }

    /// The figure of this name, made on first use.
    pub fn figure(&self, name: &'static str) -> Figure {
        lock(&self.figures).entry(name).or_default().clone()
    }

    /// Every figure by name.
    pub fn figures(&self) -> Vec<(&'static str, i64)> {
        lock(&self.figures).iter().map(|(name, figure)| (*name, figure.get())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_news_only_once() {
        let part = Board::new().part("log");
        assert!(part.set(State::Failed("disk full".into())));
        assert!(!part.set(State::Failed("disk full".into())));
        assert!(part.set(State::Ok));
    }

    #[test]
    fn whatever_the_reason_it_is_one_short_line() {
        let board = Board::new();
        let part = board.part("publisher");
        part.set(State::Failed("ended by the broker: quota\n<0>kernel: on fire \x1b[2J".into()));
        assert_eq!(
            part.state().0.to_string(),
            "failed: ended by the broker: quota\\n<0>kernel: on fire \\u{1b}[2J"
        );
        assert!(
            !part.set(State::Failed("ended by the broker: quota\n<0>kernel: on fire \x1b[2J".into())),
            "not news"
        );
        part.warn("é\r".repeat(40_000));
        part.set(State::Degraded("é".repeat(40_000)));
        for event in board.events() {
            let (What::State(State::Failed(text) | State::Degraded(text)) | What::Warning(text)) = event.what
            else {
                continue;
            };
            assert!(!text.contains(char::is_control) && text.chars().count() <= 2 * LONGEST + 1, "{text}");
        }
        part.set(State::Failed("é".repeat(LONGEST)));
        assert_eq!(part.state().0, State::Failed("é".repeat(LONGEST)), "as long as it may be");
    }

    #[test]
    fn another_reason_is_news_but_the_kind_has_lasted() {
        let board = Board::new();
        let part = board.part("publisher");
        part.set(State::Failed("refused".into()));
        let since = part.state_of_kind().1;
        assert!(part.set(State::Failed("timed out".into())));
        assert_eq!(part.state_of_kind(), (State::Failed("timed out".into()), since));
        part.set(State::Ok);
        assert!(part.state_of_kind().1 > since);
        part.warn("3 readings were lost".into());
        assert_eq!((board.events().len(), board.warnings()), (4, 3));
    }

    #[test]
    fn what_was_done_is_an_event_and_no_warning() {
        let board = Board::new();
        let part = board.part("reload");
        part.set(State::Degraded("wrong".into()));
        part.done("nothing changed".into());
        let events = board.events();
        assert_eq!(events.last().unwrap().what, What::Done("nothing changed".into()));
        assert_eq!((part.state().0, events.len(), board.warnings()), (State::Ok, 2, 1));
    }

    #[test]
    fn the_same_name_is_the_same_part() {
        let board = Board::new();
        board.part("log").figure("rows").add(3);
        board.part("log").figure("rows").add(4);
        assert!(board.to_string().contains("log: starting (for 0 s) rows=7"));
    }
}
