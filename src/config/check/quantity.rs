//! `quantities` of a sensor: unit, calibration, filter, and their own topics.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::model::{Calibration, Change, Filter, Quantity};
use super::super::problem::{KeyPath, Report, did_you_mean_or_list, quoted};
use super::super::raw::{self, NumberOrText};
use super::super::units::convert;
use super::mqtt::{Publishing, qos};
use super::sensor::{Delivery, House, Subject, picture};
use super::{DAY, duration};
use crate::reading::{SensorId, Shape, ValueKind};
use crate::sensor::{Driver, QuantityInfo};

/// The sensor whose quantities are checked.
pub(super) struct Of<'a> {
    pub(super) id: &'a SensorId,
    pub(super) interval: Duration,
    pub(super) delivery: Option<&'a Delivery>,
    pub(super) publishing: Option<&'a Publishing>,
}

/// Checks what is said of a sensor's quantities; those not named get the defaults.
pub(super) fn check(
    mut raw: BTreeMap<String, raw::Quantity>,
    driver: &dyn Driver,
    of: Of<'_>,
    house: &mut House<'_>,
    path: &KeyPath,
    report: &mut Report,
) -> Vec<Quantity> {
    let infos = driver.quantities();
    let mut wanted = Vec::new();
    for (index, info) in infos.iter().enumerate() {
        let path = path.key(info.name.as_str());
        let raw = raw.remove(info.name.as_str()).unwrap_or_default();
        if raw.enabled == Some(false) {
            continue;
        }
        wanted.push(quantity(raw, index, info, &of, house, &path, report));
    }
    // What is left is no quantity of this driver.
    let known: Vec<&str> = infos.iter().map(|info| info.name.as_str()).collect();
    for name in raw.keys() {
        let message = format!("the driver {} has no quantity {}", driver.name(), quoted(name));
        report.suggest(&path.key(name), message, did_you_mean_or_list(name, &known));
    }
    if wanted.is_empty() && raw.is_empty() {
        let hint = "to switch the sensor off, write `enabled: false` beside its id".to_owned();
        report.suggest(path, "every quantity is switched off", Some(hint));
    }
    wanted
}

fn quantity(
    raw: raw::Quantity,
    index: usize,
    info: &QuantityInfo,
    of: &Of<'_>,
    house: &mut House<'_>,
    path: &KeyPath,
    report: &mut Report,
) -> Quantity {
    refuse_numeric_keys(&raw, info.kind, path, report);
    let (calibration, unit) = calibration(&raw, info, path, report);
    let filter = filter(&raw, info.kind, of.interval, path, report);
    let delivery = delivery(&raw, info.kind, of, path, report);
    let identity = Calibration { round: None, ..calibration.clone() } == Calibration::default();
    let kind = match info.kind {
        // A count that is scaled is a count no more.
        ValueKind::Integer if !identity => ValueKind::Float,
        kind => kind,
    };
    let subject = Subject { sensor: of.id, quantity: info.name.clone(), unit, kind };
    let channel = house.channel(subject, delivery.as_ref(), path, report);
    Quantity { index, info: info.clone(), calibration, filter, channel }
}

/// What only makes sense for numbers.
fn refuse_numeric_keys(raw: &raw::Quantity, kind: ValueKind, path: &KeyPath, report: &mut Report) {
    let values = match kind {
        ValueKind::Float | ValueKind::Integer => return,
        ValueKind::Bool => "on or off",
        ValueKind::Text => "text",
        ValueKind::Image => "pictures",
    };
    let given = [
        ("unit", raw.unit.is_some()),
        ("scale", raw.scale.is_some()),
        ("offset", raw.offset.is_some()),
        ("polynomial", raw.polynomial.is_some()),
        ("round", raw.round.is_some()),
        ("valid", raw.valid.is_some()),
    ];
    for (key, _) in given.iter().filter(|(_, is_given)| *is_given) {
        report.suggest(
            &path.key(key),
            format!("the values are {values}, not numbers"),
            Some("leave it out".into()),
        );
    }
}

/// The calibration and the unit that results.
fn calibration(
    raw: &raw::Quantity,
    info: &QuantityInfo,
    path: &KeyPath,
    report: &mut Report,
) -> (Calibration, String) {
    let mut calibration = Calibration { round: raw.round, ..Calibration::default() };
    let mut unit = info.unit.to_owned();
    let numeric = matches!(info.kind, ValueKind::Float | ValueKind::Integer);
    if let Some(wanted) = raw.unit.as_deref().filter(|_| numeric) {
        match convert(info.unit, wanted) {
            Ok(conversion) => {
                (calibration.factor, calibration.shift) = (conversion.factor, conversion.shift);
                unit = conversion.unit;
            }
            Err(error) => report.suggest(&path.key("unit"), error.message, error.suggestion),
        }
    }
    if raw.scale == Some(0.0) {
        report.problem(&path.key("scale"), "must not be 0: every value would be the same");
    }
    if let Some(coefficients) = &raw.polynomial {
        for key in ["scale", "offset"] {
            let given = if key == "scale" { raw.scale } else { raw.offset };
            if given.is_some() {
                let hint = "the first two coefficients are offset and scale".to_owned();
                report.suggest(&path.key(key), "cannot stand beside `polynomial`", Some(hint));
            }
        }
        if coefficients.iter().skip(1).all(|c| *c == 0.0) {
            report.problem(&path.key("polynomial"), "is constant: every value would be the same");
        }
        calibration.polynomial.clone_from(coefficients);
    } else {
        calibration.polynomial = vec![raw.offset.unwrap_or(0.0), raw.scale.unwrap_or(1.0)];
    }
    (calibration, unit)
}

