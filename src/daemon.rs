//! Wiring: opens what the configuration names, in the order of the data, and closes it in the same order;
//! turns signals and systemd's wishes into calls. It decides nothing about readings.

mod apply;
mod reload;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use tracing::{error, info, warn};

use crate::bus::Buses;
use crate::command::{Commander, Means, Reload, Reloaded, Terms, desk};
use crate::config::{Config, Mqtt, Problems, Sensor};
use crate::enrich::{SyncWatch, clock};
use crate::facts::{Facts, socket};
use crate::log::latest::Latest;
use crate::log::{Log, LogError, Machine};
use crate::mqtt::subscriber::{self, Subscriber, Subscription};
use crate::mqtt::{Beside, Conversation, Publisher, Report};
use crate::output::{self, OutputPlan};
use crate::reading::{Logged, Moment, Qos};
use crate::sampling::{self, Sampling, SensorPlan};
use crate::status::Board;
use crate::thrift;
use crate::web::Web;

/// How often the clock is looked at and systemd is told that we live. Well under any sane `WatchdogSec`.
const TICK: Duration = Duration::from_secs(1);

/// When what only the start needed is given back, and again after a reload: everything has run once by then.
const SETTLED: Duration = Duration::from_secs(5);

/// The log could not correct the time of readings: it is asked again after this long, because it may keep us waiting.
const CORRECT_AGAIN: Duration = Duration::from_secs(60);

/// How long the publisher may take to hand over what is committed when the daemon leaves.
const PUBLISH_ON_LEAVING: Duration = Duration::from_secs(3);

/// After TERM the process ends within 10 s, whatever hangs.
const LEAVE: Duration = Duration::from_millis(9_500);

/// A running bridge.
pub struct Bridge {
    /// What it runs by.
    config: Config,
    board: Board,
    /// How a command asks for another one.
    reload: Reload,
    log: Log,
    sampling: Sampling,
    publisher: Option<Publisher>,
    /// By their ids.
    mirrors: BTreeMap<String, Subscriber>,
    /// Brings commands.
    commands: Option<Subscriber>,
    outputs: output::Running,
    commander: Commander,
    sync_watch: SyncWatch,
    /// When the log could not correct the time of readings.
    uncorrected: Option<Instant>,
    facts: Facts,
    status: Option<socket::Server>,
    web: Option<Web>,
}

impl Bridge {
    /// Opens the log, then everything that reads from it or writes to it. The network, the broker and
    /// the sensors may be away: only a log that cannot be used is an error. `reload` is whom a command asks for another
    /// configuration.
    pub fn start(config: &Config, board: &Board, reload: Reload) -> Result<Bridge> {
        let machine = Machine { boot_id: clock::boot_id().context("reading the boot id")?, now: clock::now };
        let log = Log::open(&config.log, &machine, board)?;
        let (plans, output_plans) = plans(config, &log)?;
        resume(config.sensors.iter(), &log)?;
        let buses = Arc::new(Buses::new());
        // Early: nothing that can be switched should wait for the rest to become safe.
        let outputs = output::start(output_plans, &buses, &log, board, clock::now)?;

        let facts = Facts::new(config, board, &log, clock::now);
        let mut mirrors = BTreeMap::new();
        if let Some(mqtt) = &config.mqtt {
            for mirror in &config.mirrors {
                mirrors.insert(mirror.id.clone(), subscriber::start(mqtt, mirror, log.clone(), board)?);
            }
        }
        let sampling = sampling::start(plans, buses, Arc::new(log.clone()), board, clock::now)?;
        let means = Means {
            log: log.clone(),
            outputs: outputs.outputs(),
            control: sampling.control(),
            board: board.clone(),
            clock: clock::now,
            reload: reload.clone(),
        };
        let commander = Commander::new(means, Terms::of(config));
        let mqtt = config.mqtt.as_ref();
        let publisher =
            mqtt.map(|mqtt| publish(mqtt, config, &facts, &commander, &log, board)).transpose()?;
        let commanded = config.mqtt.as_ref().filter(|_| !config.commands.is_empty());
        let commands = commanded.map(|mqtt| listen(mqtt, config, &commander, board)).transpose()?;
        facts.watch(sampling.view());
        let status = socket::Server::start(config, runtime().as_deref(), &facts, board);
        let web = config.web.as_ref();
        let web = web.map(|settings| Web::start(settings, &log, &facts, Some(&commander), board));
        let web = web.transpose().context("starting the web page")?;
        Ok(Bridge {
            config: config.clone(),
            board: board.clone(),
            reload,
            log,
            sampling,
            publisher,
            mirrors,
            commands,
            outputs,
            commander,
            sync_watch: SyncWatch::new(),
            uncorrected: None,
            facts,
            status,
            web,
        })
    }

