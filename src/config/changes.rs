//! What is different between the configuration that runs and another one, in terms of what has to be done about it.
//! Pure. Doing it is the daemon's job; what cannot be done to a running daemon is named here too.

use std::fmt;
use std::sync::Arc;

use super::model::{Config, Mirror, Mqtt, Output, Sensor};
use crate::platform::About;
use crate::reading::SensorId;

/// Names of one kind that are listed; of more only the number is said.
const MOST_NAMES: usize = 8;

/// What happens to a part. One that is not mentioned goes on as if nothing had been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It was not there.
    Added,
    /// It is not there any more.
    Removed,
    /// It ends and begins anew.
    Restarted,
    /// It goes on, in another way from now on.
    Adjusted,
}

impl Step {
    fn word(self) -> &'static str {
        match self {
            Step::Added => "added",
            Step::Removed => "removed",
            Step::Restarted => "restarted",
            Step::Adjusted => "adjusted",
        }
    }

    /// Whether something runs before it that must end.
    pub fn ends(self) -> bool {
        matches!(self, Step::Removed | Step::Restarted)
    }

    /// Whether something begins with it.
    pub fn begins(self) -> bool {
        matches!(self, Step::Added | Step::Restarted)
    }
}

/// What happens to a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorChange {
    /// Its id.
    pub id: String,
    /// What happens.
    pub step: Step,
    /// Topic filters that it did not have, or not with this quality of service; only of one that is adjusted.
    pub gained: Vec<String>,
    /// Topic filters that it has no more; the same.
    pub lost: Vec<String>,
}

/// Everything that is different.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Settings that nothing but a fresh start can change, as they are written.
    pub whole: Vec<&'static str>,
    /// Limits and commit interval of the log.
    pub log: bool,
    /// The publisher.
    pub publisher: Option<Step>,
    /// Sensors in the order of the new file, removed ones last.
    pub sensors: Vec<(SensorId, Step)>,
    /// Outputs, the same.
    pub outputs: Vec<(SensorId, Step)>,
    /// Mirrors, the same.
    pub mirrors: Vec<MirrorChange>,
    /// Commands over MQTT.
    pub commands: Option<Step>,
    /// The web page.
    pub web: Option<Step>,
    /// Where the status socket is.
    pub socket: bool,
    /// Anything else, such as an order or a description that is only shown.
    pub other: bool,
}

impl Changes {
    /// What leads from the old one to the new one.
    pub fn between(old: &Config, new: &Config) -> Self {
        let (before, after) = (old.mqtt.as_ref(), new.mqtt.as_ref());
        let same_link = before.zip(after).is_some_and(|(old, new)| is_same_link(old, new));
        let publishes = |config: &Config| {
            let mqtt = config.mqtt.clone()?;
            Some((mqtt, config.clock, config.status.interval, dialogue(config)))
        };
        let commanded =
            |config: &Config| config.mqtt.as_ref().filter(|_| !config.commands.is_empty()).map(|_| ());
        let commands = match presence(commanded(old), commanded(new)) {
            None if !same_link && commanded(new).is_some() => Some(Step::Restarted),
            None if old.commands != new.commands => Some(Step::Adjusted),
            other => other,
        };
        let mut changes = Self {
            whole: whole(old, new),
            log: (&old.log.retention, old.log.commit_interval)
                != (&new.log.retention, new.log.commit_interval),
            publisher: presence(publishes(old), publishes(new)),
            sensors: listed(&old.sensors, &new.sensors, |sensor| &sensor.id, of_sensor),
            outputs: listed(&old.outputs, &new.outputs, |output| &output.id, of_output),
            mirrors: mirrors(old, new, same_link),
            commands,
            web: presence(old.web.as_ref(), new.web.as_ref()),
            socket: old.status.socket != new.status.socket,
            other: false,
        };
        changes.other = changes == Self::default() && old != new;
        changes
    }

