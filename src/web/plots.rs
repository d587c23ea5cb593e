//! One quantity over a stretch of time, as the page draws it: buckets with their smallest and largest value, so
//! that no spike is hidden, and what is known of the gaps between.

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Value as Json, json};

use super::answer::{self, Answer};
use super::pool::{Lane, Pool};
use crate::enrich::clock;
use crate::log::query::Selection;
use crate::log::series::{Ask, Bucket, Rhythm, Series};
use crate::log::{LogError, Reader};

/// The stretches that can be asked for, by the words of the page, in seconds.
pub(super) const RANGES: &[(&str, i64)] =
    &[("1h", 3_600), ("24h", 86_400), ("7d", 7 * 86_400), ("30d", 30 * 86_400)];

/// Most buckets in one answer: more than a screen has pixels to show.
const BUCKETS: usize = 1_500;

/// Buckets of a sparkline.
const SPARK: usize = 60;

/// Most texts in one answer.
const TEXTS: usize = 100;

/// Most sparklines in one answer.
pub(super) const SPARKS: usize = 40;

/// One quantity.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Sensor id.
    pub sensor: String,
    /// Quantity.
    pub quantity: String,
    /// How often readings come.
    pub rhythm: Rhythm,
}

impl Wanted {
    fn ask(&self, range: (i64, i64), buckets: usize) -> Ask {
        Ask { rhythm: self.rhythm, ..Ask::new(&self.sensor, &self.quantity, range, buckets) }
    }
}

/// The seconds that a word of the page stands for.
pub(super) fn seconds(word: &str) -> Option<i64> {
    RANGES.iter().find(|(name, _)| *name == word).map(|(_, seconds)| *seconds)
}

fn until_now(seconds: i64) -> (i64, i64) {
    let now = clock::now().wall.0;
    (now - seconds * 1_000_000, now)
}

/// A plot.
pub(super) async fn plot(pool: Arc<Pool>, wanted: Wanted, seconds: i64, buckets: usize) -> Answer {
    let range = until_now(seconds);
    let ask = wanted.ask(range, buckets.clamp(2, BUCKETS));
    // What is wrong with the question is the visitor's, what is wrong with the disk is not.
    let read = pool.read(Lane::Plot, move |reader| match reader.series(&ask) {
        Err(LogError::Query(reason)) => Ok(Err(reason)),
        other => other.map(Ok),
    });
    match read.await {
        None => super::route::log_unreadable(),
        Some(Err(reason)) => answer::text(StatusCode::NOT_FOUND, reason),
        Some(Ok(series)) => answer::json(&drawn(&series, range)),
    }
}

/// Columns, as they are smaller than rows; times in ms after `from`.
fn drawn(series: &Series, (from, to): (i64, i64)) -> Json {
    let after = |time: i64| (time - from) / 1000;
    let column = |pick: fn(&Bucket) -> f64| series.buckets.iter().map(pick).map(rounded).collect::<Vec<_>>();
    let count: u64 = series.buckets.iter().map(|bucket| bucket.count).sum();
    let sum: f64 = series.buckets.iter().map(|bucket| bucket.mean * bucket.count as f64).sum();
    json!({
        "from": from / 1000,
        "to": to / 1000,
        "unit": series.unit,
        "width": series.width / 1000,
        "count": count,
        "average": (count > 0).then(|| rounded(sum / count as f64)),
        "before": series.before.map(|(at, value)| json!({"t": at / 1000, "v": rounded(value)})),
        "first": series.buckets.iter().map(|bucket| after(bucket.first_at)).collect::<Vec<_>>(),
        "last": series.buckets.iter().map(|bucket| after(bucket.last_at)).collect::<Vec<_>>(),
        "min": column(|bucket| bucket.min),
        "mean": column(|bucket| bucket.mean),
        "max": column(|bucket| bucket.max),
        "end": column(|bucket| bucket.last),
        "gaps": series.gaps.iter()
            .map(|gap| json!([after(gap.begin), after(gap.end), gap.why.word()])).collect::<Vec<_>>(),
    })
}

/// Enough digits for any sensor, and not those that binary numbers add.
fn rounded(value: f64) -> Json {
    format!("{value:.6e}").parse::<f64>().map_or(Json::Null, |short| match short {
        whole if whole.fract() == 0.0 && whole.abs() < 1e15 => Json::from(whole as i64),
        other => Json::from(other),
    })
}

/// The last values of a quantity that is text, newest first.
pub(super) async fn texts(pool: Arc<Pool>, wanted: Wanted) -> Answer {
    let read = pool.read(Lane::Quick, move |reader| {
        let exactly = |name: &str| Some(name.to_owned());
        let selection = Selection {
            sensor: exactly(&wanted.sensor),
            quantity: exactly(&wanted.quantity),
            ..Selection::default()
        };
        reader.newest(&selection, TEXTS)
    });
    let Some(lines) = read.await else { return super::route::log_unreadable() };
    let texts = lines.iter().rev().map(|line| json!({"t": line.at.0 / 1000, "v": line.value.to_string()}));
    answer::json(&json!({"texts": texts.collect::<Vec<_>>()}))
}

/// The last hour of several quantities, in little: `{"air/temperature": [[place, min, max], …]}` with places of 0 to
/// 1. A quantity that has none is left out.
pub(super) async fn sparks(pool: Arc<Pool>, wanted: Vec<Wanted>) -> Answer {
    let range = until_now(3_600);
    let read = move |reader: &mut Reader| -> Result<Json, LogError> {
        let mut all = serde_json::Map::new();
        let asks: Vec<Ask> = wanted.iter().take(SPARKS).map(|one| one.ask(range, SPARK)).collect();
        for (ask, found) in asks.iter().zip(reader.several(&asks)?) {
            match found {
                Ok(series) => {
                    all.insert(format!("{}/{}", ask.sensor, ask.quantity), spark(&series, range));
                }
                Err(LogError::Query(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Json::Object(all))
    };
    match pool.read(Lane::Plot, read).await {
        Some(sparks) => answer::json(&sparks),
        None => super::route::log_unreadable(),
    }
}

fn spark(series: &Series, (from, to): (i64, i64)) -> Json {
    let place = |time: i64| ((time - from) as f64 / (to - from) as f64 * 1000.0).round() / 1000.0;
    let held = series.before.map(|(_, value)| json!([0, rounded(value), rounded(value)]));
    let points = series
        .buckets
        .iter()
        .map(|bucket| json!([place(bucket.first_at), rounded(bucket.min), rounded(bucket.max)]));
    let gaps = series.gaps.iter().map(|gap| json!([place(gap.begin), place(gap.end)]));
    json!({"points": held.into_iter().chain(points).collect::<Vec<_>>(), "gaps": gaps.collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [
            (21.400000000000002, "21.4"),
            (5.0, "5"),
            (-0.1, "-0.1"),
            (1013.25, "1013.25"),
            (1e300, "1e+300"),
            (0.0, "0"),
            (123456789.0, "123456800"),
        ] {
            assert_eq!(rounded(value).to_string(), expected);
        }
        assert_eq!(rounded(f64::NAN), Json::Null);
    }
}
