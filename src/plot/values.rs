//! The axis of values: round numbers for its marks, and how a value is written beside them.

/// Units that may carry a prefix; before any other, and before none, stands a power of ten.
const PREFIXABLE: &[&str] = &["A", "B", "B/s", "Hz", "J", "Pa", "V", "W", "Wh", "bit/s", "lx", "m", "Ω"];

/// Beyond this the difference of two values could be infinite, and below its inverse nothing.
const LIMIT: f64 = 1e250;

/// So near to the values a mark is their end of the axis, as a part of their span.
const NEAR: f64 = 0.15;

/// What is left free above and below the values otherwise, as a part of their span.
const MARGIN: f64 = 0.04;

/// An axis of values.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Unit of what is written: with a prefix or a power of ten if the values are far from 1.
    pub unit: String,
    /// Value at the lower end.
    pub low: f64,
    /// Value at the upper end.
    pub high: f64,
    /// The marks: value and what is written.
    pub ticks: Vec<(f64, String)>,
    /// Values are divided by this before they are written.
    factor: f64,
    /// Decimals of the marks.
    decimals: usize,
}

impl Axis {
    /// An axis that holds `low` to `high`, with about `most` marks at most. Of a switch (`states`) only 0 and 1
    /// are marked.
    pub fn new(unit: &str, low: f64, high: f64, most: usize, states: bool) -> Self {
        let (low, high) = (tamed(low), tamed(high));
        if states && low >= 0.0 && high <= 1.0 {
            let ticks = vec![(0.0, "0".to_owned()), (1.0, "1".to_owned())];
            return Self { unit: unit.to_owned(), low: -0.1, high: 1.1, ticks, factor: 1.0, decimals: 0 };
        }
        let (low, high) = widened(low, high);
        let step = round_step(high - low, most.max(1));
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let (factor, unit) = scaled(unit, (first * step).abs().max((last * step).abs()));
        let decimals = (-(step / factor).log10().floor()).clamp(0.0, 12.0) as usize;
        let marks = |first: f64, last: f64| {
            let values = (0..=(last - first) as usize).map(move |place| (first + place as f64) * step);
            values.map(|value| (value, written(value / factor, decimals))).collect::<Vec<_>>()
        };
        // To the next mark if that is near, else a little way: the room is for the lines.
        let near = (high - low) * NEAR;
        let (first_on, bottom) = match low - first * step <= near {
            true => (first, first * step),
            false => (first + 1.0, low - (high - low) * MARGIN),
        };
        let (last_on, top) = match last * step - high <= near {
            true => (last, last * step),
            false => (last - 1.0, high + (high - low) * MARGIN),
        };
        if last_on - first_on < 1.0 {
            let ticks = marks(first, last);
            return Self { unit, low: first * step, high: last * step, ticks, factor, decimals };
        }
        // Nothing is less than nothing.
        let bottom = if low >= 0.0 { bottom.max(0.0) } else { bottom };
        Self { unit, low: bottom, high: top, ticks: marks(first_on, last_on), factor, decimals }
    }