    /// Whether both are the same.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Changes {
    /// What happens, in one line; for "nothing" as well.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.whole.is_empty() {
            return write!(f, "everything starts afresh, because {} changed", self.whole.join(" and "));
        }
        let mut said: Vec<String> = Vec::new();
        said.extend(self.publisher.map(|step| format!("publisher {}", step.word())));
        said.extend(named("sensor", &self.sensors));
        said.extend(named("output", &self.outputs));
        let mirrors = self.mirrors.iter().map(|mirror| (mirror.id.clone(), mirror.step));
        let whole = mirrors.filter(|(_, step)| *step != Step::Adjusted).collect::<Vec<_>>();
        said.extend(named("mirror", &whole));
        for mirror in self.mirrors.iter().filter(|mirror| mirror.step == Step::Adjusted) {
            let parts = [("subscribed to", &mirror.gained), ("no longer to", &mirror.lost)];
            let parts = parts.into_iter().filter(|(_, filters)| !filters.is_empty());
            let parts: Vec<String> =
                parts.map(|(word, filters)| format!("{word} {}", list(filters))).collect();
            said.push(format!("mirror {} {}", mirror.id, parts.join(", ")));
        }
        said.extend(self.commands.map(|step| format!("commands {}", step.word())));
        said.extend(self.web.map(|step| format!("web page {}", step.word())));
        said.extend(self.socket.then(|| "status socket moved".to_owned()));
        said.extend(self.log.then(|| "limits of the log adjusted".to_owned()));
        match (said.is_empty(), self.other) {
            (false, _) => f.write_str(&said.join("; ")),
            (true, true) => f.write_str("descriptions changed"),
            (true, false) => f.write_str("nothing changed"),
        }
    }
}

/// `sensors air, door restarted`, one for each kind of step.
fn named(kind: &str, changed: &[(impl fmt::Display, Step)]) -> Vec<String> {
    let of = |step: Step| {
        let names: Vec<String> =
            changed.iter().filter(|(_, its)| *its == step).map(|(name, _)| name.to_string()).collect();
        let plural = if names.len() == 1 { "" } else { "s" };
        (!names.is_empty()).then(|| format!("{kind}{plural} {} {}", list(&names), step.word()))
    };
    [Step::Added, Step::Restarted, Step::Adjusted, Step::Removed].into_iter().filter_map(of).collect()
}

fn list(names: &[String]) -> String {
    match names.len().checked_sub(MOST_NAMES) {
        Some(more @ 1..) => format!("{} and {more} more", names[..MOST_NAMES].join(", ")),
        _ => names.join(", "),
    }
}

/// What happens to something that there is at most one of.
fn presence<T: PartialEq>(old: Option<T>, new: Option<T>) -> Option<Step> {
    match (old, new) {
        (None, Some(_)) => Some(Step::Added),
        (Some(_), None) => Some(Step::Removed),
        (Some(old), Some(new)) if old != new => Some(Step::Restarted),
        _ => None,
    }
}

/// What happens to each of a list, found by its name.
fn listed<T>(
    old: &[T],
    new: &[T],
    id: impl Fn(&T) -> &SensorId,
    of: impl Fn(&T, &T) -> Option<Step>,
) -> Vec<(SensorId, Step)> {
    let step = |after: &T| match old.iter().find(|before| id(before) == id(after)) {
        None => Some((id(after).clone(), Step::Added)),
        Some(before) => of(before, after).map(|step| (id(after).clone(), step)),
    };
    let gone = old.iter().filter(|before| !new.iter().any(|after| id(after) == id(before)));
    new.iter().filter_map(step).chain(gone.map(|before| (id(before).clone(), Step::Removed))).collect()
}

fn of_sensor(old: &Sensor, new: &Sensor) -> Option<Step> {
    match (old == new, old.is_same_device(new)) {
        (true, _) => None,
        (false, true) => Some(Step::Adjusted),
        (false, false) => Some(Step::Restarted),
    }
}

/// Another topic is no reason to go to the safe level and back.
fn of_output(old: &Output, new: &Output) -> Option<Step> {
    match (old == new, (&old.driver, &old.limits) == (&new.driver, &new.limits)) {
        (true, _) => None,
        (false, true) => Some(Step::Adjusted),
        (false, false) => Some(Step::Restarted),
    }
}

/// Whether subscribers need no other connection. What only the publisher heeds is left aside; all else counts.
fn is_same_link(old: &Mqtt, new: &Mqtt) -> bool {
    let Mqtt { backlog, window, status_topic, .. } = new.clone();
    Mqtt { backlog, window, status_topic, ..old.clone() } == *new
}

/// What the publisher tells a platform of the rest, if it has a dialogue with one.
fn dialogue(config: &Config) -> Option<impl PartialEq + use<>> {
    let chosen = config.mqtt.as_ref()?.platform.as_ref()?;
    let about = Arc::new(config.about(Vec::new));
    chosen.platform.dialogue(&about)?;
    let About { device, place, status_topic, sensors, outputs, actions, .. } = Arc::into_inner(about)?;
    // Where commands come in on topics of our own, outputs watch that connection.
    let commands = (config.platform_commands.clone(), config.commands.is_empty());
    Some((device, place, status_topic, sensors, outputs, actions, commands))
}

