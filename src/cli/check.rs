//! `sensor-bridge check`: what would run, without running it. Shows the configuration; judges nothing itself.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{Global, terminal};
use crate::config::amount::{format_duration, format_size};
use crate::config::{
    self, Backlog, Change, Checked, ClockPolicy, CommandSource, Config, Mirror, MqttVersion, Output, Sensor,
    Sink, Sync,
};
use crate::reading::{Channel, Shape};
use crate::sensor::Attachment;

/// Check the configuration and show what would run
///
/// Everything that is wrong is listed at once, each with line and key. Nothing is opened or connected.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge check
  sensor-bridge check --config ./config.yaml
  sensor-bridge check --json | jq '.sensors[].quantities[].topic'

Exit code: 0 the configuration is good, 78 it is not.")]
pub struct Args {}

/// Checks and shows.
///
/// # Errors
/// Everything that is wrong with the configuration, or standard output cannot be written.
pub fn run(_args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let checked = config::examine(global.path(), config::environment())?;
    let mut warnings = String::new();
    config::write_located(&mut warnings, Some(global.path()), &checked.warnings)?;
    for warning in warnings.lines() {
        terminal::say(format_args!("warning: {warning}"));
    }
    let text = match global.json {
        true => serde_json::to_string_pretty(&as_json(&checked))?,
        false => {
            let mut text = format!("{} is good.\n\n", global.path().display());
            write_plain(&mut text, &checked)?;
            text.truncate(text.trim_end().len());
            terminal::page(&text).into_owned()
        }
    };
    writeln!(terminal::out(global.json), "{text}").context("cannot write")?;
    Ok(ExitCode::SUCCESS)
}

fn write_plain(out: &mut String, checked: &Checked) -> fmt::Result {
    let config = &checked.config;
    let summary = [
        ("device", device(config)),
        ("broker", broker(config)),
        ("log", log(config)),
        ("clock", clock(config)),
        ("web", web(config)),
    ];
    for (name, text) in summary {
        writeln!(out, "{name:<8} {text}")?;
    }
    for sensor in &config.sensors {
        writeln!(
            out,
            "\nsensor {}: {} on {}, every {}",
            sensor.id,
            sensor.driver.name(),
            seat(sensor),
            format_duration(sensor.interval)
        )?;
        let rows = sensor.quantities.iter().map(|q| {
            vec![
                q.info.name.to_string(),
                q.channel.unit.clone(),
                change(q.filter.change, &q.channel.unit),
                delivery(&q.channel),
                topic(&q.channel),
            ]
        });
        write_table(out, &["quantity", "unit", "change", "qos", "topic"], rows.collect())?;
    }
    if !checked.disabled.is_empty() {
        writeln!(out, "\nswitched off: {}", checked.disabled.join(", "))?;
    }
    for output in &config.outputs {
        writeln!(out, "\noutput {}: {} on {}", output.id, output.driver.name(), output.driver.attachment())?;
        writeln!(out, "  {}", limits(output))?;
        let row = vec![
            output.level.quantity.to_string(),
            output.level.unit.clone(),
            delivery(&output.level),
            topic(&output.level),
        ];
        write_table(out, &["quantity", "unit", "qos", "topic"], vec![row])?;
    }
    if let Some(source) = &config.platform_commands {
        writeln!(out, "\ncommands from {}: may: {}", source.topic, allowed(source).join(", "))?;
    }
    for source in &config.commands {
        writeln!(
            out,
            "\ncommands on {}: qos {}, {}, may: {}; {}",
            source.topic,
            source.qos as u8,
            if source.key.is_some() { "signed" } else { "not signed" },
            allowed(source).join(", "),
            source
                .reply
                .as_ref()
                .map_or("no answers but to MQTT 5".to_owned(), |reply| format!("answers on {reply}"))
        )?;
    }
    for mirror in &config.mirrors {
        writeln!(
            out,
            "\nmirror {}: qos {}, {}{}{}",
            mirror.id,
            mirror.qos as u8,
            mirror
                .payload
                .as_ref()
                .map(|payload| format!("{} messages ", payload.kind.name()))
                .unwrap_or_default(),
            sink(&mirror.sink).replace("{mirror}", &mirror.id),
            mirror.integrity.as_ref().map(|wanted| format!(", only with {wanted}")).unwrap_or_default()
        )?;
        for filter in &mirror.topics {
            writeln!(out, "  {filter}")?;
        }
    }
    Ok(())
}

