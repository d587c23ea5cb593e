//! Looks once a second, while somebody is watching, and puts what there is into pieces for the page: the board's
//! states and counters, the log's newest rows, the machine.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tokio::time::sleep;

use super::drain::Backlog;
use super::live::Pieces;
use super::machine;
use super::plots::Wanted;
use super::route::Site;
use super::topics::{self, Topics};
use crate::config::{Change, Config, Quantity, Sensor};
use crate::enrich::clock;
use crate::log::latest::{Latest, Name};
use crate::log::query::Selection;
use crate::log::series::Rhythm;
use crate::log::{LogError, Reader};
use crate::reading::{Clock, Value, ValueKind};
use crate::status::{Board, Part, State};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// After somebody came while others were watching already.
const SOON: Duration = Duration::from_millis(150);

/// How often is looked whether connections to the log are still needed.
const TIDY: Duration = Duration::from_secs(15);

/// New rows taken one by one; when there are more, the newest of each series are looked up instead.
const ROWS: usize = 5_000;

/// Messages looked at for their topics.
const MESSAGES: u32 = 5_000;

/// Longest text of a value that is shown, letters.
const TEXT: usize = 200;

/// What the page shows, and how it is found.
#[derive(Debug)]
pub(super) struct Collector(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What never changes while we run.
    fixed: Pieces,
    sensors: Vec<Sensor>,
    mirrors: Vec<String>,
    database: PathBuf,
    board: Board,
    seen: Mutex<Seen>,
}

/// What was found in the log, and how far it was read.
#[derive(Debug, Default)]
struct Seen {
    newest: HashMap<Name, Latest>,
    /// Up to here every reading is known; nothing before the first look.
    row: Option<i64>,
    topics: Topics,
    message: i64,
    backlog: Backlog,
}

impl Collector {
    /// For a bridge of this configuration, which shows itself on this board.
    pub fn new(config: &Config, board: &Board) -> Self {
        let mut fixed = Pieces::new();
        let place = config.device.place.as_ref();
        let device = json!({
            "id": config.device.id,
            "place": place.and_then(|place| place.name.clone()),
            "program": env!("CARGO_PKG_VERSION"),
            "database": config.log.path,
            "broker": config.mqtt.as_ref().map(|mqtt| mqtt.broker.to_string()),
            "started": clock::now().wall.0 / 1000,
        });
        fixed.insert("device".into(), device.to_string());
        Self(Arc::new(Inner {
            fixed,
            sensors: config.sensors.clone(),
            mirrors: config.mirrors.iter().map(|mirror| mirror.id.clone()).collect(),
            database: config.log.path.clone(),
            board: board.clone(),
            seen: Mutex::default(),
        }))
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
            let inner = self.0.clone();
            let fresh = site.pool.clone().read(move |reader| inner.look(reader)).await;
            // A log that cannot be read is one more state on the board; the rest is shown as it is.
            let pieces = fresh.unwrap_or_else(|| self.0.pieces());
            site.live.show(pieces);
            tokio::select! {
                () = sleep(LOOK) => {}
                () = async { site.live.arrival().await; sleep(SOON).await } => {}
            }
        }
    }

    /// What is known of a quantity, for the one who plots it.
    pub fn wanted(&self) -> Vec<Wanted> {
        let all = self.0.sensors.iter().flat_map(|sensor| {
            sensor.quantities.iter().map(|quantity| Wanted {
                sensor: sensor.id.to_string(),
                quantity: quantity.channel.quantity.to_string(),
                rhythm: rhythm(sensor, quantity),
            })
        });
        all.collect()
    }
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
    fn look(&self, reader: &mut Reader) -> Result<Pieces, LogError> {
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.read(reader)?;
            seen.hear(reader)?;
        }
        Ok(self.pieces())
    }

    /// Everything, from what is known by now.
    fn pieces(&self) -> Pieces {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::now();
        let when = Clocks { wall: now.wall.0 / 1000, monotonic: Instant::now() };
        let parts: BTreeMap<String, Part> =
            self.board.parts().into_iter().map(|part| (part.name().to_owned(), part)).collect();
        let mut pieces = self.fixed.clone();
        let mut show = |name: String, piece: Json| pieces.insert(name, piece.to_string());
        show("now".into(), json!({"t": when.wall, "clock": now.clock.as_str()}));
        if let Some(part) = parts.get("publisher") {
            let mut broker = when.part(part);
            let backlog = part.figure("backlog").get();
            seen.backlog.saw(backlog, when.monotonic);
            broker["drain"] = json!(seen.backlog.drain());
            show("broker".into(), broker);
        }
        for name in ["log", "web"] {
            if let Some(part) = parts.get(name) {
                show(name.into(), when.part(part));
            }
        }
        show("machine".into(), machine::look(&self.database));
        for (place, sensor) in self.sensors.iter().enumerate() {
            let mut piece = parts.get(&format!("sensor {}", sensor.id)).map_or(json!({}), |part| when.part(part));
            piece["n"] = json!(place);
            piece["driver"] = json!(sensor.driver.name());
            piece["interval"] = json!(sensor.interval.as_secs_f64());
            piece["quantities"] =
                sensor.quantities.iter().map(|quantity| quantity.channel.quantity.as_str()).collect();
            show(format!("sensor/{}", sensor.id), piece);
            for quantity in &sensor.quantities {
                let channel = &quantity.channel;
                let name = Name {
                    sensor: sensor.id.to_string(),
                    quantity: channel.quantity.to_string(),
                    unit: channel.unit.clone(),
                };
                let heartbeat = quantity.filter.heartbeat.map(|every| every.as_secs_f64());
                let mut piece = json!({"u": channel.unit, "k": kind(channel.kind), "heartbeat": heartbeat});
                if let Some(latest) = seen.newest.get(&name) {
                    add_latest(&mut piece, latest);
                }
                show(format!("value/{}/{}", sensor.id, channel.quantity), piece);
            }
        }
        for id in &self.mirrors {
            if let Some(part) = parts.get(&format!("mirror {id}")) {
                show(format!("mirror/{id}"), when.part(part));
            }
        }
        for topic in seen.topics.all() {
            let heard = &topic.heard;
            let piece = json!({
                "t": heard.received.0 / 1000,
                "rate": (topic.rate * 100.0).round() / 100.0,
                "size": heard.size,
                "retained": heard.retained,
                "text": heard.beginning,
            });
            show(format!("topic/{}", heard.topic), piece);
        }
        pieces
    }
}

