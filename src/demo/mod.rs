//! The demo: the whole bridge on one machine without hardware, and the proof that nothing was lost on the way.
//!
//! It runs the same code as the daemon on an ordinary configuration file; only the broker and the I2C bus
//! are not real. What it prints has been through sensor, filter, log, broker and mirror.

mod broker;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::command::Reload;
use crate::config::{self, Config};
use crate::daemon::{self, Bridge, Wish};
use crate::log::{Message, Reader};
use crate::reading::Timestamp;
use crate::status::{Board, State};

/// How often the screen is brought up to date.
const REFRESH: Duration = Duration::from_millis(100);

/// How long the broker may take to be there.
const CONNECTING: Duration = Duration::from_secs(10);

/// How long the last readings may take to come back before they count as lost.
const COMING_BACK: Duration = Duration::from_secs(5);

/// What the user chose.
#[derive(Debug, Default)]
pub struct Options {
    /// Ends by itself after this long.
    pub duration: Option<Duration>,
    /// URL of a broker to use instead of one of our own.
    pub broker: Option<String>,
    /// Folder for configuration and database.
    pub dir: Option<PathBuf>,
}

/// Runs the demo. Answers whether everything that was read came back from the broker.
pub fn run(options: &Options, screen: &mut dyn Write) -> Result<bool> {
    let dir = folder(options.dir.as_deref())?;
    let own_broker = if options.broker.is_none() { Some(broker::start()?) } else { None };
    let (url, name) = match (&options.broker, &own_broker) {
        (Some(url), _) => (url.as_str(), "yours"),
        (None, Some(broker)) => (broker.url.as_str(), broker.name),
        (None, None) => unreachable!("a broker is started unless one is given"),
    };
    let (path, config) = write_config(&dir, url)?;
    let (_, wishes) = daemon::watch_signals()?;
    introduce(&config, &path, &format!("{url}, {name}"), screen)?;

    let board = Board::new();
    let mut bridge = Bridge::start(&config, &board, Reload::default())?;
    wait_for(&board, "mirror back", "the broker")?;
    wait_for(&board, "web", "the page")?;
    announce_page(&board, screen)?;
    let mut account = Account::open(&config.log)?;
    let end = options.duration.map(|duration| Instant::now() + duration);
    while !over(&wishes, end) {
        bridge.tick();
        account.update(screen)?;
    }
    account.settle(screen)?;
    bridge.stop()?;
    conclude(&account, &path, screen)
}

/// The folder asked for, or a new one.
fn folder(asked: Option<&Path>) -> Result<PathBuf> {
    let folder = match asked {
        Some(folder) => folder.to_owned(),
        None => std::env::temp_dir().join(format!("sensor-bridge-demo-{}", std::process::id())),
    };
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    folder.canonicalize().with_context(|| format!("looking up {}", folder.display()))
}

/// Writes the demo's configuration and reads it back as the daemon would.
fn write_config(dir: &Path, url: &str) -> Result<(PathBuf, Config)> {
    let path = dir.join("config.yaml");
    // YAML reads a text as JSON writes it, whatever is in it.
    let log = serde_json::Value::from(dir.join("bridge.db").to_string_lossy()).to_string();
    let text = include_str!("config.yaml").replace("{URL}", url).replace("{LOG}", &log);
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    let config = config::load(&path, std::iter::empty())?;
    Ok((path, config))
}

fn introduce(config: &Config, path: &Path, broker: &str, screen: &mut dyn Write) -> Result<()> {
    let sensors: Vec<String> =
        config.sensors.iter().map(|sensor| format!("{} ({})", sensor.id, sensor.driver.name())).collect();
    writeln!(screen, "sensor-bridge demo: sensors → filter → SQLite log → MQTT broker → back into SQLite\n")?;
    writeln!(screen, "  sensors   {}", sensors.join(", "))?;
    writeln!(screen, "  database  {}", config.log.path.display())?;
    writeln!(screen, "  broker    {broker}")?;
    writeln!(screen, "  topics    demo/{}/<sensor>/<quantity>, JSON, QoS 1\n", config.device.id)?;
    writeln!(screen, "Try in another terminal:")?;
    suggest(path, screen)?;
    writeln!(screen)?;
    screen.flush()?;
    Ok(())
}

fn suggest(path: &Path, screen: &mut dyn Write) -> Result<()> {
    let program = std::env::current_exe().unwrap_or_else(|_| "sensor-bridge".into());
    let (program, config) = (program.display(), path.display());
    writeln!(screen, "  {program} query air temperature --since 5m --config {config}")?;
    writeln!(screen, "  {program} query --since 5m --every 1m --aggregate mean --config {config}")?;
    writeln!(screen, "  {program} tail -f --config {config}")?;
    writeln!(screen, "  {program} check --config {config}")?;
    Ok(())
}

/// Waits until a part is well. What is published before the mirror has subscribed cannot come back, so the account
/// begins after that.
fn wait_for(board: &Board, part: &str, what: &str) -> Result<()> {
    let part = board.part(part);
    let deadline = Instant::now() + CONNECTING;
    while part.state().0 != State::Ok {
        ensure!(Instant::now() < deadline, "{what} cannot be used: {}", part.state().0);
        std::thread::sleep(REFRESH);
    }
    Ok(())
}

fn announce_page(board: &Board, screen: &mut dyn Write) -> Result<()> {
    let port = board.part("web").figure("port").get();
    writeln!(screen, "See it in a browser on this machine:\n  http://127.0.0.1:{port}/")?;
    writeln!(
        screen,
        "\nReadings as they come back from the broker (only what changed enough; Ctrl-C ends):\n"
    )?;
    screen.flush()?;
    Ok(())
}

