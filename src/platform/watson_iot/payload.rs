//! Messages of readings: quantities as keys of `d`, beside what tells where and when they were taken.

use std::fmt;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::payload::Number;
use crate::reading::Logged;

/// Keys of `d` that are ours; a quantity of such a name gets a `_` behind it.
const OURS: [&str; 6] = ["id", "sensor", "time", "clock", "late", "units"];

/// See [`crate::platform::Write`]. `id` stands first: by that a mirror of ours recognises a repeat.
pub(super) fn write(buffer: &mut Vec<u8>, _: &str, sample: &[Logged], late: bool) {
    let Some(first) = sample.first() else { return };
    #[expect(clippy::expect_used, reason = "cannot fail: see payload::write_json")]
    serde_json::to_writer(&mut *buffer, &Message { d: D { first, sample, late } }).expect("JSON into memory");
}

#[derive(Serialize)]
struct Message<'a> {
    d: D<'a>,
}

struct D<'a> {
    first: &'a Logged,
    sample: &'a [Logged],
    late: bool,
}

impl Serialize for D<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { first, sample, late } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &format_args!("{}-{}", first.epoch, first.row))?;
        map.serialize_entry("sensor", first.channel.sensor.as_str())?;
        for reading in *sample {
            map.serialize_entry(&Key(reading), &Number(&reading.value))?;
        }
        if sample.iter().any(|reading| !reading.channel.unit.is_empty()) {
            map.serialize_entry("units", &Units(sample))?;
        }
        map.serialize_entry("time", &format_args!("{}", first.at))?;
        map.serialize_entry("clock", first.clock.as_str())?;
        if *late {
            map.serialize_entry("late", &true)?;
        }
        map.end()
    }
}

struct Key<'a>(&'a Logged);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.channel.quantity.as_str();
        f.write_str(name)?;
        // What ends with such a `_` already gets another one, so that no two become one.
        if OURS.contains(&name.trim_end_matches('_')) { f.write_str("_") } else { Ok(()) }
    }
}

impl Serialize for Key<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Quantity → unit, of those that have one.
struct Units<'a>(&'a [Logged]);

impl Serialize for Units<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let with = self.0.iter().filter(|reading| !reading.channel.unit.is_empty());
        serializer.collect_map(with.map(|reading| (Key(reading), &*reading.channel.unit)))
    }
}
