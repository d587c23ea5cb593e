//! Why a sensor's last values were not published, or when they will be: the answer to `sensor-bridge why`.
//! Pure, but for one look into the log for how far the newest reading has come.

use serde::{Deserialize, Serialize};
use tracing::debug;

use super::snapshot::Shown;
use super::words::{count, duration};
use super::{Inner, gather};
use crate::config::{self, Change};
use crate::filter::{Fate, Rejection, Seen, Trace};
use crate::log::{Newest, Refusal};
use crate::reading::Moment;
use crate::status::State;

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// Sensor.
    pub sensor: String,
    /// What is to be said of the sensor as a whole.
    pub lines: Vec<String>,
    /// And of each quantity asked for.
    pub quantities: Vec<WhyQuantity>,
}

/// The answer for one quantity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyQuantity {
    /// Quantity.
    pub quantity: String,
    /// What became of its last values, the newest first; then how far the last reading has come.
    pub lines: Vec<String>,
}

impl Inner {
    /// Answers for `SENSOR` or `SENSOR.QUANTITY`; the error names what there is.
    pub(super) fn why(&self, asked: &str) -> Result<Why, String> {
        let config = self.config();
        let (sensor, wanted) = Self::find(&config, asked)?;
        let now = (self.clock)();
        let seen = self.sensors.get().and_then(|view| view.seen(&sensor.id)).unwrap_or_default();
        let unseen = Trace::default();
        let quantities = sensor.quantities.iter().enumerate();
        let quantities = quantities
            .filter(|(_, quantity)| wanted.is_none_or(|wanted| quantity.info.name.as_str() == wanted));
        let answer = |(position, quantity): (usize, &config::Quantity)| {
            let trace = seen.traces.get(position).unwrap_or(&unseen);
            let mut lines = explain(quantity, trace, now);
            lines.extend(self.delivery(sensor, quantity));
            WhyQuantity { quantity: quantity.info.name.to_string(), lines }
        };
        let next = seen.next_read.map(|at| at.saturating_duration_since(std::time::Instant::now()));
        Ok(Why {
            sensor: sensor.id.to_string(),
            lines: vec![self.state_of(sensor, next.map(|next| next.as_secs_f64()))],
            quantities: quantities.map(answer).collect(),
        })
    }

    /// The sensor, and the one quantity that is asked for. A sensor's name may have dots in it.
    fn find<'a, 'c>(
        config: &'c config::Config,
        asked: &'a str,
    ) -> Result<(&'c config::Sensor, Option<&'a str>), String> {
        let known = |text: &[&str]| if text.is_empty() { "none".to_owned() } else { text.join(", ") };
        // `air.out` may be a quantity of `air`, or another sensor further down.
        let mut unknown = None;
        for sensor in &config.sensors {
            let Some(rest) = asked.strip_prefix(sensor.id.as_str()) else { continue };
            let names: Vec<&str> =
                sensor.quantities.iter().map(|quantity| quantity.info.name.as_str()).collect();
            match rest.strip_prefix('.') {
                None if rest.is_empty() => return Ok((sensor, None)),
                Some(quantity) if names.contains(&quantity) => return Ok((sensor, Some(quantity))),
                Some(quantity) => {
                    let id = &sensor.id;
                    let has = known(&names);
                    unknown = Some(format!("sensor {id} has no quantity {quantity:?}; it has {has}"));
                }
                None => {}
            }
        }
        let names: Vec<&str> = config.sensors.iter().map(|sensor| sensor.id.as_str()).collect();
        Err(unknown.unwrap_or_else(|| format!("there is no sensor {asked:?}; there are {}", known(&names))))
    }

    fn state_of(&self, sensor: &config::Sensor, next: Option<f64>) -> String {
        let part = self.board.part(&format!("sensor {}", sensor.id));
        let (state, since) = part.state_of_kind();
        let lasts = duration(since.elapsed().as_secs_f64());
        let next = next.map_or_else(String::new, |next| format!("; read next in {}", duration(next)));
        match state {
            State::Failed(why) => format!("failed for {lasts}: {why}{next}"),
            State::Degraded(why) => format!("degraded for {lasts}: {why}{next}"),
            State::Starting => format!("not heard of yet, for {lasts}{next}"),
            State::Stopped => "not read any more".to_owned(),
            State::Ok => {
                let every = duration(sensor.interval.as_secs_f64());
                format!("ok for {lasts}, read every {every}{next}")
            }
        }
    }

    /// How far the newest reading has come on its way to the broker.
    fn delivery(&self, sensor: &config::Sensor, quantity: &config::Quantity) -> Vec<String> {
        if self.config().mqtt.is_none() {
            return vec!["only logged: the configuration names no broker".to_owned()];
        }
        if quantity.channel.publish.is_none() {
            return vec!["only logged, not published".to_owned()];
        }
        let names = (quantity.channel.device.as_str(), sensor.id.as_str(), quantity.info.name.as_str());
        let look = || {
            let reader = self.log.reader()?;
            Ok((reader.how_far(names.0, names.1, names.2)?, reader.last_refusal(names.0, names.1, names.2)?))
        };
        match look() {
            Ok((newest, refusal)) => self.way(newest, refusal),
            Err(error) => {
                let error: crate::log::LogError = error;
                debug!("why: {error}");
                vec![format!("how far it has come is not known: {error}")]
            }
        }
    }

