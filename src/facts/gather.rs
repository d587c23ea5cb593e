//! From the board, the log, the sensors and the machine to one snapshot. Judges nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tracing::debug;

use super::pace::Counter;
use super::snapshot::{
    Broker, Clock, Condition, Event, Gap, Latency, LogFacts, Mirror, Output, Part, Quantity, Sensor, Shown,
    Snapshot, Word,
};
use super::{EXTENT_HOLDS, Health, Inner, health, machine};
use crate::config;
use crate::filter::{Fate, Trace};
use crate::log::Extent;
use crate::reading::{Moment, Timestamp};
use crate::sampling::Seen;
use crate::status::{self, BOUNDS, State, What};

/// A backlog smaller than this comes and goes with every reading: to say when it will be gone is noise.
const WORTH_TELLING: u64 = 100;

/// First words of the parts that are told of by name.
const KINDS: [&str; 3] = ["sensor", "mirror", "output"];

/// The part of the board that publishes.
pub(super) const PUBLISHER: &str = "publisher";

impl Inner {
    pub(super) fn config(&self) -> Arc<config::Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn note_pace(&self, now: Instant) {
        let config = self.config();
        let mut pace = lock(&self.pace);
        if config.mqtt.is_some() {
            let backlog = self.backlog(&Figures::of(&self.board.part(PUBLISHER)));
            pace.note(Counter::Backlog, i64::try_from(backlog).unwrap_or(i64::MAX), now);
        }
        for mirror in &config.mirrors {
            let received = self.board.part(&format!("mirror {}", mirror.id)).figure("received").get();
            pace.note(Counter::Mirror(mirror.id.clone()), received, now);
        }
    }

    pub(super) fn gather(&self, now: Instant) -> Snapshot {
        let moment = (self.clock)();
        let config = self.config();
        let mut snapshot = Snapshot {
            time: moment.wall.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            device: config.device.id.clone(),
            database: config.log.path.display().to_string(),
            uptime_seconds: seconds(now, self.board.since()),
            health: Health::default(),
            clock: Clock { quality: moment.clock.as_str().to_owned() },
            broker: config.mqtt.as_ref().map(|mqtt| self.broker(mqtt, now)),
            sensors: config.sensors.iter().map(|sensor| self.sensor(sensor, now, moment)).collect(),
            mirrors: config.mirrors.iter().map(|mirror| self.mirror(mirror, now, moment)).collect(),
            outputs: config.outputs.iter().map(|output| self.output(output, now)).collect(),
            log: self.log_facts(&config.log.retention, now),
            machine: machine::read(&config.log.path),
            parts: self.others(now),
            warnings: self.board.warnings(),
            events: self.events(now, moment.wall),
        };
        snapshot.health = health::judge(&snapshot);
        snapshot
    }

    fn broker(&self, mqtt: &config::Mqtt, now: Instant) -> Broker {
        let part = self.board.part(PUBLISHER);
        let figures = Figures::of(&part);
        let backlog_rows = self.backlog(&figures);
        let drain_per_second = match backlog_rows {
            0 => 0.0,
            _ => (-lock(&self.pace).of(&Counter::Backlog)).max(0.0),
        };
        let left = drain_per_second > 0.0 && backlog_rows >= WORTH_TELLING;
        let positive = |name, unit: f64| {
            let value = figures.count(name);
            (value > 0).then_some(value as f64 / unit)
        };
        Broker {
            url: mqtt.broker.to_string(),
            condition: condition(&part, now),
            round_trip_seconds: positive("ack_us", 1e6),
            retry_seconds: positive("retry_ms", 1e3),
            in_flight: figures.count("in_flight"),
            backlog_rows,
            late_rows: figures.count("late_waiting"),
            drain_per_second,
            drain_seconds_left: left.then(|| backlog_rows as f64 / drain_per_second),
            published: figures.count("published"),
            refused: figures.count("refused"),
            discarded: figures.count("discarded"),
            thinned: figures.count("thinned"),
            connections: figures.count("connections"),
            latency: latency(&part.histogram("ack")),
        }
    }

    /// While there is no connection nobody moves the publisher's figures, but rows go on being committed.
    fn backlog(&self, figures: &Figures) -> u64 {
        let committed = *self.log.committed().borrow();
        figures
            .get("delivered")
            .map_or(0, |delivered| committed.saturating_sub(delivered).max(0).unsigned_abs())
    }

