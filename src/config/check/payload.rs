//! `payload` of a mirror: messages of another program, and where their readings go.

use std::collections::BTreeMap;

use jiff::tz::{Offset, TimeZone};

use super::super::model::{CsvColumn, Payload, PayloadKind, Sink, Table, ToldColumn};
use super::super::problem::{KeyPath, Report, quoted};
use super::super::raw;
use super::columns::table_name;
use super::mirror::no_file;

/// How its messages are read, if they are.
pub(super) fn check(raw: &raw::Mirror, path: &KeyPath, report: &mut Report) -> Option<Payload> {
    let kind = raw.payload.map(|kind| match kind {
        raw::PayloadKind::ChirpStack => PayloadKind::ChirpStack,
        raw::PayloadKind::Tasmota => PayloadKind::Tasmota,
        raw::PayloadKind::Zigbee2Mqtt => PayloadKind::Zigbee2Mqtt,
    });
    let zone_path = path.key("time_zone");
    if raw.time_zone.is_some() && kind != Some(PayloadKind::Tasmota) {
        report.problem(&zone_path, "goes with `payload: tasmota`, whose times are local");
    }
    let kind = kind?;
    if raw.columns.is_some() {
        let hint = "leave it out".to_owned();
        report.suggest(&path.key("columns"), "cannot be chosen beside `payload`", Some(hint));
    }
    let zone = raw.time_zone.as_deref().and_then(|name| {
        let zone = time_zone(name);
        if zone.is_none() {
            let hint = "write for example Europe/Berlin or +01:00".to_owned();
            report.suggest(&zone_path, format!("unknown time zone {}", quoted(name)), Some(hint));
        }
        zone
    });
    Some(Payload { kind, zone })
}

fn time_zone(name: &str) -> Option<TimeZone> {
    if let Some(offset) = offset(name) {
        return Some(TimeZone::fixed(offset));
    }
    TimeZone::get(name).ok()
}

/// `+01:00`, `-3:30`, `Z`.
fn offset(text: &str) -> Option<Offset> {
    if text == "Z" {
        return Some(Offset::UTC);
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
    let part = |text: &str, most: i32| text.parse().ok().filter(|number: &i32| (0..=most).contains(number));
    let seconds = part(hours, 23)? * 3_600 + part(minutes, 59)? * 60;
    Offset::from_seconds(sign * seconds).ok()
}

/// The table of readings: named as the program unless it has a name.
pub(super) fn table(raw: raw::Mirror, payload: &Payload, path: &KeyPath, report: &mut Report) -> Sink {
    no_file(&raw, path, report);
    let name = raw.table.unwrap_or_else(|| payload.kind.name().to_owned());
    table_name(&name, &path.key("table"), report);
    Sink::Sqlite { table: Some(Table { name, columns: BTreeMap::new() }) }
}

/// The columns of a CSV file of readings.
pub(super) fn columns() -> Vec<CsvColumn> {
    use ToldColumn::{Device, Quantity, Sensor, Taken, Unit, Unread, Value};
    let told = [Device, Sensor, Quantity, Value, Unit, Taken].map(CsvColumn::Told);
    let mut columns = vec![CsvColumn::Time, CsvColumn::Topic];
    columns.extend(told);
    columns.extend([CsvColumn::Id, CsvColumn::Told(Unread)]);
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_from_utc() {
        for (text, seconds) in [
            ("Z", Some(0)),
            ("+01:00", Some(3_600)),
            ("-03:30", Some(-12_600)),
            ("+2", Some(7_200)),
            ("01:00", None),
            ("+24:00", None),
            ("+1:60", None),
            ("+x", None),
            ("+-1", None),
            ("", None),
        ] {
            assert_eq!(offset(text).map(Offset::seconds), seconds, "{text}");
        }
    }
}