    /// What is worth knowing about it, for those who show it. Good until the bridge stops.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Does what is due each second: corrects readings taken before the clock was right, looks how fast things move.
    pub fn tick(&mut self) {
        self.facts.tick();
        if self.uncorrected.is_some_and(|since| since.elapsed() < CORRECT_AGAIN) {
            return;
        }
        match put_right(&mut self.sync_watch, &self.log, clock::now()) {
            Ok(()) => self.uncorrected = None,
            Err(error) => {
                self.uncorrected = Some(Instant::now());
                warn!(
                    "readings taken before the clock was synchronised keep their time for at least {} s: {error}",
                    CORRECT_AGAIN.as_secs()
                );
            }
        }
    }

    /// Through which another room can look at outputs and give commands for somebody whom it vouches for.
    pub fn commander(&self) -> Commander {
        self.commander.clone()
    }

    /// Monotonic time of the last sign of life of the data path; the watchdog is fed from it. Nothing without a log.
    pub fn last_sign_of_life(&self) -> Option<Instant> {
        self.log.is_running().then(|| self.sampling.last_sign_of_life())
    }

    /// Stops in the order of the data: outputs become safe, no new readings, then what is committed goes out and the mirrors
    /// store what they have taken, then the log closes. Each step has a bound of its own.
    pub fn stop(self) -> Result<()> {
        // First, whatever hangs afterwards. Commands that still come are answered that we are leaving.
        for abandoned in self.outputs.stop() {
            warn!("{abandoned}");
        }
        for abandoned in self.sampling.stop() {
            warn!("{abandoned}");
        }
        // What the disk does not take now it may when the log closes; nothing else waits for that.
        if let Err(error) = self.log.flush() {
            warn!("what was read last is not in the log yet: {error}");
        }
        // What is committed goes out; the mirrors store what they have taken. Neither waits for the other,
        // so that one that hangs does not cost the others their time.
        std::thread::scope(|scope| {
            if let Some(publisher) = self.publisher {
                scope.spawn(move || publisher.stop(Instant::now() + PUBLISH_ON_LEAVING));
            }
            for mirror in self.mirrors.into_values().chain(self.commands) {
                scope.spawn(move || mirror.stop());
            }
            if let Some(web) = self.web {
                scope.spawn(move || web.stop());
            }
        });
        // Until here it could be asked how the leaving goes.
        drop(self.status);
        self.log.close()?;
        Ok(())
    }
}

/// Corrects the time of readings that were taken before the clock was right, those too that were logged only afterwards:
/// a value that was held back, a sample that the log had no room for.
fn put_right(watch: &mut SyncWatch, log: &Log, now: Moment) -> Result<(), LogError> {
    if log.has_unsynced() {
        watch.again();
    }
    let Some(offset) = watch.observe(now) else { return Ok(()) };
    log.correct_clock(offset).inspect_err(|_| watch.again())
}

/// Subscribes to the topics on which commands come in.
fn listen(mqtt: &Mqtt, config: &Config, commander: &Commander, board: &Board) -> Result<Subscriber> {
    let wanted = commanded(config);
    let subscription = Subscription { name: "commands".to_owned(), id: "commands".to_owned(), wanted };
    let (watcher, carrier) = (commander.clone(), commander.clone());
    let watcher = Box::new(move |up| watcher.link(up));
    let sink = Box::new(move || carrier.sink());
    Ok(subscriber::subscribe(mqtt, subscription, sink, board, watcher)?)
}

/// The topics on which commands come in.
fn commanded(config: &Config) -> Vec<(String, Qos)> {
    config.commands.iter().map(|source| (source.topic.clone(), source.qos)).collect()
}

/// systemd's directory for what is only there while we run.
fn runtime() -> Option<OsString> {
    std::env::var_os("RUNTIME_DIRECTORY")
}

/// Starts the publisher, and what it says beside readings.
fn publish(
    mqtt: &Mqtt,
    config: &Config,
    facts: &Facts,
    commander: &Commander,
    log: &Log,
    board: &Board,
) -> Result<Publisher> {
    let beside = Beside { report: report(config, facts), talk: talk(mqtt, config, commander, log) };
    Ok(Publisher::start(mqtt, config.clock, log.clone(), board, beside)?)
}

