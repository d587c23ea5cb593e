//! Points → lines to draw. Where nothing is known a line ends, and another begins.

use super::{Point, Series};

/// One stroke: corners of (µs since the Unix epoch, value), at least one.
pub type Stroke = Vec<(i64, f64)>;

/// The strokes of a series between two edges (µs). A value holds until the next, or until a gap. Within a point
/// the line goes on to the nearer of its lowest and highest value first, so that a spike shows in full.
pub fn strokes(series: &Series, since: i64, until: i64) -> Vec<Stroke> {
    let mut pen = Pen { series, strokes: Vec::new(), lifted: true };
    if let Some(value) = at_edge(series, since) {
        pen.to(since, value);
    }
    for point in &series.points {
        pen.reach(point.begin.0);
        pen.to(point.begin.0, point.first);
        let (near, far) = match (point.first - point.low).abs() <= (point.first - point.high).abs() {
            true => (point.low, point.high),
            false => (point.high, point.low),
        };
        let middle = point.begin.0 + (point.end.0 - point.begin.0) / 2;
        pen.to(middle, near);
        pen.to(middle, far);
        pen.to(point.end.0, point.last);
    }
    // Nothing has been said since: the last value still holds.
    if let Some((_, value)) = pen.last() {
        pen.reach(until);
        if !pen.lifted {
            pen.to(until, value);
        }
    }
    pen.strokes
}

/// The value at the left edge, between the last reading before it and the first one after.
fn at_edge(series: &Series, since: i64) -> Option<f64> {
    let (at, value) = series.before?;
    if series.gaps.first().is_some_and(|(begin, _)| begin.0 <= since) {
        return None;
    }
    match series.points.first() {
        Some(Point { begin, first, .. }) if !series.steps && begin.0 > at.0 => {
            let part = (since - at.0) as f64 / (begin.0 - at.0) as f64;
            Some(value + (first - value) * part)
        }
        _ => Some(value),
    }
}

struct Pen<'a> {
    series: &'a Series,
    strokes: Vec<Stroke>,
    /// The next corner begins a stroke.
    lifted: bool,
}

impl Pen<'_> {
    fn last(&self) -> Option<(i64, f64)> {
        self.strokes.last()?.last().copied()
    }

    /// On the way to this time: is there a gap?
    fn reach(&mut self, time: i64) {
        let Some((from, value)) = self.last().filter(|_| !self.lifted) else { return };
        let gap = self.series.gaps.iter().find(|(begin, end)| begin.0 < time && end.0 > from);
        if let Some((begin, _)) = gap {
            if begin.0 > from {
                self.to(begin.0, value);
            }
            self.lifted = true;
        }
    }

    fn to(&mut self, time: i64, value: f64) {
        if self.lifted {
            self.strokes.push(vec![(time, value)]);
            self.lifted = false;
            return;
        }
        let steps = self.series.steps;
        let Some(stroke) = self.strokes.last_mut() else { return };
        match stroke.last().copied() {
            Some(last) if last == (time, value) => {}
            Some((before, held)) if steps && before < time && held != value => {
                stroke.extend([(time, held), (time, value)]);
            }
            _ => stroke.push((time, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Timestamp;

    fn single(at: i64, value: f64) -> Point {
        let (begin, end) = (Timestamp(at), Timestamp(at));
        Point { begin, end, first: value, low: value, high: value, last: value }
    }

    fn many(begin: i64, end: i64, [first, low, high, last]: [f64; 4]) -> Point {
        Point { begin: Timestamp(begin), end: Timestamp(end), first, low, high, last }
    }

    fn of(points: &[Point]) -> Series {
        Series { points: points.to_vec(), ..Series::default() }
    }

    #[test]
    fn a_spike_is_drawn_in_full_and_the_line_goes_on_from_the_last_value() {
        let series = of(&[single(0, 1.0), many(10, 20, [1.0, 0.0, 9.0, 2.0]), single(30, 3.0)]);
        let corners = vec![(0, 1.0), (10, 1.0), (15, 0.0), (15, 9.0), (20, 2.0), (30, 3.0)];
        assert_eq!(strokes(&series, 0, 30), [corners]);
        let series = of(&[many(10, 20, [8.0, 0.0, 9.0, 2.0])]);
        assert_eq!(strokes(&series, 0, 20), [vec![(10, 8.0), (15, 9.0), (15, 0.0), (20, 2.0)]]);
    }

    #[test]
    fn a_gap_ends_the_line_where_it_begins() {
        let mut series = of(&[single(10, 1.0), single(20, 2.0), single(50, 3.0), single(60, 4.0)]);
        series.gaps = vec![(Timestamp(25), Timestamp(50)), (Timestamp(60), Timestamp(90))];
        let expected = [vec![(10, 1.0), (20, 2.0), (25, 2.0)], vec![(50, 3.0), (60, 4.0)]];
        assert_eq!(strokes(&series, 0, 90), expected);
        assert_eq!(strokes(&of(&[]), 0, 90), Vec::<Stroke>::new());
    }

    #[test]
    fn a_value_from_before_the_edge_holds_unless_there_is_a_gap() {
        let mut series = Series { before: Some((Timestamp(-10), 1.0)), ..of(&[]) };
        assert_eq!(strokes(&series, 0, 90), [vec![(0, 1.0), (90, 1.0)]]);
        series.points.push(single(10, 3.0));
        assert_eq!(strokes(&series, 0, 20), [vec![(0, 2.0), (10, 3.0), (20, 3.0)]]);
        series.gaps.push((Timestamp(0), Timestamp(10)));
        assert_eq!(strokes(&series, 0, 20), [vec![(10, 3.0), (20, 3.0)]]);
    }

    #[test]
    fn a_switch_jumps() {
        let mut series = of(&[single(0, 0.0), single(5, 1.0), single(7, 1.0)]);
        series.steps = true;
        series.before = Some((Timestamp(-10), 1.0));
        let corners = vec![(-1, 1.0), (0, 1.0), (0, 0.0), (5, 0.0), (5, 1.0), (7, 1.0), (9, 1.0)];
        assert_eq!(strokes(&series, -1, 9), [corners]);
    }
}
