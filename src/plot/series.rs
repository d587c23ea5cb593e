//! What the log answers for a quantity → what is drawn.

use super::{Point, Series, Summary};
use crate::log::series as log;
use crate::reading::{Timestamp, ValueKind};

impl Series {
    /// The line of a quantity under this name.
    pub fn of(name: impl Into<String>, found: &log::Series) -> Self {
        let points = found.buckets.iter().map(|bucket| Point {
            begin: Timestamp(bucket.first_at),
            end: Timestamp(bucket.last_at),
            first: bucket.first,
            low: bucket.min,
            high: bucket.max,
            last: bucket.last,
        });
        Self {
            name: name.into(),
            unit: found.unit.clone(),
            points: points.collect(),
            before: found.before.map(|(at, value)| (Timestamp(at), value)),
            gaps: found.gaps.iter().map(|gap| (Timestamp(gap.begin), Timestamp(gap.end))).collect(),
            summary: summary(&found.buckets),
            steps: found.kind == ValueKind::Bool,
        }
    }
}

fn summary(buckets: &[log::Bucket]) -> Option<Summary> {
    let first = buckets.first()?;
    let begin = Summary { min: first.min, mean: 0.0, max: first.max, count: 0 };
    Some(buckets.iter().fold(begin, |sum, bucket| {
        let count = sum.count + bucket.count;
        Summary {
            min: sum.min.min(bucket.min),
            // Weighted step by step: a sum of many large values would lose their digits.
            mean: sum.mean + (bucket.mean - sum.mean) * (bucket.count as f64 / count as f64),
            max: sum.max.max(bucket.max),
            count,
        }
    }))
}