    fn way(&self, newest: Option<Newest>, refusal: Option<Refusal>) -> Vec<String> {
        let mut lines = Vec::new();
        match newest {
            None => {}
            Some(Newest { row, waiting: false, .. }) => {
                lines.push(format!("its last reading, row {row}, is delivered"));
            }
            Some(Newest { row, late, ahead, .. }) => {
                let late = if late { ", late (backlog: live-first)" } else { "" };
                let (state, since) = self.board.part(gather::PUBLISHER).state_of_kind();
                let lasts = duration(since.elapsed().as_secs_f64());
                let link = match state {
                    State::Failed(why) => format!("no connection for {lasts}: {why}"),
                    State::Starting => format!("no connection yet, for {lasts}"),
                    _ => "connected".to_owned(),
                };
                let before = match ahead {
                    0 => String::new(),
                    1 => ", 1 row before it".to_owned(),
                    many => format!(", {} rows before it", count(many)),
                };
                lines
                    .push(format!("its last reading, row {row}, waits for the broker{late}{before}; {link}"));
            }
        }
        lines.extend(refusal.map(|Refusal { time, reason }| {
            format!("a reading was refused by the broker at {time}: {reason}")
        }));
        lines
    }
}

/// What became of the last values, the newest first.
pub(super) fn explain(quantity: &config::Quantity, trace: &Trace, now: Moment) -> Vec<String> {
    let mut told: Vec<(i64, String)> = Vec::new();
    let unit = &quantity.channel.unit;
    let mut tell = |at: Moment, text: String| {
        told.push((at.since_boot, format!("{} ago: {text}", duration(seconds(at, now)))));
    };
    if let Some(Seen { value, at }) = &trace.passed {
        tell(*at, format!("{} went into the log", with_unit(&Shown::from(value), unit)));
    }
    if let Some((Seen { value, at }, against)) = &trace.unchanged {
        let against = against.as_ref().map(Shown::from);
        let mut text = unchanged(&quantity.filter, against.as_ref(), &Shown::from(value));
        if trace.last == Some(Fate::Unchanged) {
            text += &heartbeat(&quantity.filter, trace, now);
        }
        tell(*at, text);
    }
    if let Some(Seen { value, at }) = &trace.held {
        tell(*at, held(&quantity.filter, &with_unit(&Shown::from(value), unit), *at, trace, now));
    }
    if let Some((Seen { value, at }, reason)) = &trace.refused {
        let name = quantity.info.name.clone();
        let rejection = Rejection { quantity: name, position: 0, value: value.clone(), reason: *reason };
        tell(*at, rejection.to_string());
    }
    if let Some(Seen { value, at }) = &trace.dropped {
        let value = with_unit(&Shown::from(value), unit);
        tell(*at, format!("{value} was lost: the log did not take it; is the disk full or slow?"));
    }
    told.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    if told.is_empty() {
        return vec!["nothing was read yet".to_owned()];
    }
    told.into_iter().map(|(_, text)| text).collect()
}

fn unchanged(filter: &config::Filter, against: Option<&Shown>, value: &Shown) -> String {
    let Some(against) = against else { return format!("{value} is no change") };
    let step = format!("{against} → {value}");
    match filter.change {
        Change::Absolute(deadband) => format!("{step} is under the {deadband} deadband"),
        Change::Relative(part) => {
            let around = against
                .as_f64()
                .map_or_else(String::new, |last| format!(" of {against} ({})", rounded((part * last).abs())));
            format!("{step} is under the deadband of {} %{around}", rounded(part * 100.0))
        }
        Change::Any | Change::Always => format!("{value} as before"),
    }
}

/// When it will be sent though unchanged.
fn heartbeat(filter: &config::Filter, trace: &Trace, now: Moment) -> String {
    match (filter.heartbeat, &trace.passed) {
        (None, _) => "; there is no heartbeat".to_owned(),
        (Some(_), None) => String::new(),
        (Some(heartbeat), Some(passed)) => match heartbeat.as_secs_f64() - seconds(passed.at, now) {
            left if left > 0.0 => format!("; heartbeat in {}", duration(left)),
            _ => "; the heartbeat is due with the next reading".to_owned(),
        },
    }
}

fn held(filter: &config::Filter, value: &str, at: Moment, trace: &Trace, now: Moment) -> String {
    let Some(least) = filter.min_interval else { return format!("{value} was kept back with its message") };
    let limit = format!("min_interval {}", config::amount::format_duration(least));
    let before = trace.passed.as_ref().filter(|passed| passed.at.since_boot < at.since_boot);
    match (trace.last, before) {
        (Some(Fate::Held), Some(passed)) => {
            let after = duration(seconds(passed.at, at));
            let left = duration(least.as_secs_f64() - seconds(passed.at, now));
            format!("{value} came {after} after the one before: {limit} keeps it back for another {left}")
        }
        _ => format!("{value} was kept back by {limit}"),
    }
}

fn with_unit(value: &Shown, unit: &str) -> String {
    if unit.is_empty() { value.to_string() } else { format!("{value} {unit}") }
}

/// To six digits: what people have written comes out as they wrote it.
fn rounded(number: f64) -> f64 {
    format!("{number:.5e}").parse().unwrap_or(number)
}

fn seconds(from: Moment, to: Moment) -> f64 {
    to.since_boot.saturating_sub(from.since_boot).max(0) as f64 / 1e6
}
