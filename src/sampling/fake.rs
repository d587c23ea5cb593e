//! Drivers, sensors and a log that tests control. No clock of their own.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::bus::gpio::Waker;
use crate::config::Filter;
use crate::enrich::clock::monotonic;
use crate::filter::tests::{channel, quantity};
use crate::reading::{Measured, STATE, Value};
use crate::sensor::{Attachment, Device, Driver, EventSample, Events, QuantityInfo, SensorError, Taken};

/// More than any test needs, unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);

type Script = dyn Fn(u64) -> Result<Vec<Measured>, SensorError> + Send + Sync;

/// A driver whose answers are a closure over the number of the read, counted from 0 over all openings.
pub struct Fake {
    worker: &'static str,
    script: Arc<Script>,
    reads: Arc<AtomicU64>,
    pub opens: AtomicU64,
    pub closes: Arc<AtomicU64>,
}

struct Opened {
    script: Arc<Script>,
    reads: Arc<AtomicU64>,
    closes: Arc<AtomicU64>,
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}

impl Driver for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn quantities(&self) -> &[QuantityInfo] {
        &[]
    }

    fn attachment(&self) -> Attachment {
        Attachment::Worker(self.worker)
    }

    fn open(&self, _buses: &Buses) -> Result<Box<dyn Device>, SensorError> {
        self.opens.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Opened {
            script: Arc::clone(&self.script),
            reads: Arc::clone(&self.reads),
            closes: Arc::clone(&self.closes),
        }))
    }
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        (self.script)(self.reads.fetch_add(1, Ordering::SeqCst))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.closes.fetch_add(1, Ordering::SeqCst);
    }
}

/// A driver read by `worker`.
pub fn driver(
    worker: &'static str,
    script: impl Fn(u64) -> Result<Vec<Measured>, SensorError> + Send + Sync + 'static,
) -> Arc<Fake> {
    Arc::new(Fake {
        worker,
        script: Arc::new(script),
        reads: Arc::default(),
        opens: AtomicU64::new(0),
        closes: Arc::default(),
    })
}

/// A driver of a device that notices by itself, when the test says so. A reading answers with how many
/// readings there were.
#[derive(Clone, Default)]
pub struct Noticing(Arc<Mutex<Noticed>>);

#[derive(Default)]
struct Noticed {
    pub opens: u64,
    reads: u64,
    resumes: bool,
    waiting: Vec<EventSample>,
    /// Comes by itself at this time.
    later: Option<EventSample>,
    lost: u64,
    fails: bool,
    waker: Option<Waker>,
}

impl fmt::Debug for Noticing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Noticing")
    }
}

impl Noticing {
    /// Of a kind that goes on where the log left off.
    pub fn resuming() -> Self {
        let device = Self::default();
        device.0.lock().unwrap().resumes = true;
        device
    }

    fn change(&self, change: impl FnOnce(&mut Noticed)) {
        let mut noticed = self.0.lock().unwrap();
        change(&mut noticed);
        let waker = noticed.waker.clone();
        drop(noticed);
        waker.expect("it was opened")();
    }

    /// It notices these values, each so long ago.
    pub fn notice(&self, values: &[(Duration, f64)]) {
        let now = monotonic();
        let samples = values.iter().map(|(ago, value)| event(now - *ago, *value));
        self.change(|noticed| noticed.waiting.extend(samples));
    }

    /// It will have noticed this value so much later, and calls nobody then.
    pub fn notice_later(&self, after: Duration, value: f64) {
        self.change(|noticed| noticed.later = Some(event(monotonic() + after, value)));
    }

    /// It has lost so many events.
    pub fn lose(&self, lost: u64) {
        self.change(|noticed| noticed.lost = lost);
    }

    /// It fails once, when its events are taken.
    pub fn fail(&self) {
        self.change(|noticed| noticed.fails = true);
    }

    /// How often it was opened.
    pub fn opens(&self) -> u64 {
        self.0.lock().unwrap().opens
    }
}

fn event(at: Duration, value: f64) -> EventSample {
    EventSample { at, measured: vec![Measured { quantity: 0, value: Value::Float(value) }] }
}

impl Driver for Noticing {
    fn name(&self) -> &'static str {
        "noticing"
    }

    fn quantities(&self) -> &[QuantityInfo] {
        &[]
    }

    fn attachment(&self) -> Attachment {
        Attachment::Worker("noticing")
    }

    fn open(&self, _buses: &Buses) -> Result<Box<dyn Device>, SensorError> {
        self.0.lock().unwrap().opens += 1;
        Ok(Box::new(self.clone()))
    }

    fn resumes(&self) -> &[usize] {
        if self.0.lock().unwrap().resumes { &[0] } else { &[] }
    }
}

impl Device for Noticing {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        let mut noticed = self.0.lock().unwrap();
        noticed.reads += 1;
        sample(noticed.reads as f64)
    }

    fn events(&mut self) -> Option<&mut dyn Events> {
        Some(self)
    }
}