    /// How far up the axis, 0 to 1.
    pub fn up(&self, value: f64) -> f64 {
        ((tamed(value) - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// A value in the unit of the axis, to one digit more than its marks.
    pub fn figure(&self, value: f64) -> String {
        let text = written(value / self.factor, self.decimals + 1);
        // A whole number that needs no decimals has none.
        match text.strip_suffix(".0") {
            Some(whole) => whole.to_owned(),
            None => text,
        }
    }
}

fn tamed(value: f64) -> f64 {
    if value.abs() < LIMIT.recip() { 0.0 } else { value.clamp(-LIMIT, LIMIT) }
}

/// `-0.0` is written as `0.0`.
fn written(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|letter| letter == '0' || letter == '.') => rest.to_owned(),
        _ => text,
    }
}

/// A constant is drawn in the middle of some room.
fn widened(low: f64, high: f64) -> (f64, f64) {
    let size = low.abs().max(high.abs());
    if high - low > size * 1e-9 {
        return (low, high);
    }
    let room = if size == 0.0 { 1.0 } else { size * 0.05 };
    (low - room, high + room)
}

/// 1, 2 or 5 times a power of ten, so that `most` of them are not less than `span`.
fn round_step(span: f64, most: usize) -> f64 {
    let least = span / most as f64;
    let power = 10f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= least * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// What values of this size are divided by, and the unit of the result.
fn scaled(unit: &str, size: f64) -> (f64, String) {
    if (1e-3..1e6).contains(&size) {
        return (1.0, unit.to_owned());
    }
    let thousands = (size.log10() / 3.0).floor() as i32;
    let factor = 1000f64.powi(thousands);
    let prefix = match thousands {
        -2 => Some("µ"),
        -1 => Some("m"),
        1 => Some("k"),
        2 => Some("M"),
        3 => Some("G"),
        4 => Some("T"),
        _ => None,
    };
    match prefix.filter(|_| PREFIXABLE.contains(&unit)) {
        Some(prefix) => (factor, format!("{prefix}{unit}")),
        None => (factor, format!("×1e{} {unit}", 3 * thousands).trim_end().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn round_numbers() {
        let table: [(f64, f64, usize, &[&str]); 6] = [
            (18.3, 22.6, 5, &["18", "19", "20", "21", "22", "23"]),
            (-0.12, 0.31, 5, &["-0.1", "0.0", "0.1", "0.2", "0.3"]),
            (0.0, 1.0, 2, &["0.0", "0.5", "1.0"]),
            (1012.95, 1013.02, 4, &["1012.94", "1012.96", "1012.98", "1013.00", "1013.02"]),
            (21.4, 21.4, 4, &["21", "22"]),
            (0.0, 0.0, 2, &["-1", "0", "1"]),
        ];
        for (low, high, most, expected) in table {
            let axis = Axis::new("°C", low, high, most, false);
            assert_eq!(labels(&axis), expected, "{low} to {high}");
            assert!(axis.low <= low && axis.high >= high, "{axis:?}");
        }
    }

    #[test]
    fn large_and_small_values_have_a_unit_that_fits() {
        let disk = Axis::new("B", 58.2e9, 64.5e9, 4, false);
        assert_eq!((disk.unit.as_str(), labels(&disk)), ("GB", vec!["58", "60", "62", "64"]));
        assert_eq!(disk.figure(64_532_262_912.0), "64.5");
        let time = Axis::new("µs", 0.0, 2e15, 2, false);
        assert_eq!((time.unit.as_str(), labels(&time)), ("×1e15 µs", vec!["0", "1", "2"]));
        let count = Axis::new("", 0.0, 4e6, 2, false);
        assert_eq!((count.unit.as_str(), labels(&count)), ("×1e6", vec!["0", "2", "4"]));
        let current = Axis::new("A", 0.0, 4e-5, 2, false);
        assert_eq!((current.unit.as_str(), labels(&current)), ("µA", vec!["0", "20", "40"]));
    }

    #[test]
    fn the_largest_values_there_are() {
        for (low, high) in [(f64::MIN, f64::MAX), (0.0, f64::MIN_POSITIVE), (-5e-324, 5e-324)] {
            let axis = Axis::new("", low, high, 5, false);
            assert!(axis.ticks.len() < 12, "{axis:?}");
            assert!(axis.ticks.iter().all(|(value, _)| value.is_finite()), "{axis:?}");
            assert!((0.0..=1.0).contains(&axis.up(high)), "{axis:?}");
        }
    }

    #[test]
    fn a_switch_is_0_or_1() {
        let axis = Axis::new("", 0.0, 0.0, 5, true);
        assert_eq!(labels(&axis), ["0", "1"]);
        assert_eq!(Axis::new("°C", 1.0, 3.0, 2, false).figure(2.0), "2");
    }
}