    fn sensor(&self, sensor: &config::Sensor, now: Instant, moment: Moment) -> Sensor {
        let part = self.board.part(&format!("sensor {}", sensor.id));
        let figures = Figures::of(&part);
        let seen = self.sensors.get().and_then(|view| view.seen(&sensor.id)).unwrap_or_default();
        let Seen { traces, next_read } = seen;
        let unseen = Trace::default();
        let quantities = sensor.quantities.iter().enumerate();
        Sensor {
            sensor: sensor.id.to_string(),
            driver: sensor.driver.name().to_owned(),
            condition: condition(&part, now),
            interval_seconds: sensor.interval.as_secs_f64(),
            next_read_seconds: next_read.map(|at| at.saturating_duration_since(now).as_secs_f64()),
            samples: figures.count("samples"),
            passed: figures.count("passed"),
            suppressed: figures.count("suppressed"),
            rejected: figures.count("rejected"),
            dropped: figures.count("dropped"),
            errors: figures.count("errors"),
            skipped: figures.count("skipped"),
            lost: figures.count("lost"),
            held: figures.count("held"),
            quantities: quantities
                .map(|(position, of)| quantity(of, traces.get(position).unwrap_or(&unseen), moment))
                .collect(),
        }
    }

    fn mirror(&self, mirror: &config::Mirror, now: Instant, moment: Moment) -> Mirror {
        let part = self.board.part(&format!("mirror {}", mirror.id));
        let figures = Figures::of(&part);
        let last = figures.get("last_us").filter(|last| *last > 0);
        Mirror {
            mirror: mirror.id.clone(),
            topics: mirror.topics.clone(),
            to: match mirror.sink {
                config::Sink::Sqlite { .. } => "sqlite",
                config::Sink::Csv { .. } => "csv",
            }
            .to_owned(),
            condition: condition(&part, now),
            received: figures.count("received"),
            stored: figures.count("stored"),
            repeats: figures.count("repeats"),
            refused: figures.count("refused"),
            bad_json: figures.count("bad_json"),
            reconnects: figures.count("reconnects"),
            per_second: lock(&self.pace).of(&Counter::Mirror(mirror.id.clone())).max(0.0),
            last_message_seconds: last.map(|last| micros(moment.since_boot - last)),
        }
    }

    fn output(&self, output: &config::Output, now: Instant) -> Output {
        let part = self.board.part(&format!("output {}", output.id));
        let figures = Figures::of(&part);
        Output {
            output: output.id.to_string(),
            driver: output.driver.name().to_owned(),
            condition: condition(&part, now),
            digital: output.driver.is_digital(),
            level: figures.get("level_thousandths").unwrap_or(0) as f64 / 1e3,
            safe_level: output.limits.safe,
            changes: figures.count("changes"),
            refused: figures.count("refused"),
            errors: figures.count("errors"),
        }
    }

    fn log_facts(&self, retention: &config::Retention, now: Instant) -> LogFacts {
        let part = self.board.part("log");
        let figures = Figures::of(&part);
        let extent = self.extent(now);
        let gap = |(reason, lost, last): &(String, i64, Timestamp)| Gap {
            reason: reason.clone(),
            lost: lost.unsigned_abs(),
            last: last.to_string(),
        };
        LogFacts {
            condition: condition(&part, now),
            rows: extent.rows,
            last_row: extent.last_row,
            oldest: extent.oldest.map(|time| time.to_string()),
            size_bytes: figures.count("bytes"),
            wal_bytes: figures.count("wal_bytes"),
            queue: figures.count("queue"),
            written: figures.count("rows"),
            messages: figures.count("messages"),
            commits: figures.count("commits"),
            commit_max_seconds: figures.count("commit_max_us") as f64 / 1e6,
            deleted: figures.count("deleted"),
            lost: figures.count("lost"),
            rejected: figures.count("rejected"),
            refused: extent.refused.unsigned_abs(),
            gaps: extent.gaps.iter().map(gap).collect(),
            max_age_seconds: retention.max_age.map(|age| age.as_secs_f64()),
            max_size_bytes: retention.max_size,
        }
    }

