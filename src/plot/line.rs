//! Points → lines to draw. Where readings are missing a line ends and another begins.

use super::Point;

/// One stroke: corners of (µs since the Unix epoch, value), at least one.
pub type Stroke = Vec<(i64, f64)>;

/// The strokes of a series. A point whose values differ is drawn from the one nearer to the line so far to the
/// other, so that a spike between two columns shows in full. With `steps` a value holds until the next.
pub fn strokes(points: &[Point], steps: bool) -> Vec<Stroke> {
    let mut strokes: Vec<Stroke> = Vec::new();
    for point in points {
        let begins = point.after_gap || strokes.is_empty();
        if begins {
            strokes.push(Vec::new());
        }
        let Some(stroke) = strokes.last_mut() else { continue };
        let at = point.at.0;
        let before = stroke.last().map(|(_, value)| *value);
        if let Some(value) = before.filter(|_| steps) {
            stroke.push((at, value));
        }
        let low_first = before.is_none_or(|value| (value - point.low).abs() <= (value - point.high).abs());
        let (near, far) = if low_first { (point.low, point.high) } else { (point.high, point.low) };
        if !(steps && before == Some(near)) {
            stroke.push((at, near));
        }
        if far != near {
            stroke.push((at, far));
        }
    }
    strokes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Timestamp;

    fn point(at: i64, low: f64, high: f64, after_gap: bool) -> Point {
        Point { at: Timestamp(at), low, high, after_gap }
    }

    #[test]
    fn a_spike_is_drawn_from_where_the_line_is() {
        let points = [point(0, 1.0, 1.0, false), point(1, 0.0, 9.0, false), point(2, 8.0, 8.0, false)];
        assert_eq!(strokes(&points, false), [vec![(0, 1.0), (1, 0.0), (1, 9.0), (2, 8.0)]]);
        let points = [point(0, 8.0, 8.0, false), point(1, 0.0, 9.0, false)];
        assert_eq!(strokes(&points, false), [vec![(0, 8.0), (1, 9.0), (1, 0.0)]]);
    }

    #[test]
    fn a_gap_ends_the_line() {
        let points = [point(0, 1.0, 1.0, true), point(1, 2.0, 2.0, false), point(5, 3.0, 3.0, true)];
        assert_eq!(strokes(&points, false), [vec![(0, 1.0), (1, 2.0)], vec![(5, 3.0)]]);
        assert_eq!(strokes(&[], false), Vec::<Stroke>::new());
    }

    #[test]
    fn a_switch_holds_its_value() {
        let points = [point(0, 0.0, 0.0, false), point(5, 1.0, 1.0, false), point(7, 1.0, 1.0, false)];
        assert_eq!(strokes(&points, true), [vec![(0, 0.0), (5, 0.0), (5, 1.0), (7, 1.0)]]);
    }
}