impl Seen {
    /// Brings the newest readings up to date.
    fn read(&mut self, reader: &mut Reader) -> Result<(), LogError> {
        if let Some(row) = self.row {
            let (lines, last) = reader.after(&Selection::default(), row, ROWS)?;
            let is_all = lines.len() < ROWS;
            for line in lines {
                let channel = &line.channel;
                let name = Name {
                    sensor: channel.sensor.to_string(),
                    quantity: channel.quantity.to_string(),
                    unit: channel.unit.clone(),
                };
                let latest = Latest {
                    name: name.clone(),
                    row: line.row,
                    value: line.value,
                    at: line.at,
                    clock: line.clock,
                };
                self.newest.insert(name, latest);
            }
            self.row = Some(last);
            if is_all {
                return Ok(());
            }
        }
        // Asked first: what comes in between is then read twice, and not missed.
        let last = reader.last_row()?;
        self.newest = reader.latest()?.into_iter().map(|latest| (latest.name.clone(), latest)).collect();
        self.row = Some(last);
        Ok(())
    }

    fn hear(&mut self, reader: &Reader) -> Result<(), LogError> {
        let (heard, last) = reader.heard(self.message, MESSAGES, topics::MOST as u32)?;
        self.message = last;
        self.topics.hear(heard, Instant::now());
        Ok(())
    }
}

fn kind(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Float => "float",
        ValueKind::Integer => "integer",
        ValueKind::Bool => "bool",
        ValueKind::Text => "text",
        ValueKind::Image => "image",
    }
}

fn add_latest(piece: &mut Json, latest: &Latest) {
    piece["v"] = match &latest.value {
        Value::Float(number) => json!(number),
        Value::Integer(number) => json!(number),
        Value::Bool(state) => json!(state),
        Value::Text(text) => json!(text.chars().take(TEXT).collect::<String>()),
        Value::Image(image) => json!(image.bytes.len()),
    };
    piece["t"] = json!(latest.at.0 / 1000);
    piece["row"] = json!(latest.row);
    if latest.clock != Clock::Synced {
        piece["clock"] = json!(latest.clock.as_str());
    }
}

/// Both clocks at one time.
struct Clocks {
    /// ms since the Unix epoch.
    wall: i64,
    monotonic: Instant,
}

impl Clocks {
    /// State, since when, and figures of a part.
    fn part(&self, part: &Part) -> Json {
        let (state, since) = part.state();
        let (word, why) = match &state {
            State::Starting => ("starting", None),
            State::Ok => ("ok", None),
            State::Degraded(why) => ("degraded", Some(why)),
            State::Failed(why) => ("failed", Some(why)),
            State::Stopped => ("stopped", None),
        };
        let ago = self.monotonic.saturating_duration_since(since).as_millis();
        // To the second, or the piece would be news at every look.
        let since = (self.wall - i64::try_from(ago).unwrap_or(i64::MAX) + 500).div_euclid(1000) * 1000;
        let figures: serde_json::Map<String, Json> =
            part.figures().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        json!({"state": word, "why": why, "since": since, "figures": figures})
    }
}
