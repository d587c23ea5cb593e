//! The renderers as a whole: one plot, three ways.

use super::text::Look;
use super::*;

const HOUR: i64 = 3_600_000_000;
const NOON: i64 = 1_795_176_000_000_000;

fn single(at: i64, value: f64) -> Point {
    let at = Timestamp(at);
    Point { begin: at, end: at, first: value, low: value, high: value, last: value }
}

/// A line that rises from 0 to 10 in ten hours and says nothing from the fourth to the seventh.
fn rising(name: &str, unit: &str) -> Series {
    let hours = [0, 1, 2, 3, 4, 7, 8, 9, 10];
    Series {
        name: name.into(),
        unit: unit.into(),
        points: hours.iter().map(|hour| single(NOON + hour * HOUR, *hour as f64)).collect(),
        gaps: vec![(Timestamp(NOON + 4 * HOUR), Timestamp(NOON + 7 * HOUR))],
        summary: Some(Summary { min: 0.0, mean: 4.888, max: 10.0, count: 9 }),
        ..Series::default()
    }
}

fn plot(series: Vec<Series>) -> Plot {
    let until = Timestamp(NOON + 10 * HOUR);
    Plot { series, since: Timestamp(NOON), until, known: until, zone: TimeZone::UTC }
}

fn look(marks: Marks, colour: bool) -> Look {
    Look { width: 60, height: 14, marks, colour }
}

#[test]
fn as_text() {
    let text = text::draw(&plot(vec![rising("air.temperature", "°C")]), &look(Marks::Ascii, false)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 14, "{text}");
    assert!(lines.iter().all(|line| line.chars().count() <= 60), "{text}");
    assert_eq!(lines[0], "air.temperature   min 0  mean 4.9  max 10 °C  1 gap");
    assert_eq!(lines[1].trim(), "°C");
    assert!(lines[2].starts_with("10 +") && lines[2].ends_with('\''), "{text}");
    assert!(lines[11].starts_with("   ++--"), "{text}");
    assert!(lines[12].contains("12:00") && lines[12].contains("18:00"), "{text}");
    assert_eq!(lines[13].trim(), "2026-11-20 12:00 to 22:00 (+00:00)");
    // From 4 to 7 of 10 hours nothing is drawn: columns 4 + 56 × 0.4 to 4 + 56 × 0.7.
    for line in &lines[2..11] {
        let gap: String = line.chars().skip(28).take(14).collect();
        assert_eq!(gap.trim(), "", "{text}");
    }
}

#[test]
fn the_period_says_how_the_clocks_stand_at_both_ends() {
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let of =
        |days: i64| Plot { since: Timestamp(NOON - days * 24 * HOUR), zone: zone.clone(), ..plot(vec![]) };
    assert_eq!(of(1).period(), "2026-11-19 13:00 to 2026-11-20 23:00 (+01:00)");
    assert_eq!(of(30).period(), "2026-10-21 14:00+02:00 to 2026-11-20 23:00+01:00");
}

#[test]
fn nothing_is_drawn_of_the_future() {
    let now = Timestamp(NOON + 10 * HOUR);
    let plot =
        Plot { until: Timestamp(NOON + 20 * HOUR), known: now, ..plot(vec![rising("air.temperature", "")]) };
    let text = text::draw(&plot, &look(Marks::Ascii, false)).unwrap();
    // The right half but for the column of now.
    for line in text.lines().skip(1).take(9) {
        let future: String = line.chars().skip(4 + 29).collect();
        assert_eq!(future.trim(), "", "{text}");
    }
}

#[test]
fn colours_only_when_asked_for_and_letters_without() {
    let two = plot(vec![rising("a.x", "°C"), Series { name: "b.y".into(), ..rising("", "%") }]);
    let coloured = text::draw(&two, &look(Marks::Braille, true)).unwrap();
    assert!(coloured.contains("\x1b[36m") && coloured.contains("\x1b[33m"), "{coloured}");
    let plain = text::draw(&two, &look(Marks::Braille, false)).unwrap();
    assert!(!plain.contains('\x1b') && plain.contains("* a.x") && plain.contains("+ b.y"), "{plain}");
    // Both axes have their unit and their marks.
    let units = plain.lines().nth(2).unwrap();
    assert!(units.trim_start().starts_with("°C") && units.ends_with('%'), "{plain}");
    assert!(plain.lines().all(|line| line.chars().count() <= 60), "{plain}");
}

#[test]
fn what_does_not_fit_into_one_plot_is_refused() {
    let three = plot(["°C", "%", "hPa"].map(|unit| rising("a", unit)).to_vec());
    let error = text::draw(&three, &look(Marks::Ascii, false)).unwrap_err();
    assert!(error.to_string().contains("°C, %, hPa"), "{error}");
    let many = plot((0..7).map(|_| rising("a", "")).collect());
    assert_eq!(svg::draw(&many, 400, 300).unwrap_err(), Refused::Series(7));
    let silent = Series { points: vec![], gaps: vec![], summary: None, ..rising("quiet", "%") };
    assert_eq!(png::draw(&plot(vec![silent.clone()]), 400, 300).unwrap_err(), Refused::Empty);
    let beside = text::draw(&plot(vec![rising("a", "°C"), silent]), &look(Marks::Ascii, false)).unwrap();
    assert!(beside.contains("quiet") && beside.contains("no readings in this time"), "{beside}");
}

#[test]
fn as_svg() {
    let name = "a<b>&\"c\".x\u{1b}";
    let svg = svg::draw(&plot(vec![rising(name, "°C")]), 640, 320).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(svg.contains(">a&lt;b&gt;&amp;&quot;c&quot;.x <"), "{svg}");
    assert!(svg.contains("width=\"640\" height=\"320\"") && !svg.contains('\u{1b}'));
    // One stroke before the gap, one after.
    assert_eq!(svg.matches("stroke-width=\"1.5\"").count(), 2);
    for word in ["°C", "16:00", "2026-11-20 12:00 to 22:00 (+00:00)", "mean 4.9"] {
        assert!(svg.contains(word), "{word}: {svg}");
    }
}

#[test]
fn as_png() {
    let png = png::draw(&plot(vec![rising("air.temperature", "°C")]), 640, 320).unwrap();
    let sheet = tiny_skia::Pixmap::decode_png(&png).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (640, 320));
    // Blue, though at an edge with some white.
    let is_line = |x: u32, y: u32| {
        let colour = sheet.pixel(x, y).unwrap();
        colour.blue() > colour.red().saturating_add(60)
    };
    // Left of the gap, in it, right of it; below the words.
    let column = |x: u32| (60..320).any(|y| is_line(x, y));
    assert!(column(150) && column(200) && !column(350) && column(500) && column(600));
    let words = (0..640).any(|x| (8..30).any(|y| sheet.pixel(x, y).unwrap().red() < 60 && x > 60));
    assert!(words, "the name is not written");
}

#[test]
fn any_size_and_any_values() {
    for value in [0.0, -0.0, 1e300, -1e300, f64::MAX, f64::MIN_POSITIVE, 5e-324] {
        let mut series = rising("a", "B");
        series.points.iter_mut().for_each(|point| (point.low, point.high) = (-value.abs(), value.abs()));
        let plot = plot(vec![series]);
        for (width, height) in [(0, 0), (200, 200), (20_000, 1)] {
            assert!(svg::draw(&plot, width, height).is_ok());
        }
        let look = Look { width: 0, height: 0, marks: Marks::Block, colour: false };
        assert!(text::draw(&plot, &look).is_ok());
    }
}
