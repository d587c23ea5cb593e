//! Which column of a table, or key of an object, means what: by its name, or as the user says. Pure.

use std::collections::BTreeMap;

use super::value::{Look, look};
use super::when::Times;
use super::{Fault, Raw, Row, shown};
use crate::log::intake::Series;
use crate::reading::{Clock, Timestamp, Value};

/// What a column can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// When it was taken.
    Time,
    /// Which device.
    Device,
    /// Which sensor.
    Sensor,
    /// What was measured.
    Quantity,
    /// What came out.
    Value,
    /// In which unit.
    Unit,
    /// `synced`, `unsynced` or `corrected`.
    Clock,
}

impl Role {
    /// How such a column is usually called, our own name first.
    fn usual(self) -> &'static [&'static str] {
        match self {
            Role::Time => &["time", "timestamp", "ts", "datetime", "date", "_time"],
            Role::Device => &["device", "device_id", "node", "host"],
            Role::Sensor => &["sensor", "sensor_id"],
            Role::Quantity => &["quantity", "metric", "_measurement", "measurement", "_field", "field"],
            Role::Value => &["value", "_value", "reading"],
            Role::Unit => &["unit", "units"],
            Role::Clock => &["clock"],
        }
    }

    fn word(self) -> &'static str {
        self.usual()[0]
    }
}

/// What holds for every reading of a file that does not say it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fixed {
    /// Device id.
    pub device: Option<String>,
    /// Sensor.
    pub sensor: Option<String>,
    /// Quantity.
    pub quantity: Option<String>,
    /// Unit.
    pub unit: Option<String>,
}

/// How a file is to be understood.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// Columns that are not called as usual.
    pub columns: BTreeMap<Role, String>,
    /// What the user says, which goes before what the file says.
    pub fixed: Fixed,
    /// The device of readings that name none.
    pub device: Option<String>,
    /// Columns with values of one quantity each: column and quantity. Then there is no column of values.
    pub wide: Vec<(String, String)>,
    /// How times are read.
    pub times: Times,
    /// Numbers are written 21,5.
    pub decimal_comma: bool,
    /// What stands between the fields of a CSV file; the most frequent unless given.
    pub delimiter: Option<u8>,
    /// The first line of a CSV file has the names of its columns; else they are called 1, 2, 3 …
    pub header: bool,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            columns: BTreeMap::new(),
            fixed: Fixed::default(),
            device: None,
            wide: Vec::new(),
            times: Times { unit: None, zone: jiff::tz::TimeZone::UTC },
            decimal_comma: false,
            delimiter: None,
            header: true,
        }
    }
}

/// Where everything stands in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout<K> {
    time: K,
    device: Option<K>,
    sensor: Option<K>,
    quantity: Option<K>,
    unit: Option<K>,
    clock: Option<K>,
    /// Where values are, and of which quantity if the place says it.
    values: Vec<(K, Option<String>)>,
}

/// What stands at a place of a record.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    Nothing,
    /// A word whose type nobody says.
    Word(&'a str),
    Is(Value),
}

impl Cell<'_> {
    /// As a name; `None` when there is none.
    fn text(&self) -> Option<String> {
        match self {
            Cell::Nothing => None,
            Cell::Word(word) => Some(word.trim().to_owned()).filter(|word| !word.is_empty()),
            Cell::Is(value) => Some(value.to_string()).filter(|word| !word.is_empty()),
        }
    }
}

impl Mapping {
    /// Where everything stands, `find` being where a column of a name is.
    ///
    /// # Errors
    /// What is missing and what to do.
    pub(super) fn layout<K: Clone + PartialEq>(
        &self,
        find: impl Fn(&str) -> Option<K>,
        names: impl FnOnce() -> String,
    ) -> Result<Layout<K>, String> {
        let place = |role: Role| match self.columns.get(&role) {
            Some(name) => match find(name) {
                Some(place) => Ok(Some(place)),
                None => Err(format!("no column \"{name}\"")),
            },
            None => Ok(role.usual().iter().find_map(|name| find(name))),
        };
        let complete = || -> Result<Layout<K>, String> {
            let values = match self.wide.as_slice() {
                [] => place(Role::Value)?
                    .map(|place| vec![(place, None)])
                    .ok_or_else(|| missing(Role::Value, "--value-column NAME"))?,
                wide => wide
                    .iter()
                    .map(|(name, quantity)| {
                        let place = find(name).ok_or_else(|| format!("no column \"{name}\""))?;
                        Ok((place, Some(quantity.clone())))
                    })
                    .collect::<Result<_, String>>()?,
            };
            let layout = Layout {
                time: place(Role::Time)?.ok_or_else(|| missing(Role::Time, "--time-column NAME"))?,
                device: place(Role::Device)?,
                sensor: place(Role::Sensor)?,
                quantity: place(Role::Quantity)?,
                unit: place(Role::Unit)?,
                clock: place(Role::Clock)?,
                values,
            };
            if layout.sensor.is_none() && self.fixed.sensor.is_none() {
                return Err(missing(Role::Sensor, "--sensor-column NAME, or say --sensor ID for all"));
            }
            if layout.quantity.is_none() && self.fixed.quantity.is_none() && self.wide.is_empty() {
                return Err(missing(
                    Role::Quantity,
                    "--quantity-column NAME, or say --quantity NAME for all",
                ));
            }
            Ok(layout)
        };
        complete().map_err(|what| format!("{what}; it has: {}", names()))
    }

