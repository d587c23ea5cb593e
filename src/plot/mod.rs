//! Readings as a picture: text for a terminal, SVG, PNG. Pure: values in, text or bytes out; no files, no clock.
//!
//! It does not ask the log and does not down-sample: whoever calls hands over one point for each column of the
//! picture at most, each with the lowest and the highest value of its time, so that no spike is hidden.
//!
//! | file | its job |
//! |---|---|
//! | `choose` | which quantities are meant |
//! | `series` | what the log answers → what is drawn |
//! | `line` | points → lines that stop where readings are missing |
//! | `values`, `times` | where the marks of an axis stand and what is written there |
//! | `text`, `dots` | the plot for a terminal |
//! | `scene` | the plot as lines and words on a sheet |
//! | `svg`, `png`, `font` | the sheet as SVG or PNG |

mod choose;
mod dots;
mod font;
mod line;
pub mod png;
mod scene;
mod series;
pub mod svg;
pub mod text;
mod times;
mod values;

use std::ops::Range;

use jiff::tz::TimeZone;

use crate::reading::Timestamp;

pub use choose::choose;
pub use dots::Marks;
use line::Stroke;
use values::Axis;

/// So many lines can be told apart.
pub const MOST_SERIES: usize = 6;

/// Width and height of a picture that are taken, pixels.
pub const SIZES: Range<u32> = 200..8_001;

/// What is drawn.
#[derive(Debug, Clone)]
pub struct Plot {
    /// At least one, at most [`MOST_SERIES`].
    pub series: Vec<Series>,
    /// Left edge.
    pub since: Timestamp,
    /// Right edge.
    pub until: Timestamp,
    /// Nobody knows of anything later: now, where the right edge lies in the future.
    pub known: Timestamp,
    /// For the times at the axis.
    pub zone: TimeZone,
}

/// One line.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// `air.temperature`
    pub name: String,
    /// Unit of the values; empty for none. Two different ones get an axis each.
    pub unit: String,
    /// In the order of time, not overlapping.
    pub points: Vec<Point>,
    /// The last value before the left edge, and when.
    pub before: Option<(Timestamp, f64)>,
    /// From when to when nothing is known, in the order of time. Elsewhere a value holds until the next.
    pub gaps: Vec<(Timestamp, Timestamp)>,
    /// Of all readings, not of the points.
    pub summary: Option<Summary>,
    /// A switch: it jumps from value to value.
    pub steps: bool,
}

/// What was measured within the time of one column, or a single reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When the first value was measured.
    pub begin: Timestamp,
    /// When the last one was.
    pub end: Timestamp,
    /// The first value, in the unit of the series.
    pub first: f64,
    /// The lowest value.
    pub low: f64,
    /// The highest value.
    pub high: f64,
    /// The last value.
    pub last: f64,
}

/// All readings of a series in a few numbers, in its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// The lowest value.
    pub min: f64,
    /// Sum of the values through their number.
    pub mean: f64,
    /// The highest value.
    pub max: f64,
    /// How many.
    pub count: u64,
}

/// Why something cannot be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// An axis on the left and one on the right.
    #[error(
        "one plot has room for two units, and these are {}: {}; leave some out, or make several plots",
        .0.len(), .0.join(", ")
    )]
    Units(Vec<String>),
    /// More lines than can be told apart.
    #[error(
        "one plot has room for {MOST_SERIES} quantities, and these are {0}; leave some out, or make several plots"
    )]
    Series(usize),
    /// The log does not have it; the text says what it has.
    #[error("{0}")]
    Unknown(String),
    /// A picture.
    #[error(
        "{sensor}.{quantity} are pictures, and no numbers; write them to files with: \
         sensor-bridge export --sensor {sensor} --images FOLDER --output {sensor}.csv"
    )]
    Picture {
        /// Sensor id.
        sensor: String,
        /// Quantity.
        quantity: String,
    },
    /// A text.
    #[error(
        "{sensor}.{quantity} is text, and no number; see it with: sensor-bridge query {sensor} {quantity}"
    )]
    Text {
        /// Sensor id.
        sensor: String,
        /// Quantity.
        quantity: String,
    },
    /// Nothing to draw.
    #[error("there are no readings to draw in this time")]
    Empty,
    /// The picture could not be made.
    #[error("the picture cannot be made: {0}")]
    Failed(String),
}

