//! Looks once a second, while somebody is watching, and puts what there is into pieces for the page: the facts of
//! the bridge, and the topics that its mirrors heard. Judges nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tokio::time::sleep;
use tracing::warn;

use super::live::Pieces;
use super::outputs::Outputs;
use super::plots::Wanted;
use super::pool::Lane;
use super::route::Site;
use super::topics::{self, Topics};
use crate::config::{Change, Config, Quantity, Sensor, Sink};
use crate::enrich::clock;
use crate::facts::{self, Facts, Snapshot};
use crate::log::series::Rhythm;
use crate::log::{LogError, Reader};
use crate::reading::ValueKind;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Between a look and the next when somebody has come.
const SOON: Duration = Duration::from_millis(100);

/// How often is looked whether connections to the log are still needed.
const TIDY: Duration = Duration::from_secs(15);

/// Messages looked at for their topics.
const MESSAGES: u32 = 5_000;

/// Longest text of a value that is shown, letters.
const TEXT: usize = 200;

/// What the page shows, and how it is found.
pub(super) struct Collector(Arc<Inner>);

struct Inner {
    facts: Facts,
    outputs: Option<Arc<Outputs>>,
    heard: Mutex<Heard>,
}

/// What was heard, and up to which row.
#[derive(Default)]
struct Heard {
    topics: Topics,
    row: i64,
}

impl Collector {
    /// For the bridge that these facts are about.
    pub fn new(facts: &Facts, outputs: Option<Arc<Outputs>>) -> Self {
        Self(Arc::new(Inner { facts: facts.clone(), outputs, heard: Mutex::default() }))
    }

    /// Looks as long as somebody is watching.
    pub async fn run(self, site: &Arc<Site>) {
        loop {
            if !site.live.is_watched() {
                tokio::select! {
                    () = site.live.arrival() => {}
                    () = sleep(TIDY) => {
                        site.pool.tidy();
                        continue;
                    }
                }
            }
            if has_topics(&self.0.facts.config()) {
                let inner = self.0.clone();
                // What the log cannot say now it has said before.
                site.pool.clone().read(Lane::Quick, move |reader| inner.hear(reader)).await;
            }
            let inner = self.0.clone();
            // Every few seconds it reads the log, so it goes to a thread that may wait.
            match tokio::task::spawn_blocking(move || inner.pieces()).await {
                Ok(pieces) => site.live.show(pieces, Instant::now()),
                Err(error) => warn!("web: gathering: {error}; please report this"),
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = async { site.live.arrival().await; sleep(SOON).await } => {}
            }
        }
    }
}

/// Whether mirrored messages are in the log.
fn has_topics(config: &Config) -> bool {
    config.mirrors.iter().any(|mirror| matches!(mirror.sink, Sink::Sqlite { .. }))
}

/// A quantity that can be plotted, with what is known of how often it comes.
pub(super) fn wanted(config: &Config, sensor: &str, quantity: &str) -> Option<Wanted> {
    let sensor = config.sensors.iter().find(|one| one.id.as_str() == sensor)?;
    let quantity = sensor.quantities.iter().find(|one| one.channel.quantity.as_str() == quantity)?;
    Some(Wanted {
        sensor: sensor.id.to_string(),
        quantity: quantity.channel.quantity.to_string(),
        rhythm: rhythm(sensor, quantity),
    })
}

/// How often a reading comes at least.
fn rhythm(sensor: &Sensor, quantity: &Quantity) -> Rhythm {
    let interval = sensor.interval.max(quantity.filter.min_interval.unwrap_or_default());
    match (quantity.filter.change, quantity.filter.heartbeat) {
        (Change::Always, _) => Rhythm::AtLeastEvery(interval),
        (_, Some(heartbeat)) => Rhythm::AtLeastEvery(heartbeat + interval),
        _ => Rhythm::OnChange,
    }
}

