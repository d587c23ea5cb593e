//! A file that has been looked through goes into the log as if it had been measured now: its readings wait behind
//! those that wait already, and are published by the next start of the daemon.
//!
//! Takes an open log, which nobody else can have at the same time: the daemon must not run.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;

use super::import::{Account, Failure, in_steps, sameness};
use super::survey::{Manner, Survey};
use super::value::Rule;
use crate::config::Config;
use crate::log::intake::{Foreign, Series};
use crate::log::{Log, Reader};
use crate::reading::{Channel, ChannelId, Clock, Moment, Reading, Value, ValueKind};

/// Readings handed over before they are waited for.
const AT_ONCE: usize = 5_000;

/// The channels as which the readings of a file are published.
#[derive(Debug)]
pub struct Channels(Vec<Channel>);

/// The channel of each series, from the configuration, which says topic, QoS and the like.
///
/// # Errors
/// Series that are not in it, each with what is wrong; or it has no broker.
pub fn channels(survey: &Survey, config: &Config) -> Result<Channels, Vec<String>> {
    if config.mqtt.is_none() {
        return Err(vec!["the configuration has no mqtt.url: there is nowhere to publish to".to_owned()]);
    }
    let configured: Vec<&Channel> = config
        .sensors
        .iter()
        .flat_map(|sensor| sensor.quantities.iter().map(|quantity| &quantity.channel).chain([&sensor.state]))
        .collect();
    let outputs: Vec<&str> = config.outputs.iter().map(|output| output.id.as_str()).collect();
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for series in &survey.series {
        match channel(&configured, &outputs, &series.series, series.rule) {
            Ok(channel) => found.push(channel),
            Err(what) => wrong.push(what),
        }
    }
    if wrong.is_empty() { Ok(Channels(found)) } else { Err(wrong) }
}

fn channel(
    configured: &[&Channel],
    outputs: &[&str],
    series: &Series,
    rule: Rule,
) -> Result<Channel, String> {
    let Series { device, sensor, quantity, unit } = series;
    let alike = configured.iter().find(|channel| {
        channel.device == *device
            && channel.sensor.as_str() == sensor
            && channel.quantity.as_str() == quantity
    });
    let Some(channel) = alike else {
        if outputs.contains(&sensor.as_str()) {
            return Err(format!(
                "{sensor} {quantity} is of an output: only readings of sensors are published anew"
            ));
        }
        return Err(format!(
            "{sensor} {quantity} of {device} is not in the configuration, which says how to publish it"
        ));
    };
    if channel.unit != *unit {
        return Err(format!(
            "{sensor} {quantity} is in \"{unit}\" here and in \"{}\" in the configuration",
            channel.unit
        ));
    }
    let number = |kind| matches!(kind, ValueKind::Float | ValueKind::Integer);
    match rule {
        Rule::All(kind) if channel.kind == kind || (number(kind) && number(channel.kind)) => Ok(Channel {
            kind: if channel.kind == ValueKind::Float { ValueKind::Float } else { kind },
            ..(*channel).clone()
        }),
        _ => Err(format!(
            "{sensor} {quantity} has values of another kind than the sensor of the configuration"
        )),
    }
}

/// Hands the readings of a file to the log. What came of it until then is in `account`, also on an error.
///
/// # Errors
/// The file or the log.
pub fn publish(
    path: &Path,
    manner: &Manner,
    survey: &Survey,
    channels: &Channels,
    log: &Log,
    account: &mut Account,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let ids = log.register(&channels.0)?;
    let reader = log.reader()?;
    let names: Vec<&Series> = survey.series.iter().map(|found| &found.series).collect();
    in_steps(path, manner, survey, AT_ONCE, &mut |readings, bytes, size| {
        let before = readings.len() as u64;
        let fresh = new(&reader, &names, readings)?;
        account.added += fresh.len() as u64;
        account.present += before - fresh.len() as u64;
        for sample in samples(fresh, &names, channels, &ids) {
            // Steps are smaller than the queue, which is empty at their beginning.
            if log.append(sample).is_err() {
                return Err(crate::log::LogError::Closed.into());
            }
        }
        log.flush()?;
        if progress(bytes, size).is_break() {
            account.stopped = true;
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// Those that the log does not have. Of equal ones there is only the first: nobody needs to be told twice.
fn new(reader: &Reader, names: &[&Series], readings: Vec<Foreign>) -> Result<Vec<Foreign>, Failure> {
    let mut fresh = Vec::with_capacity(readings.len());
    let mut seen = HashSet::new();
    for reading in readings {
        let key = (reading.series, reading.at, sameness(&reading.value));
        if seen.insert(key) && reader.count_equal(names[reading.series], reading.at, &reading.value)? == 0 {
            fresh.push(reading);
        }
    }
    Ok(fresh)
}

/// Readings that follow one another, of one sensor and one time, are a sample.
fn samples(
    readings: Vec<Foreign>,
    names: &[&Series],
    channels: &Channels,
    ids: &[ChannelId],
) -> Vec<Vec<Reading>> {
    let mut samples: Vec<Vec<Reading>> = Vec::new();
    let mut last: Option<(&str, Moment)> = None;
    for foreign in readings {
        let value = match (channels.0[foreign.series].kind, foreign.value) {
            (ValueKind::Float, Value::Integer(whole)) => Value::Float(whole as f64),
            (_, value) => value,
        };
        // It has no time since boot by which it could be put right later.
        let clock = if foreign.clock == Clock::Unsynced { Clock::Corrected } else { foreign.clock };
        let at = Moment { wall: foreign.at, since_boot: 0, clock };
        let reading = Reading { channel: ids[foreign.series], at, value };
        let sensor = names[foreign.series].sensor.as_str();
        match samples.last_mut().filter(|_| last == Some((sensor, at))) {
            Some(sample) => sample.push(reading),
            None => samples.push(vec![reading]),
        }
        last = Some((sensor, at));
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_not_said_to_be_unknown() {
        let series = |sensor: &str| Series {
            device: "pi".to_owned(),
            sensor: sensor.to_owned(),
            quantity: "on".to_owned(),
            unit: String::new(),
        };
        let said =
            |sensor: &str| channel(&[], &["fan"], &series(sensor), Rule::All(ValueKind::Bool)).unwrap_err();
        assert!(said("fan").contains("is of an output"), "{}", said("fan"));
        assert!(said("lamp").contains("is not in the configuration"), "{}", said("lamp"));
    }
}
