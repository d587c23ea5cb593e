//! What the host is told of a device before it hears of it, and how much of that it has been told.

use std::collections::{BTreeMap, HashMap};

use super::payload::{DataType, Metric, MetricValue, Payload, millis};
use crate::platform::About;
use crate::reading::{Channel, Logged, STATE, Timestamp};

/// Most metrics of earlier configurations that are remembered for a device.
const MOST_LEARNED: usize = 1_000;

/// A sensor or an output.
#[derive(Debug, Default)]
pub(super) struct Device {
    /// What it measures, and its state.
    metrics: Vec<Channel>,
    /// What is the same for ever.
    properties: Vec<(&'static str, String)>,
    /// The metric that can be written, if one can, and whether it is on or off rather than a percentage.
    pub(super) writable: Option<(String, bool)>,
    /// Metrics of an earlier configuration whose backlog still goes out.
    learned: BTreeMap<String, DataType>,
    /// What the host was told on this connection.
    pub(super) told: Option<Told>,
}

/// What the last birth said.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Row of the value that each metric had; what is not newer is history to the host.
    pub(super) rows: HashMap<String, i64>,
    /// It does not work, by its own state.
    pub(super) failed: bool,
    /// When its death is told, µs since boot.
    pub(super) dies: Option<i64>,
}

/// The newest readings, by sensor and quantity.
pub(super) struct Latest(HashMap<(String, String), Logged>);

impl Latest {
    pub(super) fn of(about: &About) -> Self {
        let name =
            |one: &Logged| (one.channel.sensor.as_str().to_owned(), one.channel.quantity.as_str().to_owned());
        Self((about.latest)().into_iter().map(|one| (name(&one), one)).collect())
    }

    /// Not what an earlier configuration measured in another unit, or as another kind of value.
    fn get(&self, channel: &Channel) -> Option<&Logged> {
        let key = (channel.sensor.as_str().to_owned(), channel.quantity.as_str().to_owned());
        self.0.get(&key).filter(|one| one.channel.unit == channel.unit && one.value.kind() == channel.kind)
    }
}

impl Device {
    /// All devices of the configuration, by name.
    pub(super) fn all(about: &About) -> BTreeMap<String, Device> {
        let mut devices = BTreeMap::new();
        for sensor in &about.sensors {
            let quantities = sensor.quantities.iter().map(|(channel, _)| channel.clone());
            let device = Device {
                metrics: quantities.chain([sensor.state.clone()]).collect(),
                properties: vec![("Properties/Driver", sensor.driver.to_owned())],
                ..Device::default()
            };
            devices.insert(sensor.id.as_str().to_owned(), device);
        }
        for output in &about.outputs {
            let level = output.level.quantity.as_str().to_owned();
            let device = Device {
                metrics: vec![output.level.clone(), output.state.clone()],
                writable: output.commandable.then_some((level, output.percent.is_none())),
                ..Device::default()
            };
            devices.insert(output.id.as_str().to_owned(), device);
        }
        devices
    }

    /// Whether a birth on this connection has named all these metrics.
    pub(super) fn knows(&self, metrics: &[Metric]) -> bool {
        self.told.as_ref().is_some_and(|told| metrics.iter().all(|one| told.rows.contains_key(&one.name)))
    }

    /// The metric of this name.
    pub(super) fn metric(&self, name: &str) -> Option<&str> {
        self.metrics.iter().map(|channel| channel.quantity.as_str()).find(|known| *known == name)
    }

    /// Marks what was measured in another unit than the birth has named, before the configuration changed: it is no value
    /// of now. Data do not say their unit themselves.
    pub(super) fn settle_units(&self, metrics: &mut [Metric]) {
        for metric in metrics {
            let unit = metric.unit.take().unwrap_or_default();
            let named = self.metrics.iter().find(|channel| channel.quantity.as_str() == metric.name);
            metric.historical |= named.is_some_and(|channel| channel.unit != unit);
        }
    }

    /// Remembers metrics that no configuration names any more, so that the next birth does.
    pub(super) fn learn(&mut self, metrics: &[Metric]) {
        for metric in metrics {
            if let Some(datatype) = metric.value.datatype()
                && self.metric(&metric.name).is_none()
                && self.learned.len() < MOST_LEARNED
            {
                self.learned.insert(metric.name.clone(), datatype);
            }
        }
    }

    /// Its DBIRTH: every metric with its type and last value (section 4.1.7). From here on the host has been told.
    pub(super) fn birth(&mut self, latest: &Latest, now: Timestamp, seq: u8) -> Payload {
        let mut told = Told::default();
        let mut metrics = Vec::new();
        let now = millis(now);
        let plain = |name: &str, datatype, value| Metric {
            name: name.to_owned(),
            timestamp: Some(now),
            datatype: Some(datatype),
            value,
            ..Metric::default()
        };
        for channel in &self.metrics {
            let Some(datatype) = DataType::of(channel.kind) else { continue };
            let name = channel.quantity.as_str();
            let last = latest.get(channel);
            told.rows.insert(name.to_owned(), last.map_or(i64::MIN, |one| one.row));
            let mut metric =
                last.map_or_else(|| plain(name, datatype, MetricValue::Null), |one| Metric::of(one, false));
            metric.datatype = Some(datatype);
            metric.unit = Some(channel.unit.clone()).filter(|unit| !unit.is_empty());
            if name == STATE {
                told.failed = is_failed(&metric.value);
            }
            metrics.push(metric);
        }
        for (name, datatype) in &self.learned {
            told.rows.insert(name.clone(), i64::MIN);
            metrics.push(plain(name, *datatype, MetricValue::Null));
        }
        for (name, text) in &self.properties {
            metrics.push(plain(name, DataType::String, MetricValue::Text(text.clone())));
        }
        self.told = Some(told);
        Payload { timestamp: Some(now), metrics, seq: Some(u64::from(seq)), uuid: None }
    }
}

impl Told {
    /// Marks what the host was told already, or that is older; and takes note of what the rest says of the device.
    pub(super) fn compare(&mut self, metrics: &mut [Metric], row: i64) {
        for metric in metrics {
            metric.historical |= self.rows.get(&metric.name).is_some_and(|told| row <= *told);
            if metric.name == STATE && !metric.historical {
                self.failed = is_failed(&metric.value);
            }
        }
    }
}

/// Whether a state is that of a device which does not work (docs/sensors.md: `ok`, or `failed: <reason>`).
fn is_failed(state: &MetricValue) -> bool {
    matches!(state, MetricValue::Text(text) if text.starts_with("failed"))
}