fn filter(
    raw: &raw::Quantity,
    kind: ValueKind,
    interval: Duration,
    path: &KeyPath,
    report: &mut Report,
) -> Filter {
    let least = Duration::from_millis(10);
    let heartbeat = duration(raw.heartbeat.as_ref(), least, 366 * DAY, &path.key("heartbeat"), report);
    let min_interval =
        duration(raw.min_interval.as_ref(), least, 366 * DAY, &path.key("min_interval"), report);
    let change = change(raw.change.as_ref(), kind, &path.key("change"), report);
    if heartbeat.is_some_and(|heartbeat| heartbeat < interval) {
        report.warn(&path.key("heartbeat"), "is shorter than the sensor's interval: every sample is sent");
    }
    if let (Some(heartbeat), Some(min_interval)) = (heartbeat, min_interval)
        && heartbeat < min_interval
    {
        report.problem(&path.key("heartbeat"), "is shorter than `min_interval`, so it could never be kept");
    }
    let valid = match raw.valid.as_deref() {
        Some([low, high]) if low < high => Some((*low, *high)),
        Some([low, high]) => {
            let message = format!("the smaller value stands first: [{low}, {high}] allows nothing");
            let hint = (low > high).then(|| format!("write [{high}, {low}]"));
            report.suggest(&path.key("valid"), message, hint);
            None
        }
        _ => None,
    };
    Filter { change, heartbeat, min_interval, valid }
}

fn change(given: Option<&NumberOrText>, kind: ValueKind, path: &KeyPath, report: &mut Report) -> Change {
    let Some(given) = given else { return Change::Any };
    let parsed = match given {
        NumberOrText::Number(number) => Some(Change::Absolute(*number)),
        NumberOrText::Text(text) => match Change::read(text) {
            Some(easy @ (Change::Any | Change::Always)) => return easy,
            parsed => parsed,
        },
    };
    let size = match parsed {
        Some(Change::Absolute(size) | Change::Relative(size)) if size.is_finite() => size,
        _ => {
            let wrong = match given {
                NumberOrText::Text(text) => quoted(text),
                NumberOrText::Number(number) => number.to_string(),
            };
            let hint = "write any, always, a number such as 0.1 or a percentage such as 1%".to_owned();
            report.suggest(path, format!("{wrong} is no size of change"), Some(hint));
            return Change::Any;
        }
    };
    if kind == ValueKind::Image && matches!(parsed, Some(Change::Absolute(_))) {
        let hint = "write any, always, or a percentage of full contrast such as 2%".to_owned();
        report.suggest(path, "the values are pictures", Some(hint));
    } else if kind == ValueKind::Image && size > 1.0 {
        report.problem(path, "must be at most 100%: white after black");
    } else if matches!(kind, ValueKind::Bool | ValueKind::Text) {
        report.suggest(path, "the values are no numbers", Some("write any or always".into()));
    } else if size <= 0.0 {
        let hint = "for every sample write always, for every change any".to_owned();
        report.suggest(path, "must be greater than 0", Some(hint));
    } else if matches!(parsed, Some(Change::Relative(fraction)) if fraction > 10.0) {
        report.problem(path, "must be at most 1000%");
    }
    parsed.unwrap_or_default()
}

/// How this quantity is published: its own keys, and for the rest the sensor's.
fn delivery(
    raw: &raw::Quantity,
    kind: ValueKind,
    of: &Of<'_>,
    path: &KeyPath,
    report: &mut Report,
) -> Option<Delivery> {
    if raw.format.is_some() && kind != ValueKind::Image {
        let hint = "leave it out: only pictures have a choice".to_owned();
        report.suggest(&path.key("format"), "the values are no pictures", Some(hint));
    }
    let sensor = of.delivery?;
    if let Some(platform) = of.publishing.and_then(|common| common.no_pictures)
        && kind == ValueKind::Image
    {
        report.warn(path, format!("{platform} has no place for pictures: they stay in the log"));
        return None;
    }
    let topic_path = path.key("topic");
    let own = raw.topic.as_deref().and_then(|text| of.publishing?.own_topic(text, &topic_path, report));
    let mut delivery = sensor.clone();
    if let Some(topic) = own {
        // A topic of its own is a message of its own.
        delivery = Delivery { topic, topic_path, shape: Shape::Quantity, ..delivery };
    } else if sensor.shape == Shape::Sample && raw.topic.is_none() && kind != ValueKind::Image {
        let given =
            [("qos", raw.qos.is_some()), ("retain", raw.retain.is_some()), ("buffer", raw.buffer.is_some())];
        for (key, _) in given.iter().filter(|(_, is_given)| *is_given) {
            let message = "the sensor's quantities travel in one message, which has one setting";
            let hint = "set it for the sensor, or give the quantity a `topic` of its own".to_owned();
            report.suggest(&path.key(key), message, Some(hint));
        }
        return Some(delivery);
    }
    delivery.qos = qos(raw.qos).unwrap_or(delivery.qos);
    delivery.retain = raw.retain.unwrap_or(delivery.retain);
    delivery.buffer = raw.buffer.unwrap_or(delivery.buffer);
    if kind == ValueKind::Image {
        delivery.shape = raw.format.map_or(delivery.picture, picture);
        if let Some(topic) = of.publishing.and_then(|common| common.picture_topic.as_ref()) {
            delivery.topic = topic.clone();
        }
    }
    Some(delivery)
}