/// What an output may be set to, and when it becomes safe.
fn limits(output: &Output) -> String {
    let limits = &output.limits;
    let level = |level: f64| match level {
        0.0 => "off".to_owned(),
        _ if output.driver.is_digital() => "on".to_owned(),
        level => format!("{level} %"),
    };
    let mut parts = vec![format!("safe: {}", level(limits.safe))];
    if !output.driver.is_digital() {
        parts.push(format!("off, or {} to {} %", limits.min, limits.max));
    }
    let times = [
        (limits.max_on, "on for at most"),
        (limits.link_lost, "safe without the broker after"),
        (limits.min_interval, "no two changes within"),
    ];
    let said = |(time, words): (Option<Duration>, &str)| {
        time.map(|time| format!("{words} {}", format_duration(time)))
    };
    parts.extend(times.into_iter().filter_map(said));
    parts.extend(limits.slew.map(|slew| format!("at most {slew} %/s")));
    parts.join("; ")
}

fn device(config: &Config) -> String {
    let mut text = config.device.id.clone();
    if let Some(pseudonym) = &config.device.pseudonym {
        text.push_str(&format!(", which stands for {}", pseudonym.id));
    }
    if let Some(place) = &config.device.place {
        if let Some(name) = &place.name {
            text.push_str(&format!(" at {name}"));
        }
        if let (Some(latitude), Some(longitude)) = (place.latitude, place.longitude) {
            text.push_str(&format!(" ({latitude}, {longitude})"));
        }
    }
    text
}

fn broker(config: &Config) -> String {
    let Some(mqtt) = &config.mqtt else { return "none: readings are only logged".to_owned() };
    let user = match mqtt.credentials.as_ref().map(|credentials| credentials.username.as_str()) {
        None => String::new(),
        Some("") => " with an access token".to_owned(),
        Some(name) => format!(" as {name}"),
    };
    let order = match mqtt.backlog {
        Backlog::InOrder => "backlog in order".to_owned(),
        Backlog::LiveFirst { rate } => format!("live first, backlog at {rate}/s"),
    };
    let order = match mqtt.rate {
        None => order,
        Some(rate) => format!("{order}, at most {rate}/s"),
    };
    let platform = mqtt.platform.as_ref().map(|chosen| format!(" ({})", chosen.platform.name()));
    let platform = platform.unwrap_or_default();
    let status = match &mqtt.status_topic {
        Some(topic) => format!("status on {topic}"),
        None => "no status".to_owned(),
    };
    let carried = mqtt.integrity.as_ref().map(|carried| format!(", payloads with {carried}"));
    let carried = carried.unwrap_or_default();
    format!(
        "{}{platform}{user}, MQTT {}, client id {}, {status}, {order}{carried}",
        mqtt.broker,
        version(mqtt.version),
        mqtt.client_id,
    )
}

fn web(config: &Config) -> String {
    let Some(web) = &config.web else { return "none: no port is open".to_owned() };
    let password = if web.password.is_some() { "with a password" } else { "without a password" };
    match web.listen.ip().to_canonical().is_loopback() {
        true => format!("http://{}/ for this machine only, {password}", web.listen),
        false => format!("http://{}/ {password}, without TLS: docs/web.md says how to add it", web.listen),
    }
}

fn version(version: MqttVersion) -> &'static str {
    match version {
        MqttVersion::V311 => "3.1.1",
        MqttVersion::V5 => "5",
    }
}

fn log(config: &Config) -> String {
    let log = &config.log;
    let encrypted = if log.key.is_some() { ", encrypted" } else { "" };
    let mut text = format!("{}{encrypted}, sync {}", log.path.display(), sync(log.sync));
    if !log.commit_interval.is_zero() {
        text.push_str(&format!(", a commit every {}", format_duration(log.commit_interval)));
    }
    let most = |age: Option<Duration>, size: Option<u64>| {
        let parts: Vec<String> = age.map(format_duration).into_iter().chain(size.map(format_size)).collect();
        (!parts.is_empty()).then(|| format!(", at most {}", parts.join(" and ")))
    };
    let retention = &log.retention;
    text.push_str(most(retention.max_age, retention.max_size).as_deref().unwrap_or(", kept for ever"));
    if let Some(most) = most(retention.images.max_age, retention.images.max_size) {
        text.push_str(&format!("; pictures{most}"));
    }
    text
}

fn sync(sync: Sync) -> &'static str {
    match sync {
        Sync::Full => "full",
        Sync::Normal => "normal",
    }
}