fn mirrors(old: &Config, new: &Config, same_link: bool) -> Vec<MirrorChange> {
    let running = |config: &Config| match &config.mqtt {
        Some(_) => config.mirrors.clone(),
        None => Vec::new(),
    };
    let (old, new) = (running(old), running(new));
    let plain =
        |id: &str, step| MirrorChange { id: id.to_owned(), step, gained: Vec::new(), lost: Vec::new() };
    let change = |after: &Mirror| {
        let Some(before) = old.iter().find(|before| before.id == after.id) else {
            return Some(plain(&after.id, Step::Added));
        };
        let Mirror { topics, qos, .. } = after.clone();
        if !same_link || (Mirror { topics, qos, ..before.clone() }) != *after {
            return Some(plain(&after.id, Step::Restarted));
        }
        let wanted = |filter: &&String| before.qos != after.qos || !before.topics.contains(filter);
        let gained: Vec<String> = after.topics.iter().filter(wanted).cloned().collect();
        let lost = before.topics.iter().filter(|filter| !after.topics.contains(filter)).cloned().collect();
        let change = MirrorChange { gained, lost, ..plain(&after.id, Step::Adjusted) };
        // The same filters in another order are the same.
        (!change.gained.is_empty() || !change.lost.is_empty()).then_some(change)
    };
    let gone = old.iter().filter(|before| !new.iter().any(|after| after.id == before.id));
    let gone = gone.map(|before| plain(&before.id, Step::Removed));
    new.iter().filter_map(change).chain(gone).collect()
}

/// The database is open, and how it is synchronised and encrypted is decided when it is opened.
fn whole(old: &Config, new: &Config) -> Vec<&'static str> {
    let settings = [
        ("log.path", old.log.path == new.log.path),
        ("log.key_file", old.log.key == new.log.key),
        ("log.sync", old.log.sync == new.log.sync),
    ];
    settings.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    const BASE: &str = "