/// Begins the dialogue with the platform, if it wants one.
fn talk(mqtt: &Mqtt, config: &Config, commander: &Commander, log: &Log) -> Option<Begin> {
    let platform = mqtt.platform.as_ref()?.platform.clone();
    let mut about = config.about(latest(config, log));
    let orders = commander.clone();
    about.ordered = Box::new(move |sensor| {
        let ordered = orders.ordered(sensor.as_str());
        (ordered.interval, ordered.paused)
    });
    let about = Arc::new(about);
    platform.dialogue(&about)?;
    let (commander, source) = (commander.clone(), config.platform_commands.clone());
    // Where commands come in on topics of our own as well, that connection is the one that outputs watch.
    let linked = source.is_some() && config.commands.is_empty();
    Some(Arc::new(move || {
        let dialogue = platform.dialogue(&about).ok_or(std::io::ErrorKind::Unsupported)?;
        let (orders, outcomes) = desk::open(commander.clone(), source.clone())?;
        let watcher = commander.clone();
        let link: Box<dyn Fn(bool) + Send> = match linked {
            true => Box::new(move |up| watcher.link(up)),
            false => Box::new(|_| {}),
        };
        Ok(Conversation { dialogue, orders, outcomes, link })
    }))
}

type Begin = Arc<dyn Fn() -> std::io::Result<Conversation> + Send + Sync>;

/// The last value of each channel, from the log.
fn latest(config: &Config, log: &Log) -> impl Fn() -> Vec<Logged> + Send + Sync + 'static {
    let (config, log) = (config.clone(), log.clone());
    move || {
        let found = log.reader().and_then(|reader| reader.latest());
        let found = found.unwrap_or_else(|error| {
            warn!("the platform is not told of the last values: {error}");
            Vec::new()
        });
        let logged = |latest: Latest| {
            let name = &latest.name;
            let channel = config.channel(&name.sensor, &name.quantity, &name.unit)?;
            Some(Logged {
                row: latest.row,
                epoch: "".into(),
                channel: Arc::new(channel.clone()),
                at: latest.at,
                clock: latest.clock,
                value: latest.value,
                continues: false,
                since_boot: None,
            })
        };
        found.into_iter().filter_map(logged).collect()
    }
}

/// The facts as the publisher sends them.
fn report(config: &Config, facts: &Facts) -> Option<Report> {
    let facts = facts.clone();
    let report = |every| Report { every, make: Arc::new(move || facts.message()) };
    config.status.interval.map(report)
}

/// Registers every channel of the configuration and joins sensors and outputs with their row ids.
fn plans(config: &Config, log: &Log) -> Result<(Vec<SensorPlan>, Vec<OutputPlan>)> {
    let mut plans = Vec::with_capacity(config.sensors.len());
    let mut channels = vec![config.gap_channel.clone()];
    for sensor in &config.sensors {
        channels.push(sensor.state.clone());
        channels.extend(sensor.quantities.iter().map(|quantity| quantity.channel.clone()));
    }
    for output in &config.outputs {
        channels.extend([output.level.clone(), output.state.clone()]);
    }
    let mut ids = log.register(&channels)?.into_iter();
    let mut next = || ids.next().context("the log registered fewer channels than it was given");
    log.set_gap_channel(next()?);
    for sensor in &config.sensors {
        let state_channel = next()?;
        let channels = sensor.quantities.iter().map(|_| next()).collect::<Result<_>>()?;
        plans.push(SensorPlan { sensor: sensor.clone(), channels, state_channel });
    }
    let outputs = config.outputs.iter().map(|output| {
        let (level_channel, state_channel) = (next()?, next()?);
        Ok(OutputPlan { output: output.clone(), level_channel, state_channel })
    });
    let outputs = outputs.collect::<Result<_>>()?;
    Ok((plans, outputs))
}

/// Tells meters what the log has of them, so that they go on from there.
fn resume<'a>(sensors: impl Iterator<Item = &'a Sensor>, log: &Log) -> Result<()> {
    for sensor in sensors.filter(|sensor| !sensor.driver.resumes().is_empty()) {
        let reader = log.reader()?;
        let resumed =
            sensor.quantities.iter().filter(|quantity| sensor.driver.resumes().contains(&quantity.index));
        for quantity in resumed {
            let last = reader.last_number(&quantity.channel)?;
            if let Some(value) = last.and_then(|number| quantity.calibration.invert(number)) {
                sensor.driver.resume(quantity.index, value);
            }
        }
    }
    Ok(())
}