fn clock(config: &Config) -> String {
    match config.clock {
        ClockPolicy::Mark => "readings before synchronisation are published at once, marked".to_owned(),
        ClockPolicy::Hold(most) => {
            format!("readings before synchronisation are held, at most {}", format_duration(most))
        }
    }
}

fn seat(sensor: &Sensor) -> String {
    match sensor.driver.attachment() {
        Attachment::I2c { bus, address } => format!("{bus} {address:#04x}"),
        other => other.to_string(),
    }
}

fn change(change: Change, unit: &str) -> String {
    match change {
        Change::Any => "any".to_owned(),
        Change::Always => "always".to_owned(),
        Change::Absolute(size) => format!("{size} {unit}").trim_end().to_owned(),
        // Percent as written: 0.07 × 100 is 7.000000000000001.
        Change::Relative(fraction) => format!("{}%", (fraction * 1e8).round() / 1e6),
    }
}

fn delivery(channel: &Channel) -> String {
    match &channel.publish {
        None => "-".to_owned(),
        Some(publish) if publish.retain => format!("{} retained", publish.qos as u8),
        Some(publish) => (publish.qos as u8).to_string(),
    }
}

fn topic(channel: &Channel) -> String {
    channel.publish.as_ref().map_or_else(|| "-".to_owned(), |publish| publish.topic.clone())
}

fn sink(sink: &Sink) -> String {
    match sink {
        Sink::Sqlite { table: None } => "into the log (view messages)".to_owned(),
        Sink::Sqlite { table: Some(table) } if table.columns.is_empty() => {
            format!("into the log (view messages, and table {}: a row for each reading)", table.name)
        }
        Sink::Sqlite { table: Some(table) } => {
            let columns: Vec<&str> = table.columns.keys().map(String::as_str).collect();
            format!("into the log (view messages, and table {}: {})", table.name, columns.join(", "))
        }
        Sink::Csv { path, max_size, .. } => {
            let size =
                max_size.map(|size| format!(", at most {} each", format_size(size))).unwrap_or_default();
            format!("into {path}{size}")
        }
    }
}