    /// A connection is made for it and closed again: kept open it would keep its page cache in memory. A log that
    /// cannot be read has said so on the board; the old answer stands meanwhile.
    fn extent(&self, now: Instant) -> Extent {
        let mut known = lock(&self.extent);
        if let Some((at, extent)) = &*known
            && now.saturating_duration_since(*at) < EXTENT_HOLDS
        {
            return extent.clone();
        }
        let extent = self.log.reader().and_then(|reader| reader.extent()).unwrap_or_else(|error| {
            debug!("facts: {error}");
            known.as_ref().map(|(_, extent)| extent.clone()).unwrap_or_default()
        });
        *known = Some((now, extent.clone()));
        extent
    }

    /// What other rooms show on the board. Sensors, mirrors and outputs that the configuration no longer names stay
    /// there until the end, and are nobody's business any more.
    fn others(&self, now: Instant) -> Vec<Part> {
        let known = |name: &str| {
            let (kind, rest) = name.split_once(' ').unwrap_or((name, ""));
            name == "log" || name == PUBLISHER || (!rest.is_empty() && KINDS.contains(&kind))
        };
        let parts = self.board.parts().into_iter().filter(|part| !known(part.name()));
        let part = |part: status::Part| Part {
            part: part.name().to_owned(),
            condition: condition(&part, now),
            figures: part.figures().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        };
        parts.map(part).collect()
    }

    fn events(&self, now: Instant, wall: Timestamp) -> Vec<Event> {
        let event = |event: status::Event| {
            let age_seconds = seconds(now, event.at);
            Event {
                time: Snapshot::before(wall, age_seconds),
                age_seconds,
                part: event.part.to_string(),
                warning: event.is_warning(),
                what: match &event.what {
                    What::State(state) => state.to_string(),
                    What::Warning(text) | What::Done(text) => text.clone(),
                },
            }
        };
        self.board.events().into_iter().map(event).collect()
    }
}

fn quantity(of: &config::Quantity, trace: &Trace, now: Moment) -> Quantity {
    let age = |at: Moment| micros(now.since_boot - at.since_boot);
    let Trace { last, plausible, passed, .. } = trace;
    Quantity {
        quantity: of.info.name.to_string(),
        unit: of.channel.unit.clone(),
        value: plausible.as_ref().map(|seen| Shown::from(&seen.value)),
        // By the clock as it goes now, as the log will have it once it is corrected.
        time: plausible.as_ref().map(|seen| Snapshot::before(now.wall, age(seen.at))),
        age_seconds: plausible.as_ref().map(|seen| age(seen.at)),
        clock: plausible.as_ref().map(|seen| seen.at.clock.as_str().to_owned()),
        verdict: last.map(Fate::as_str).map(str::to_owned),
        logged: passed.as_ref().map(|seen| Shown::from(&seen.value)),
        logged_age_seconds: passed.as_ref().map(|seen| age(seen.at)),
    }
}

fn condition(part: &status::Part, now: Instant) -> Condition {
    let (state, since) = part.state_of_kind();
    let (word, reason) = match state {
        State::Starting => (Word::Starting, None),
        State::Ok => (Word::Ok, None),
        State::Degraded(why) => (Word::Degraded, Some(why)),
        State::Failed(why) => (Word::Failed, Some(why)),
        State::Stopped => (Word::Stopped, None),
    };
    Condition { state: word, reason, state_seconds: seconds(now, since) }
}

fn latency(histogram: &status::Histogram) -> Latency {
    let status::Counts { counts, sum } = histogram.counts();
    let mut count = 0;
    let buckets = BOUNDS.iter().zip(&counts).map(|(bound, more)| {
        count += more;
        (*bound as f64 / 1e6, count)
    });
    let buckets = buckets.collect();
    Latency { buckets, count: counts.iter().sum(), sum_seconds: sum as f64 / 1e6 }
}

/// The figures of one part, read at once.
struct Figures(Vec<(&'static str, i64)>);

impl Figures {
    fn of(part: &status::Part) -> Self {
        Self(part.figures())
    }

    fn get(&self, name: &str) -> Option<i64> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn count(&self, name: &str) -> u64 {
        self.get(name).unwrap_or(0).max(0).unsigned_abs()
    }
}

fn seconds(now: Instant, since: Instant) -> f64 {
    now.saturating_duration_since(since).as_secs_f64()
}

/// Two clocks that are read one after the other may differ by a little.
fn micros(micros: i64) -> f64 {
    micros.max(0) as f64 / 1e6
}

/// What these locks protect is changed in steps that cannot panic halfway, so a poisoned one is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