/// What the outside asks of the daemon.
pub enum Wish {
    /// TERM or INT.
    Leave,
    /// HUP, or a command; with whom to tell how it went.
    Reload(Option<SyncSender<Reloaded>>),
    /// USR1.
    ShowBoard,
}

/// Runs until TERM or INT. `load` reads the configuration, at the start and again on HUP.
pub fn run(load: impl Fn() -> Result<Config, Problems>) -> Result<()> {
    let config = load()?;
    let (sender, wishes) = watch_signals()?;
    let mut wishes = reload::Wishes::new(wishes);
    info!("sensor-bridge {} starts as {}", env!("CARGO_PKG_VERSION"), config.device.id);
    let board = Board::new();
    let mut bridge = Bridge::start(&config, &board, wishes.hook(sender))?;
    drop(config);
    tell_systemd(&[NotifyState::Ready]);
    let mut settled = Some(Instant::now() + SETTLED);
    loop {
        match wishes.next(TICK) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Wish::ShowBoard) => board.to_string().lines().for_each(|line| info!("{line}")),
            Ok(Wish::Reload(asking)) => {
                tell_reloading();
                bridge = reload::reload(bridge, &load, asking, &mut wishes, &board)?;
                tell_systemd(&[NotifyState::Ready]);
                settled = Some(Instant::now() + SETTLED);
            }
            Ok(Wish::Leave) | Err(RecvTimeoutError::Disconnected) => break,
        }
        bridge.tick();
        feed_watchdog(&bridge);
        if settled.is_some_and(|at| Instant::now() >= at) {
            settled = None;
            thrift::give_back();
        }
    }
    info!("leaving");
    wishes.turn_away();
    tell_systemd(&[NotifyState::Stopping]);
    leave_at_the_latest_after(LEAVE)?;
    bridge.stop()
}

/// Ends the process though something hangs (a bus and a disk at once). Nothing committed is lost by it:
/// it is what `kill -9` is, and the log is made for that.
fn leave_at_the_latest_after(limit: Duration) -> Result<()> {
    std::thread::Builder::new()
        .name("last-resort".into())
        .spawn(move || {
            std::thread::sleep(limit);
            error!("still not ended after {} s: leaving without waiting any longer", limit.as_secs());
            std::process::exit(1);
        })
        .context("starting the thread that bounds the shutdown")?;
    Ok(())
}

/// Turns signals into wishes, and lets others add theirs. A second TERM or INT ends the process at once.
pub fn watch_signals() -> Result<(SyncSender<Wish>, Receiver<Wish>)> {
    let mut signals =
        Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1]).context("installing the signal handlers")?;
    let (sender, wishes) = sync_channel(8);
    let others = sender.clone();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut leaving = false;
            for signal in signals.forever() {
                let wish = match signal {
                    SIGHUP => Wish::Reload(None),
                    SIGUSR1 => Wish::ShowBoard,
                    _ if leaving => std::process::exit(1),
                    _ => Wish::Leave,
                };
                leaving |= matches!(wish, Wish::Leave);
                // The queue is full only while a reload is under way; waiting for it loses no signal.
                if sender.send(wish).is_err() {
                    return;
                }
            }
        })
        .context("starting the signal thread")?;
    Ok((others, wishes))
}

/// Feeds systemd's watchdog as long as the data path lives: a hung data path is restarted.
fn feed_watchdog(bridge: &Bridge) {
    if let Some(limit) = sd_notify::watchdog_enabled()
        && bridge.last_sign_of_life().is_some_and(|life| life.elapsed() < limit / 2)
    {
        tell_systemd(&[NotifyState::Watchdog]);
    }
}

/// For what takes longer than usual, in steps that each have a bound of their own.
fn still_alive() {
    if sd_notify::watchdog_enabled().is_some() {
        tell_systemd(&[NotifyState::Watchdog]);
    }
}

/// The service is shown as reloading until it is done (systemd.service(5), `notify-reload`; `notify`, which older ones
/// have alone, understands it as well).
fn tell_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell_systemd(&[NotifyState::Reloading, now]),
        Err(error) => warn!("cannot notify systemd: {error}"),
    }
}

/// Without systemd there is nobody to tell, and that is no error.
fn tell_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("cannot notify systemd: {error}");
    }
}
