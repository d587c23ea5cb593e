//! The plot for a terminal: axes, lines of dots, and what they are in numbers.

use super::dots::{Canvas, LETTERS, Marks};
use super::values::Axis;
use super::{Plot, Prepared, Refused, Series, times};

/// ECMA-48 colours of the series: readable on dark and on light, neighbours told apart by the colour-blind.
const COLOURS: [u8; super::MOST_SERIES] = [36, 33, 35, 32, 31, 34];

/// Columns that a plot takes at least.
pub const NARROWEST: usize = 40;

/// Rows that a plot takes at least, words and axes included.
pub const LOWEST: usize = 8;

/// How to draw.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Columns, all in all; not less than [`NARROWEST`].
    pub width: usize,
    /// Rows, all in all; not less than [`LOWEST`].
    pub height: usize,
    /// What the lines are made of.
    pub marks: Marks,
    /// Whether colours are understood. Without them several series are drawn as letters.
    pub colour: bool,
}

/// Lines of text, each ended.
///
/// # Errors
/// What cannot be drawn.
pub fn draw(plot: &Plot, look: &Look) -> Result<String, Refused> {
    let (width, height) = (look.width.max(NARROWEST), look.height.max(LOWEST));
    let Prepared { axes, places, strokes } =
        plot.prepared(height.saturating_sub(plot.series.len() + 4) / 3)?;
    let letters = plot.series.len() > 1 && !look.colour;
    let names = plot.series.iter().map(|series| series.name.chars().count()).max().unwrap_or(0);
    let mut lines: Vec<String> = Vec::new();
    for (number, series) in plot.series.iter().enumerate() {
        let axis = &axes[places[number]];
        let label = if plot.series.len() > 1 { Some(label(number, look, letters)) } else { None };
        lines.extend(legend(series, axis, label, names, width));
    }
    // Below the lines: the axis, its times, the period; above them the units.
    let rows = height.saturating_sub(lines.len() + 4).max(3);
    let left = Side::new(axes.first(), rows);
    let right = Side::new(axes.get(1), rows);
    let columns =
        width.saturating_sub(left.width + right.width + 2 + usize::from(axes.len() > 1) * 2).max(10);
    let mut canvas = Canvas::new(look.marks, letters, columns, rows);
    for (number, strokes) in strokes.iter().enumerate() {
        for stroke in strokes {
            let axis = &axes[places[number]];
            let corners = stroke.iter().map(|(at, value)| (plot.along(*at), axis.up(*value)));
            canvas.line(number, &corners.collect::<Vec<_>>());
        }
    }
    if axes.iter().any(|axis| !axis.unit.is_empty()) {
        lines.push(units(&axes, left.width, width));
    }
    let ink = Ink::of(look.marks);
    for row in 0..rows {
        let mut line = format!("{:>1$} {2}", left.label(row), left.width, ink.left(left.is_tick(row)));
        coloured(&mut line, &canvas, row, look.colour);
        if axes.len() > 1 {
            line.push_str(&format!("{} {}", ink.right(right.is_tick(row)), right.label(row)));
        }
        lines.push(line.trim_end().to_owned());
    }
    let ticks = times::ticks(plot.since, plot.until, &plot.zone, columns / 12);
    let at = |time: i64| (plot.along(time) * (columns - 1) as f64).round() as usize;
    let places: Vec<(usize, String)> = ticks.into_iter().map(|(time, label)| (at(time), label)).collect();
    lines.push(ink.floor(left.width, columns, &places, axes.len() > 1));
    lines.push(below(left.width + 2, width, &places));
    lines.push(format!("{:1$}  {2}", "", left.width, plot.period()));
    Ok(lines.into_iter().map(|line| line.trim_end().to_owned() + "\n").collect())
}

/// What a series is known by in the plot.
fn label(number: usize, look: &Look, letters: bool) -> String {
    let letter = match look.marks {
        _ if letters => LETTERS.get(number).copied().unwrap_or('?'),
        Marks::Ascii => '-',
        Marks::Braille | Marks::Block => '━',
    };
    if look.colour {
        format!("\x1b[{}m{letter}\x1b[0m", COLOURS[number % COLOURS.len()])
    } else {
        letter.to_string()
    }
}