/// Waits one refresh. Answers whether a signal came or the time is up.
fn over(wishes: &Receiver<Wish>, end: Option<Instant>) -> bool {
    match wishes.recv_timeout(REFRESH) {
        Ok(Wish::Leave) | Err(RecvTimeoutError::Disconnected) => true,
        Ok(Wish::Reload(_) | Wish::ShowBoard) | Err(RecvTimeoutError::Timeout) => {
            end.is_some_and(|end| Instant::now() >= end)
        }
    }
}

/// Double-entry book-keeping: every published row of the log must come back as a message.
struct Account {
    reader: Reader,
    /// Last row and last message looked at.
    row: i64,
    message: i64,
    /// Rows not come back yet, and messages seen before their row (the two are read one after the other).
    waiting: BTreeSet<String>,
    early: BTreeSet<String>,
    rows: usize,
    returned: usize,
}

impl Account {
    fn open(log: &config::Log) -> Result<Self> {
        let mut reader = Reader::open(log)?;
        // A folder that was used before has a past that is not this run's.
        let (row, message) = reader.last_ids()?;
        Ok(Self {
            reader,
            row,
            message,
            waiting: BTreeSet::new(),
            early: BTreeSet::new(),
            rows: 0,
            returned: 0,
        })
    }

    /// Books what is new in the log and prints what is new from the broker.
    fn update(&mut self, screen: &mut dyn Write) -> Result<()> {
        for row in self.reader.outgoing(self.row, i64::MAX, 1000)? {
            self.row = row.row;
            self.rows += 1;
            let id = format!("{}-{}", row.epoch, row.row);
            if self.early.remove(&id) {
                self.returned += 1;
            } else {
                self.waiting.insert(id);
            }
        }
        for message in self.reader.messages(self.message, 1000)? {
            self.message = message.id;
            let Some(back) = Back::parse(&message) else { continue };
            if self.waiting.remove(&back.id) {
                self.returned += 1;
            } else {
                self.early.insert(back.id.clone());
            }
            writeln!(screen, "{back}")?;
        }
        screen.flush()?;
        Ok(())
    }

    /// Waits until the readings taken so far have come back. More are taken meanwhile, and booked too.
    fn settle(&mut self, screen: &mut dyn Write) -> Result<()> {
        let deadline = Instant::now() + COMING_BACK;
        self.update(screen)?;
        let last = self.row;
        while Instant::now() < deadline && self.waiting.iter().any(|id| row_of(id) <= last) {
            std::thread::sleep(REFRESH);
            self.update(screen)?;
        }
        self.waiting.retain(|id| row_of(id) <= last);
        Ok(())
    }
}

/// The row in an identity `<epoch>-<row>`.
fn row_of(id: &str) -> i64 {
    id.rsplit_once('-').and_then(|(_, row)| row.parse().ok()).unwrap_or(i64::MAX)
}

/// A reading that has come back.
struct Back {
    id: String,
    topic: String,
    value: String,
    unit: String,
    received: Timestamp,
    /// From the reading to the moment the mirror had it.
    travelled: Duration,
}

impl Back {
    /// `None` for a message that is no reading (`online`).
    fn parse(message: &Message) -> Option<Self> {
        let json: serde_json::Value = serde_json::from_slice(&message.payload).ok()?;
        let taken: jiff::Timestamp = json["time"].as_str()?.parse().ok()?;
        let value = &json["value"];
        Some(Self {
            id: json["id"].as_str()?.to_owned(),
            topic: message.topic.clone(),
            value: value.as_str().map_or_else(|| value.to_string(), str::to_owned),
            unit: json["unit"].as_str().unwrap_or_default().to_owned(),
            received: message.received,
            travelled: Duration::from_micros(
                u64::try_from(message.received.0 - taken.as_microsecond()).unwrap_or_default(),
            ),
        })
    }
}

impl std::fmt::Display for Back {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let time = self.received.to_string();
        // The time of day to the millisecond is what a person compares.
        let time = time.get(11..23).unwrap_or(&time);
        let travelled = self.travelled.as_secs_f64() * 1000.0;
        write!(f, "{time}  {:<34} {:>12} {:<4} {travelled:6.1} ms", self.topic, self.value, self.unit)
    }
}

fn conclude(account: &Account, path: &Path, screen: &mut dyn Write) -> Result<bool> {
    ensure!(account.rows > 0, "no reading was taken");
    let missing = account.waiting.len();
    writeln!(screen, "\n{} readings in the log, {} back from the broker", account.rows, account.returned)?;
    if missing == 0 {
        writeln!(screen, "every reading in the log reached the subscriber: nothing lost\n")?;
    } else {
        writeln!(screen, "{missing} readings did NOT come back within {} s\n", COMING_BACK.as_secs())?;
    }
    writeln!(screen, "Look at what is in the database:")?;
    suggest(path, screen)?;
    screen.flush()?;
    Ok(missing == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_folder_can_hold_the_demo() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["plain", "a \"quoted\" one", "back\\slash", "#comment: {x}", "ends\""] {
            let folder = folder.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            let (path, config) = write_config(&folder, "mqtt://127.0.0.1:1").unwrap();
            assert_eq!((path, config.log.path), (folder.join("config.yaml"), folder.join("bridge.db")));
        }
    }
}