device: { id: pi }
log: { path: /tmp/bridge.db, retention: { max_age: 30d } }
mqtt: { url: \"mqtt://broker\", topic: \"t/{device}/{sensor}/{quantity}\" }
sensors:
  - { id: air, driver: bme280, bus: sim-1, interval: 10s, quantities: { temperature: { change: 0.1 } } }
  - { id: wave, driver: sim, scenario: sine, min: 0 }
outputs:
  - { id: fan, driver: digital-output, bus: gpio-sim, pin: 22 }
mirror:
  - { id: back, topics: [\"a/#\", \"b/#\"], to: sqlite }
commands:
  - { topic: \"c/pi\", allow: [fan] }
web: { listen: \"127.0.0.1:8480\" }
";

    fn config(text: &str) -> Config {
        parse(text, std::iter::empty()).unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// What is said when each of these is put in the place of its partner.
    fn said(swaps: &[(&str, &str)]) -> String {
        let mut text = BASE.to_owned();
        for (from, to) in swaps {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        Changes::between(&config(BASE), &config(&text)).to_string()
    }

    /// Programs without SQLCipher refuse such a file.
    #[test]
    fn another_key_of_the_log_is_no_description() {
        let (old, mut new) = (config(BASE), config(BASE));
        new.log.key = Some(crate::config::Secret("ab".repeat(32)));
        let said = Changes::between(&old, &new).to_string();
        assert_eq!(said, "everything starts afresh, because log.key_file changed");
    }

    #[test]
    fn only_what_changed_is_named_and_what_is_said_is_what_is_done() {
        for (from, to, expected) in [
            ("device: { id: pi }", "device: { id: pi }", "nothing changed"),
            ("min: 0", "min: 0.0, phase: 0", "sensor wave restarted"),
            ("min: 0", "min: 5", "sensor wave restarted"),
            ("interval: 10s", "interval: 10000ms", "nothing changed"),
            ("interval: 10s", "interval: 5s", "sensor air adjusted"),
            ("change: 0.1", "change: 0.2", "sensor air adjusted"),
            (
                "interval: 10s",
                "interval: 10s, topic: \"u/{sensor}/{quantity}\", qos: 2",
                "sensor air adjusted",
            ),
            ("interval: 10s", "interval: 10s, address: 0x77", "sensor air restarted"),
            ("id: air", "id: wind", "sensor wind added; sensor air removed"),
            ("driver: sim, scenario: sine, min: 0", "driver: host", "sensor wave restarted"),
            ("pin: 22", "pin: 23", "output fan restarted"),
            ("pin: 22", "pin: 22, max_on: 1h", "output fan restarted"),
            ("a/#", "d/#", "mirror back subscribed to d/#, no longer to a/#"),
            ("[\"a/#\", \"b/#\"]", "[\"b/#\", \"a/#\"]", "descriptions changed"),
            ("to: sqlite", "qos: 2, to: sqlite", "mirror back subscribed to a/#, b/#"),
            ("to: sqlite", "to: csv, path: \"/tmp/{date}.csv\"", "mirror back restarted"),
            ("to: sqlite", "to: sqlite, integrity: crc32", "mirror back restarted"),
            ("to: sqlite", "to: sqlite, payload: zigbee2mqtt", "mirror back restarted"),
            ("allow: [fan]", "allow: [fan, reload]", "commands adjusted"),
            ("{ topic: \"c/pi\"", "{ topic: \"d/pi\"", "commands adjusted"),
            ("8480", "8481", "web page restarted"),
            ("max_age: 30d", "max_age: 60d", "limits of the log adjusted"),
            ("path: /tmp/bridge.db", "path: /tmp/b.db", "everything starts afresh, because log.path changed"),
            ("\nlog:", "\nstatus: { socket: /tmp/s }\nlog:", "status socket moved"),
            ("\nlog:", "\nstatus: { interval: 1m }\nlog:", "publisher restarted"),
            ("\nlog:", "\nclock: { unsynced: hold }\nlog:", "publisher restarted"),
        ] {
            assert_eq!(said(&[(from, to)]), expected, "{from} → {to}");
        }
        let line = "  - { id: wave, driver: sim, scenario: sine, min: 0 }\n";
        assert_eq!(said(&[(line, "")]), "sensor wave removed");
        let section = "web: { listen: \"127.0.0.1:8480\" }\n";
        assert_eq!(said(&[(section, "")]), "web page removed");
        let section = "commands:\n  - { topic: \"c/pi\", allow: [fan] }\n";
        assert_eq!(said(&[(section, "")]), "commands removed");
        let section = "mirror:\n  - { id: back, topics: [\"a/#\", \"b/#\"], to: sqlite }\n";
        assert_eq!(said(&[(section, "")]), "mirror back removed");
    }

    #[test]
    fn a_mirror_that_reads_in_another_way_begins_anew() {
        let of = |zone: &str| {
            let mirror = format!("payload: tasmota, time_zone: \"{zone}\", to: sqlite");
            config(&BASE.replace("to: sqlite", &mirror))
        };
        assert_eq!(Changes::between(&of("+01:00"), &of("+02:00")).to_string(), "mirror back restarted");
    }

    #[test]
    fn the_broker_concerns_all_who_talk_to_it_and_nobody_else() {
        let all = "publisher restarted; mirror back restarted; commands restarted";
        assert_eq!(said(&[("mqtt://broker", "mqtt://other")]), all);
        assert_eq!(said(&[("mqtt://broker\"", "mqtt://broker\", keep_alive: 20s")]), all);
        // Only the publisher waits for its window.
        assert_eq!(
            said(&[("mqtt://broker\"", "mqtt://broker\", backlog: live-first")]),
            "publisher restarted"
        );
        let none = "mqtt: { url: \"mqtt://broker\", topic: \"t/{device}/{sensor}/{quantity}\" }\n";
        let without = Changes::between(
            &config(BASE),
            &config(
                &BASE
                    .replace(none, "")
                    .split("mirror:")
                    .next()
                    .map(|text| format!("{text}web: {{ listen: \"127.0.0.1:8480\" }}\n"))
                    .unwrap(),
            ),
        );
        assert_eq!(
            without.to_string(),
            "publisher removed; sensors air, wave adjusted; output fan adjusted; mirror back removed; commands removed"
        );
    }

    #[test]
    fn another_topic_reopens_nothing() {
        assert_eq!(
            said(&[
                ("topic: \"t/{device}", "topic: \"u/{device}"),
                ("mqtt://broker\"", "mqtt://broker\", status_topic: \"t/pi/status\"")
            ]),
            "sensors air, wave adjusted; output fan adjusted"
        );
    }

    #[test]
    fn long_lists_are_cut() {
        let many = |first: usize| {
            let line = |number| format!("  - {{ id: s{number}, driver: sim }}\n");
            (first..first + 12).map(line).collect::<String>()
        };
        let text = format!("device: {{ id: pi }}\nlog: {{ path: /tmp/b.db }}\nsensors:\n{}", many(0));
        let other = text.replace("driver: sim", "driver: sim, interval: 1s");
        let changes = Changes::between(&config(&text), &config(&other));
        assert_eq!(changes.sensors.len(), 12);
        assert_eq!(changes.to_string(), "sensors s0, s1, s2, s3, s4, s5, s6, s7 and 4 more adjusted");
    }
}