/// Name and numbers: on one line, or below each other where that is too long.
fn legend(series: &Series, axis: &Axis, label: Option<String>, names: usize, width: usize) -> Vec<String> {
    let figures = series.figures(axis).join("  ");
    let (before, indent) = label.map_or((String::new(), 0), |label| (format!("{label} "), 2));
    // Escapes in a name must not play with somebody's terminal.
    let name = series.name.chars().take(width - indent);
    let name: String = name.map(|letter| if letter.is_control() { '?' } else { letter }).collect();
    match indent + names + 3 + figures.chars().count() <= width {
        true => vec![format!("{before}{name:<names$}   {figures}")],
        false => vec![format!("{before}{name}"), format!("{:indent$}{figures}", "")],
    }
}

/// The units above their axes.
fn units(axes: &[Axis], left: usize, width: usize) -> String {
    let first = axes.first().map_or("", |axis| axis.unit.as_str());
    let line = format!("{first:>left$}");
    let Some(second) = axes.get(1) else { return line };
    let room = width.saturating_sub(line.chars().count());
    format!("{line}{:>room$}", second.unit)
}

/// The marks of one axis of values, by row.
struct Side {
    labels: Vec<Option<String>>,
    width: usize,
}

impl Side {
    fn new(axis: Option<&Axis>, rows: usize) -> Self {
        let mut labels = vec![None; rows];
        for (value, label) in axis.into_iter().flat_map(|axis| &axis.ticks) {
            let up = axis.map_or(0.0, |axis| axis.up(*value));
            let row = ((1.0 - up) * (rows - 1) as f64).round() as usize;
            if let Some(place) = labels.get_mut(row) {
                *place = Some(label.clone());
            }
        }
        let width = labels.iter().flatten().map(|label| label.chars().count()).max().unwrap_or(0);
        Self { labels, width }
    }

    fn label(&self, row: usize) -> &str {
        self.labels.get(row).and_then(Option::as_deref).unwrap_or("")
    }

    fn is_tick(&self, row: usize) -> bool {
        !self.label(row).is_empty()
    }
}

/// What axes are drawn with.
struct Ink {
    /// Upright, upright with a mark, the same on the right, level, level with a mark, corners.
    letters: [char; 8],
}

impl Ink {
    fn of(marks: Marks) -> Self {
        let letters = match marks {
            Marks::Ascii => ['|', '+', '|', '+', '-', '+', '+', '+'],
            Marks::Braille | Marks::Block => ['│', '┤', '│', '├', '─', '┬', '└', '┘'],
        };
        Self { letters }
    }

    fn left(&self, tick: bool) -> char {
        self.letters[usize::from(tick)]
    }

    fn right(&self, tick: bool) -> char {
        self.letters[2 + usize::from(tick)]
    }

    fn floor(&self, indent: usize, columns: usize, ticks: &[(usize, String)], closed: bool) -> String {
        let [.., level, tick, corner, other_corner] = self.letters;
        let is_tick = |column: usize| ticks.iter().any(|(place, _)| *place == column);
        let line: String = (0..columns).map(|column| if is_tick(column) { tick } else { level }).collect();
        let end = if closed { other_corner.to_string() } else { String::new() };
        format!("{:indent$} {corner}{line}{end}", "")
    }
}

fn coloured(line: &mut String, canvas: &Canvas, row: usize, colour: bool) {
    let mut current = None;
    for (letter, series) in canvas.row(row) {
        if colour && series != current {
            if current.is_some() {
                line.push_str("\x1b[0m");
            }
            if let Some(series) = series {
                line.push_str(&format!("\x1b[{}m", COLOURS[series % COLOURS.len()]));
            }
            current = series;
        }
        line.push(letter);
    }
    if current.is_some() && colour {
        line.push_str("\x1b[0m");
    }
}

/// The times below their marks, as far as they have room.
fn below(indent: usize, width: usize, ticks: &[(usize, String)]) -> String {
    let mut line = String::new();
    for (column, label) in ticks {
        let length = label.chars().count();
        let begin = (indent + column).saturating_sub(length / 2);
        let end = line.chars().count();
        if (begin > end || line.is_empty()) && begin + length <= width {
            line.push_str(&" ".repeat(begin - end));
            line.push_str(label);
        }
    }
    line
}