/// Columns as wide as their widest cell; the last one runs free.
fn write_table(out: &mut String, head: &[&str], rows: Vec<Vec<String>>) -> fmt::Result {
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let width = |column: usize| {
        let cells = std::iter::once(&head).chain(&rows).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for row in std::iter::once(&head).chain(&rows) {
        let mut line = String::from("  ");
        for (cell, &width) in row.iter().zip(&widths) {
            write!(line, "{cell:<width$}  ")?;
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn as_json(checked: &Checked) -> Value {
    let config = &checked.config;
    let place = config.device.place.as_ref();
    json!({
        "device": {
            "id": config.device.id,
            "stands_for": config.device.pseudonym.as_ref().map(|pseudonym| &pseudonym.id),
            "location": place.map(|place| json!({
                "name": place.name,
                "latitude": place.latitude,
                "longitude": place.longitude,
                "altitude": place.altitude,
            })),
        },
        "mqtt": config.mqtt.as_ref().map(|mqtt| json!({
            "url": mqtt.broker.to_string(),
            "username": mqtt.credentials.as_ref().map(|c| &c.username).filter(|name| !name.is_empty()),
            "version": version(mqtt.version),
            "client_id": mqtt.client_id,
            "keep_alive_seconds": mqtt.keep_alive.as_secs(),
            "window": mqtt.window,
            "max_packet_size": mqtt.max_packet_size,
            "platform": mqtt.platform.as_ref().map(|chosen| chosen.platform.name()),
            "status_topic": mqtt.status_topic,
            "backlog": match mqtt.backlog {
                Backlog::InOrder => json!({"order": "in-order"}),
                Backlog::LiveFirst { rate } => json!({"order": "live-first", "late_rate": rate}),
            },
        })),
        "log": {
            "path": config.log.path,
            "sync": sync(config.log.sync),
            "commit_interval_seconds": config.log.commit_interval.as_secs_f64(),
            "max_age_seconds": config.log.retention.max_age.map(|age| age.as_secs()),
            "max_size": config.log.retention.max_size,
            "images": {
                "max_age_seconds": config.log.retention.images.max_age.map(|age| age.as_secs()),
                "max_size": config.log.retention.images.max_size,
            },
        },
        "web": config.web.as_ref().map(|web| json!({
            "listen": web.listen.to_string(),
            "password": web.password.is_some(),
            "hosts": web.hosts,
        })),
        "clock": match config.clock {
            ClockPolicy::Mark => json!({"unsynced": "mark"}),
            ClockPolicy::Hold(most) => json!({"unsynced": "hold", "max_hold_seconds": most.as_secs_f64()}),
        },
        "sensors": config.sensors.iter().map(sensor_json).collect::<Vec<_>>(),
        "disabled": checked.disabled,
        "outputs": config.outputs.iter().map(output_json).collect::<Vec<_>>(),
        "commands": config.commands.iter().map(|source| json!({
            "topic": source.topic,
            "qos": source.qos as u8,
            "signed": source.key.is_some(),
            "allow": allowed(source),
            "reply": source.reply,
            "unsynced": if source.obey_unsynced { "obey" } else { "refuse" },
        })).collect::<Vec<_>>(),
        "platform_commands": config.platform_commands.as_ref().map(|source| json!({
            "from": source.topic,
            "allow": allowed(source),
        })),
        "mirror": config.mirrors.iter().map(mirror_json).collect::<Vec<_>>(),
        "warnings": checked.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// What a source of commands may do, as the configuration says it.
fn allowed(source: &CommandSource) -> Vec<String> {
    source.allow.iter().map(ToString::to_string).collect()
}

fn sensor_json(sensor: &Sensor) -> Value {
    let attachment = sensor.driver.attachment();
    let (bus, address) = match &attachment {
        Attachment::Spi { bus: place } | Attachment::Serial { port: place } => (Some(place.as_str()), None),
        other => other.address().unzip(),
    };
    let pin = match &attachment {
        Attachment::Gpio { pin, .. } | Attachment::Expander { pin, .. } => Some(*pin),
        Attachment::I2c { .. }
        | Attachment::Spi { .. }
        | Attachment::Serial { .. }
        | Attachment::Worker(_)
        | Attachment::Alone(_) => None,
    };
    let quantities = sensor.quantities.iter().map(|quantity| {
        let mut value = channel_json(&quantity.channel);
        value["change"] = change(quantity.filter.change, "").into();
        value["heartbeat_seconds"] = quantity.filter.heartbeat.map(|t| t.as_secs_f64()).into();
        value["min_interval_seconds"] = quantity.filter.min_interval.map(|t| t.as_secs_f64()).into();
        value
    });
    json!({
        "id": sensor.id.as_str(),
        "driver": sensor.driver.name(),
        "bus": bus,
        "address": address,
        "pin": pin,
        "interval_seconds": sensor.interval.as_secs_f64(),
        "timeout_seconds": sensor.timeout.as_secs_f64(),
        "quantities": quantities.collect::<Vec<_>>(),
        "state": channel_json(&sensor.state),
    })
}

fn output_json(output: &Output) -> Value {
    let limits = &output.limits;
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    json!({
        "id": output.id.as_str(),
        "driver": output.driver.name(),
        "place": output.driver.attachment().to_string(),
        "limits": {
            "safe": limits.safe,
            "min": limits.min,
            "max": limits.max,
            "slew_percent_per_second": limits.slew,
            "min_interval_seconds": seconds(limits.min_interval),
            "max_on_seconds": seconds(limits.max_on),
            "link_lost_seconds": seconds(limits.link_lost),
        },
        "level": channel_json(&output.level),
        "state": channel_json(&output.state),
    })
}

fn channel_json(channel: &Channel) -> Value {
    let publish = channel.publish.as_ref();
    json!({
        "quantity": channel.quantity.as_str(),
        "unit": channel.unit,
        "topic": publish.map(|publish| &publish.topic),
        "late_topic": publish.and_then(|publish| publish.late_topic.as_ref()),
        "qos": publish.map(|publish| publish.qos as u8),
        "retain": publish.map(|publish| publish.retain),
        "format": publish.map(|publish| match publish.shape {
            Shape::Quantity | Shape::Sample => "json",
            Shape::Base64 => "base64",
            Shape::Binary => "binary",
        }),
    })
}

fn mirror_json(mirror: &Mirror) -> Value {
    let to = match &mirror.sink {
        Sink::Sqlite { table } => json!({
            "to": "sqlite",
            "table": table.as_ref().map(|table| &table.name),
            "columns": table.as_ref().map(|table| table.columns.keys().collect::<Vec<_>>()),
        }),
        Sink::Csv { path, max_size, .. } => json!({"to": "csv", "path": path, "max_size": max_size}),
    };
    let payload = mirror.payload.as_ref().map(|payload| payload.kind.name());
    json!({
        "id": mirror.id, "topics": mirror.topics, "qos": mirror.qos as u8, "payload": payload, "sink": to,
    })
}