/// What every renderer draws.
struct Prepared {
    /// The left one first, one or two.
    axes: Vec<Axis>,
    /// For each series the place of its axis.
    places: Vec<usize>,
    /// For each series its lines.
    strokes: Vec<Vec<Stroke>>,
}

impl Plot {
    /// Axes and strokes, ready to be placed.
    fn prepared(&self, most_ticks: usize) -> Result<Prepared, Refused> {
        if self.series.len() > MOST_SERIES {
            return Err(Refused::Series(self.series.len()));
        }
        let mut units: Vec<&str> = Vec::new();
        for series in &self.series {
            if !units.contains(&series.unit.as_str()) {
                units.push(&series.unit);
            }
        }
        if units.len() > 2 {
            let named = |unit: &&str| if unit.is_empty() { "none".to_owned() } else { (*unit).to_owned() };
            return Err(Refused::Units(units.iter().map(named).collect()));
        }
        let end = self.until.0.min(self.known.0);
        let strokes: Vec<Vec<Stroke>> =
            self.series.iter().map(|series| line::strokes(series, self.since.0, end)).collect();
        let of_unit = |unit: &str| {
            let drawn = self.series.iter().zip(&strokes);
            drawn.filter(|(series, _)| series.unit == unit).collect::<Vec<_>>()
        };
        // Of what was not measured nothing is drawn, not even an axis.
        units.retain(|unit| of_unit(unit).iter().any(|(_, strokes)| !strokes.is_empty()));
        if units.is_empty() || self.since >= self.until {
            return Err(Refused::Empty);
        }
        let axis = |unit: &&str| {
            let mine = of_unit(unit);
            let corners = mine.iter().flat_map(|(_, strokes)| *strokes).flatten();
            let (low, high) = corners.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (_, value)| {
                (low.min(*value), high.max(*value))
            });
            Axis::new(unit, low, high, most_ticks, mine.iter().all(|(series, _)| series.steps))
        };
        let axes: Vec<Axis> = units.iter().map(axis).collect();
        let place = |series: &Series| units.iter().position(|unit| *unit == series.unit).unwrap_or(0);
        Ok(Prepared { axes, places: self.series.iter().map(place).collect(), strokes })
    }

    /// What the plot shows, in words.
    fn title(&self) -> String {
        let names: Vec<&str> = self.series.iter().map(|series| series.name.as_str()).collect();
        format!("{}, {}", names.join(", "), self.period())
    }

    /// How far along the axis of time, 0 to 1.
    fn along(&self, at: i64) -> f64 {
        (at - self.since.0) as f64 / (self.until.0 - self.since.0) as f64
    }

    /// Which time the plot shows, in words.
    fn period(&self) -> String {
        let zoned = |time: Timestamp| {
            jiff::Timestamp::from_microsecond(time.0).unwrap_or_default().to_zoned(self.zone.clone())
        };
        let (since, until) = (zoned(self.since), zoned(self.until));
        let seconds = if self.until.0 - self.since.0 < 600_000_000 { ":%S" } else { "" };
        let whole = format!("%Y-%m-%d %H:%M{seconds}");
        // Summer time begins or ends in between: each end has its own.
        if since.offset() != until.offset() {
            let whole = format!("{whole}%:z");
            return format!("{} to {}", since.strftime(&whole), until.strftime(&whole));
        }
        let end = if since.date() == until.date() { format!("%H:%M{seconds}") } else { whole.clone() };
        format!("{} to {} ({})", since.strftime(&whole), until.strftime(&end), until.strftime("%:z"))
    }
}

impl Series {
    /// `min 18.3`, `mean 20.1`, `max 22.6 °C`, to one digit more than the axis shows; and what is missing.
    fn figures(&self, axis: &Axis) -> Vec<String> {
        let Some(summary) = self.summary else { return vec!["no readings in this time".to_owned()] };
        let max = format!("max {} {}", axis.figure(summary.max), axis.unit);
        let mut figures = vec![
            format!("min {}", axis.figure(summary.min)),
            format!("mean {}", axis.figure(summary.mean)),
            max.trim_end().to_owned(),
        ];
        match self.gaps.len() {
            0 => {}
            1 => figures.push("1 gap".to_owned()),
            gaps => figures.push(format!("{gaps} gaps")),
        }
        figures
    }
}

#[cfg(test)]
mod tests;