    /// The readings of a record. Those without a value are counted in `missing`.
    ///
    /// # Errors
    /// What is wrong with the record.
    pub(super) fn rows<'a, K>(
        &self,
        line: u64,
        layout: &Layout<K>,
        get: impl Fn(&K) -> Cell<'a>,
        rows: &mut Vec<Row>,
        missing: &mut u64,
    ) -> Result<(), Fault> {
        let wrong = |what: String| Fault::line(line, what);
        let at = self.time(get(&layout.time)).map_err(wrong)?;
        let name = |fixed: &Option<String>, place: &Option<K>| {
            fixed.clone().or_else(|| place.as_ref().and_then(|place| get(place).text()))
        };
        let fixed = &self.fixed;
        let named = |role: Role, name: Option<String>| {
            name.ok_or_else(|| wrong(format!("there is no {0}; say --{0} ID for all", role.word())))
        };
        let device = name(&fixed.device, &layout.device).or_else(|| self.device.clone());
        let device = named(Role::Device, device)?;
        let sensor = named(Role::Sensor, name(&fixed.sensor, &layout.sensor))?;
        let unit = name(&fixed.unit, &layout.unit).unwrap_or_default();
        let clock = layout.clock.as_ref().and_then(|place| get(place).text());
        let clock = clock_of(clock.as_deref()).map_err(wrong)?;
        for (place, quantity) in &layout.values {
            let Some(value) = self.value(get(place)) else {
                *missing += 1;
                continue;
            };
            let quantity = match quantity {
                Some(quantity) => quantity.clone(),
                None => named(Role::Quantity, name(&fixed.quantity, &layout.quantity))?,
            };
            let series =
                Series { device: device.clone(), sensor: sensor.clone(), quantity, unit: unit.clone() };
            rows.push(Row { line, series, at, clock, value });
        }
        Ok(())
    }

    fn time(&self, cell: Cell<'_>) -> Result<Timestamp, String> {
        match cell {
            Cell::Nothing => Err("there is no time".to_owned()),
            Cell::Word(word) => self.times.parse(word),
            Cell::Is(value) => self.times.parse(&value.to_string()),
        }
    }

    fn value(&self, cell: Cell<'_>) -> Option<Raw> {
        match cell {
            Cell::Nothing => None,
            // Between commas 21,5 has to be quoted.
            Cell::Is(Value::Text(text)) => {
                let number = self.with_point(&text);
                Some(number.map_or(Raw::Is(Value::Text(text)), Raw::Word))
            }
            Cell::Is(value) => Some(Raw::Is(value)),
            Cell::Word(word) => {
                let word = self.with_point(word).unwrap_or_else(|| word.to_owned());
                (look(&word) != Look::Missing).then_some(Raw::Word(word))
            }
        }
    }

    /// A number with a decimal comma, if such are to be read, with a point.
    fn with_point(&self, word: &str) -> Option<String> {
        let comma = self.decimal_comma && word.matches(',').count() == 1;
        comma.then(|| word.replace(',', ".")).filter(|number| matches!(look(number), Look::Float(_)))
    }
}

/// A clock's quality by its word; a file that does not say is believed.
pub(super) fn clock_of(word: Option<&str>) -> Result<Clock, String> {
    let known = [Clock::Synced, Clock::Unsynced, Clock::Corrected];
    match word {
        None => Ok(Clock::Synced),
        Some(word) => known
            .into_iter()
            .find(|clock| clock.as_str() == word)
            .ok_or_else(|| format!("clock \"{}\" is not synced, unsynced or corrected", shown(word))),
    }
}

fn missing(role: Role, flag: &str) -> String {
    format!("no column for the {}: name it with {flag}", role.word())
}

impl<K: PartialEq> Layout<K> {
    /// Whether a place means something.
    pub fn uses(&self, place: &K) -> bool {
        let named = [&self.device, &self.sensor, &self.quantity, &self.unit, &self.clock];
        self.time == *place
            || named.iter().any(|known| known.as_ref() == Some(place))
            || self.values.iter().any(|(known, _)| known == place)
    }
}