impl Inner {
    fn hear(&self, reader: &mut Reader) -> Result<(), LogError> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let (news, last) = reader.heard(heard.row, MESSAGES, topics::MOST as u32)?;
        heard.row = last;
        heard.topics.hear(news, Instant::now());
        Ok(())
    }

    fn pieces(&self) -> Pieces {
        let snapshot = self.facts.snapshot();
        let config = self.facts.config();
        let wall = clock::now().wall.0 / 1000;
        let mut pieces = Pieces::new();
        let mut show = |name: String, piece: Json| pieces.insert(name, piece.to_string());
        show("now".into(), json!({"t": wall, "clock": snapshot.clock.quality}));
        show("device".into(), device(&config, &snapshot, wall));
        show("health".into(), json!(snapshot.health));
        if let Some(broker) = &snapshot.broker {
            show("broker".into(), self::broker(broker, wall));
        }
        show("log".into(), log(&snapshot.log, wall));
        show("machine".into(), machine(&snapshot.machine));
        show("events".into(), snapshot.events.iter().rev().map(|event| self::event(event, wall)).collect());
        for (place, sensor) in snapshot.sensors.iter().enumerate() {
            // The configuration may have changed since the snapshot.
            let of = config.sensors.iter().find(|of| of.id.as_str() == sensor.sensor);
            let mut piece = condition(&sensor.condition, wall);
            piece["n"] = json!(place);
            piece["driver"] = json!(sensor.driver);
            piece["interval"] = json!(sensor.interval_seconds);
            piece["quantities"] = sensor.quantities.iter().map(|one| one.quantity.as_str()).collect();
            show(format!("sensor/{}", sensor.sensor), piece);
            for (quantity, of) in sensor.quantities.iter().zip(of.iter().flat_map(|of| &of.quantities)) {
                show(
                    format!("value/{}/{}", sensor.sensor, quantity.quantity),
                    value(quantity, of.channel.kind, wall),
                );
            }
        }
        for mirror in &snapshot.mirrors {
            let mut piece = condition(&mirror.condition, wall);
            piece["to"] = json!(mirror.to);
            piece["stored"] = json!(mirror.stored);
            piece["rate"] = rounded(mirror.per_second);
            show(format!("mirror/{}", mirror.mirror), piece);
        }
        for (name, piece) in self.outputs.iter().flat_map(|outputs| outputs.pieces()) {
            show(format!("output/{name}"), piece);
        }
        for part in &snapshot.parts {
            show(format!("part/{}", part.part), condition(&part.condition, wall));
        }
        for topic in self.heard.lock().unwrap_or_else(PoisonError::into_inner).topics.all() {
            let heard = &topic.heard;
            let piece = json!({
                "t": heard.received.0 / 1000,
                "rate": rounded(topic.rate),
                "size": heard.size,
                "retained": heard.retained,
                "text": heard.beginning,
            });
            show(format!("topic/{}", heard.topic), piece);
        }
        pieces
    }
}

fn device(config: &Config, snapshot: &Snapshot, wall: i64) -> Json {
    let place = config.device.place.as_ref();
    json!({
        "id": snapshot.device,
        "place": place.and_then(|place| place.name.clone()),
        "program": snapshot.version,
        "database": snapshot.database,
        "started": ago(wall, snapshot.uptime_seconds, 1_000),
    })
}

/// The time (ms) so long before `wall`, to the `step`: what does not change must not look as if it did because two
/// clocks were read one after the other.
fn ago(wall: i64, seconds: f64, step: i64) -> i64 {
    let then = wall - (seconds * 1000.0) as i64;
    (then + step / 2).div_euclid(step) * step
}

/// Two decimals are enough for a rate.
fn rounded(rate: f64) -> Json {
    json!((rate * 100.0).round() / 100.0)
}

fn condition(condition: &facts::Condition, wall: i64) -> Json {
    json!({
        "state": condition.state.as_str(),
        "why": condition.reason,
        "since": ago(wall, condition.state_seconds, 1_000),
    })
}

fn broker(broker: &facts::Broker, wall: i64) -> Json {
    let mut piece = condition(&broker.condition, wall);
    piece["url"] = json!(broker.url);
    piece["delay"] = json!(broker.round_trip_seconds);
    piece["retry"] = json!(broker.retry_seconds);
    piece["in_flight"] = json!(broker.in_flight);
    piece["backlog"] = json!(broker.backlog_rows);
    piece["late"] = json!(broker.late_rows);
    piece["drain"] = rounded(broker.drain_per_second);
    piece["left"] = json!(broker.drain_seconds_left);
    piece["refused"] = json!(broker.refused);
    piece
}

fn log(log: &facts::LogFacts, wall: i64) -> Json {
    let mut piece = condition(&log.condition, wall);
    piece["size"] = json!(log.size_bytes);
    piece["rows"] = json!(log.rows);
    piece["oldest"] = json!(log.oldest);
    piece["most"] = json!(log.max_size_bytes);
    let lost: u64 = log.gaps.iter().map(|gap| gap.lost).sum();
    piece["lost"] = json!(lost);
    piece
}

/// To a step that can be seen: the last digits change at every look.
fn machine(machine: &facts::Machine) -> Json {
    let rough = |bytes: Option<u64>, step: u64| bytes.map(|bytes| bytes / step * step);
    json!({
        "memory": rough(machine.memory_resident_bytes, 100_000),
        "memory_free": rough(machine.memory_available_bytes, 1_000_000),
        "memory_size": machine.memory_total_bytes,
        "disk_free": rough(machine.disk_free_bytes, 1_000_000),
        "disk_size": machine.disk_total_bytes,
    })
}

fn event(event: &facts::Event, wall: i64) -> Json {
    json!({
        "t": ago(wall, event.age_seconds, 1_000),
        "part": event.part,
        "warning": event.warning,
        "what": event.what,
    })
}

fn value(quantity: &facts::Quantity, kind: ValueKind, wall: i64) -> Json {
    let kind = match kind {
        ValueKind::Float => "float",
        ValueKind::Integer => "integer",
        ValueKind::Bool => "bool",
        ValueKind::Text => "text",
        ValueKind::Image => "image",
    };
    let value = match &quantity.value {
        Some(facts::Shown::Text(text)) => json!(text.chars().take(TEXT).collect::<String>()),
        other => json!(other),
    };
    json!({
        "k": kind,
        "u": quantity.unit,
        "v": value,
        "t": quantity.age_seconds.map(|age| ago(wall, age, 100)),
        "clock": quantity.clock,
        "verdict": quantity.verdict,
    })
}