impl Events for Noticing {
    fn wake_by(&mut self, waker: Waker) {
        self.0.lock().unwrap().waker = Some(waker);
    }

    fn take(&mut self, now: Duration) -> Result<Taken, SensorError> {
        let mut noticed = self.0.lock().unwrap();
        if std::mem::take(&mut noticed.fails) {
            return Err(SensorError::Bus("deaf".into()));
        }
        let mut samples = std::mem::take(&mut noticed.waiting);
        if noticed.later.as_ref().is_some_and(|later| later.at <= now) {
            samples.extend(noticed.later.take());
        }
        Ok(Taken { samples, lost: std::mem::take(&mut noticed.lost) })
    }

    fn due(&self) -> Option<Duration> {
        self.0.lock().unwrap().later.as_ref().map(|later| later.at)
    }
}

/// One float as a sample.
pub fn sample(value: f64) -> Result<Vec<Measured>, SensorError> {
    Ok(vec![Measured { quantity: 0, value: Value::Float(value) }])
}

/// A new value at each read, within the range that the fake quantity declares.
pub fn counting(read: u64) -> Result<Vec<Measured>, SensorError> {
    sample((read % 80) as f64)
}

/// Plans a sensor with one quantity `t`. Its channel is `number` × 10, that of its state one more.
pub fn plan<D: Driver + 'static>(
    number: i64,
    driver: &Arc<D>,
    interval: Duration,
    filter: Filter,
) -> SensorPlan {
    SensorPlan {
        sensor: config::Sensor {
            id: format!("s{number}").into(),
            driver: Arc::<D>::clone(driver),
            options: Arc::default(),
            interval,
            // Long: a test machine under load must not make a sensor look hung.
            timeout: Duration::from_secs(30),
            quantities: vec![quantity(0, "t", filter)],
            state: channel(STATE),
        },
        channels: vec![ChannelId(number * 10)],
        state_channel: ChannelId(number * 10 + 1),
    }
}

/// A log in memory, which can be busy.
#[derive(Default)]
pub struct Memory {
    pub busy: AtomicBool,
    /// Readings given up.
    pub lost: AtomicU64,
    samples: Mutex<Vec<Vec<Reading>>>,
    news: Condvar,
}

impl Output for Memory {
    fn append(&self, sample: Vec<Reading>) -> Result<(), Busy> {
        if self.busy.load(Ordering::SeqCst) {
            return Err(Busy);
        }
        self.samples.lock().unwrap().push(sample);
        self.news.notify_all();
        Ok(())
    }

    fn record_loss(&self, readings: u64) {
        self.lost.fetch_add(readings, Ordering::SeqCst);
    }
}

impl Memory {
    /// All readings of one channel in the order logged.
    pub fn readings(&self, channel: i64) -> Vec<Reading> {
        let samples = self.samples.lock().unwrap();
        samples.iter().flatten().filter(|reading| reading.channel.0 == channel).cloned().collect()
    }

    /// All values of one channel as text.
    pub fn values(&self, channel: i64) -> Vec<String> {
        self.readings(channel).into_iter().map(|reading| reading.value.to_string()).collect()
    }

    /// Waits until a channel holds so many readings; answers their values as text.
    pub fn wait(&self, channel: i64, count: usize) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut samples = self.samples.lock().unwrap();
        loop {
            let found: Vec<String> = samples
                .iter()
                .flatten()
                .filter(|reading| reading.channel.0 == channel)
                .map(|reading| reading.value.to_string())
                .collect();
            if found.len() >= count {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "channel {channel}: waited for {count} readings, got {found:?}");
            samples = self.news.wait_timeout(samples, left).unwrap().0;
        }
    }
}

/// Waits until a condition holds that nobody signals.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A door that a fake driver waits at and the test opens.
#[derive(Default)]
pub struct Door {
    open: Mutex<bool>,
    moved: Condvar,
}

impl Door {
    /// Waits until it is open.
    pub fn pass(&self) {
        let shut = self.open.lock().unwrap();
        let (_open, waited) = self.moved.wait_timeout_while(shut, PATIENCE, |open| !*open).unwrap();
        assert!(!waited.timed_out(), "the door stayed shut");
    }

    /// Opens it for good.
    pub fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.moved.notify_all();
    }
}

/// What a test needs around the sensors.
#[derive(Default)]
pub struct Bench {
    pub memory: Arc<Memory>,
    pub board: Board,
}

impl Bench {
    /// Starts sampling into this bench's memory.
    pub fn start(&self, plans: Vec<SensorPlan>) -> Sampling {
        let output: Arc<dyn Output> = Arc::<Memory>::clone(&self.memory);
        start(plans, Arc::default(), output, &self.board, crate::enrich::clock::now).unwrap()
    }

    /// A sensor's state as the board shows it.
    pub fn state(&self, sensor: &str) -> String {
        self.board.part(&format!("sensor {sensor}")).state().0.to_string()
    }

    /// A sensor's figure.
    pub fn figure(&self, sensor: &str, name: &'static str) -> i64 {
        self.board.part(&format!("sensor {sensor}")).figure(name).get()
    }
}
