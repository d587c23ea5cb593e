//! From what is written to what runs: the checks of meaning, one file per section.
//!
//! Every check reports and goes on; where a later check needs a value that was wrong, a harmless stand-in
//! takes its place. What is answered counts only when nothing was reported.

mod broker;
mod columns;
mod command;
mod credentials;
mod device;
mod integrity;
pub(super) mod log;
mod mirror;
mod mqtt;
mod output;
mod payload;
mod platform;
mod pseudonym;
mod quantity;
mod sensor;
mod status;
mod tls;
mod token;
mod topics;
mod web;

use std::time::Duration;

#[cfg(any(test, fuzzing))]
pub(crate) use columns::pointer as json_pointer;

use super::SecretPlaces;
use super::amount::{AmountError, format_duration, format_size, parse_duration, parse_size};
use super::model::{CommandSource, Config};
use super::problem::{KeyPath, Report};
use super::raw::{DurationText, Raw, SizeText};
use crate::sensor::registry::DriverKind;

/// A configuration, and what is left out of it on purpose.
pub(super) struct Outcome {
    pub(super) config: Config,
    pub(super) disabled: Vec<String>,
}

/// Checks everything; `None` when something is missing without which no configuration can be made.
pub(super) fn configuration(
    raw: Raw,
    drivers: &[DriverKind],
    places: &SecretPlaces,
    report: &mut Report,
) -> Option<Outcome> {
    let root = KeyPath::default();
    let raw_device = raw.device.unwrap_or_default();
    let pseudonym = raw_device.pseudonym.clone();
    let device = device::check(raw_device, &root.key("device"), report);
    let at = root.key("device").key("pseudonym");
    let device = pseudonym::hide(device, pseudonym.as_ref(), places, &at, report);
    let chosen = platform::platform(raw.mqtt.as_ref(), &device.id, &root.key("mqtt").key("platform"), report);
    let publishing =
        mqtt::publishing(raw.mqtt.as_ref(), chosen.as_ref(), &device.id, &root.key("mqtt"), report);
    let has_broker = raw.mqtt.is_some();
    let mqtt = raw.mqtt.zip(publishing.as_ref()).and_then(|(raw, publishing)| {
        let status_topic = publishing.status_topic.clone();
        mqtt::check(raw, chosen.clone(), &device, status_topic, places, &root.key("mqtt"), report)
    });
    let log = log::check(raw.log.unwrap_or_default(), places, &root.key("log"), report);
    let clock = log::clock(raw.clock.unwrap_or_default(), &root.key("clock"), report);
    let status = status::check(raw.status.unwrap_or_default(), has_broker, &root.key("status"), report);

    let mut house = sensor::House::new(&device, publishing.as_ref(), drivers, places.beside.as_deref());
    let raw_sensors = raw.sensors.unwrap_or_default();
    let raw_mirrors = raw.mirror.unwrap_or_default();
    let raw_outputs = raw.outputs.unwrap_or_default();
    let idle = raw_sensors.is_empty() && raw_mirrors.is_empty() && raw_outputs.is_empty();
    if idle && !report.has_problem_at(&root.key("sensors")) {
        let hint = "name at least one sensor under `sensors:` or topics to store under `mirror:`".to_owned();
        report.suggest(&root, "there is nothing to do", Some(hint));
    }
    let gap_channel = house.gap_channel(report);
    let (sensors, sensor_places, disabled) = house.sensors(raw_sensors, &root.key("sensors"), report);
    let outputs = house.outputs(raw_outputs, &sensors, &root.key("outputs"), report);
    house.late_topics(report);
    if let Some(chosen) = &chosen {
        for (sensor, path) in sensors.iter().zip(&sensor_places) {
            sensor.channels().for_each(|channel| platform::channel(channel, chosen, path, report));
        }
        for (index, output) in outputs.iter().enumerate() {
            platform::channel(&output.level, chosen, &root.key("outputs").index(index), report);
        }
    }

    if !raw_mirrors.is_empty() && !has_broker {
        let hint = "add `mqtt:` with the `url` of the broker".to_owned();
        report.suggest(&root.key("mirror"), "a mirror needs a broker to subscribe at", Some(hint));
    }
    let mirrors = mirror::check(raw_mirrors, &log.path, places, &root.key("mirror"), report);
    log::in_the_clear(&log, &mirrors, &root.key("mirror"), report);
    let clash = mirrors.iter().position(|mirror| mirror.id == COMMANDS);
    if let Some(index) = clash.filter(|_| raw.commands.as_ref().is_some_and(|commands| !commands.is_empty()))
    {
        let path = root.key("mirror").index(index).key("id");
        report
            .problem(&path, format!("\"{COMMANDS}\" is the name under which the commands are subscribed to"));
    }

    let raw_commands = raw.commands.unwrap_or_default();
    if !raw_commands.is_empty() && !has_broker {
        let hint = "add `mqtt:` with the `url` of the broker".to_owned();
        report.suggest(&root.key("commands"), "commands need a broker to come from", Some(hint));
    }
    let named = command::Named { device: &device.id, sensors: &sensors, outputs: &outputs };
    let (commands, platform_commands) =
        command::check(raw_commands, chosen.as_ref(), &named, places, &root.key("commands"), report);
    let sources: Vec<&CommandSource> = commands.iter().chain(&platform_commands).collect();
    command::links(&outputs, &sources, &root.key("outputs"), report);
    if let Some(chosen) = &chosen {
        platform::alone(chosen, !mirrors.is_empty(), !commands.is_empty(), &root, report);
    }
    let web_path = root.key("web");
    let web = raw.web.and_then(|raw| web::check(raw, &outputs, places, &web_path, report));

    // A broker that is named but wrong was reported; without this the type would claim there is none.
    if has_broker && mqtt.is_none() {
        return None;
    }
    let config = Config {
        device,
        mqtt,
        log,
        clock,
        status,
        sensors,
        mirrors,
        outputs,
        commands,
        platform_commands,
        gap_channel,
        web,
    };
    pseudonym::slips(&config, &sensor_places, report);
    integrity::bare(&config, &sensor_places, report);
    Some(Outcome { config, disabled })
}

/// A duration within bounds; `None` when left out or (reported) wrong.
fn duration(
    text: Option<&DurationText>,
    least: Duration,
    most: Duration,
    path: &KeyPath,
    report: &mut Report,
) -> Option<Duration> {
    let DurationText(text) = text?;
    let duration = parsed(parse_duration(text), path, report)?;
    if duration < least || duration > most {
        let (least, most) = (format_duration(least), format_duration(most));
        report.problem(path, format!("must be between {least} and {most}, not {text}"));
        return None;
    }
    Some(duration)
}

/// A size of at least `least` bytes; `None` when left out or (reported) wrong.
fn size(text: Option<&SizeText>, least: u64, most: u64, path: &KeyPath, report: &mut Report) -> Option<u64> {
    let SizeText(text) = text?;
    let bytes = parsed(parse_size(text), path, report)?;
    if bytes < least || bytes > most {
        let message = match most {
            u64::MAX => format!("must be at least {}, not {text}", format_size(least)),
            most => format!("must be between {} and {}, not {text}", format_size(least), format_size(most)),
        };
        report.problem(path, message);
        return None;
    }
    Some(bytes)
}

fn parsed<T>(result: Result<T, AmountError>, path: &KeyPath, report: &mut Report) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            report.suggest(path, error.message, error.suggestion);
            None
        }
    }
}

/// What the client id of the connection for commands ends with, as that of a mirror does with its id.
const COMMANDS: &str = "commands";

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
