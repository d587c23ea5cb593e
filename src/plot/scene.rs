//! The plot laid out on a sheet: lines, words and their places, in pixels from the top left corner. How they
//! become SVG or PNG is not known here.

use super::font::Font;
use super::values::Axis;
use super::{Plot, Prepared, Refused, SIZES, times};

/// Red, green, blue.
pub type Colour = [u8; 3];

/// Okabe and Ito's palette, which the colour-blind tell apart, without its yellow.
const COLOURS: [Colour; super::MOST_SERIES] =
    [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [148, 103, 20], [86, 180, 233]];
/// The sheet.
pub const PAPER: Colour = [255, 255, 255];
const INK: Colour = [34, 34, 34];
const GREY: Colour = [96, 96, 96];
const GRID: Colour = [228, 228, 228];
const FRAME: Colour = [140, 140, 140];

/// Height of letters, pixels.
const LETTERS: f64 = 13.0;
const SMALL: f64 = 12.0;
/// Between lines of words.
const LEADING: f64 = 21.0;
const MARGIN: f64 = 14.0;
/// Between words and what they belong to.
const APART: f64 = 7.0;

/// Which point of a word its place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Its left end.
    Start,
    /// Its middle.
    Middle,
    /// Its right end.
    End,
}

/// Something drawn.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Corners joined by straight lines.
    Line {
        /// At least two.
        corners: Vec<(f64, f64)>,
        /// Of the line.
        colour: Colour,
        /// Pixels.
        width: f64,
    },
    /// A filled circle.
    Dot {
        /// Its middle.
        at: (f64, f64),
        /// Pixels.
        radius: f64,
        /// Inside.
        colour: Colour,
    },
    /// A line of words.
    Words {
        /// On the base line.
        at: (f64, f64),
        /// Which end of the words that is.
        anchor: Anchor,
        /// Height of the letters, pixels.
        size: f64,
        /// Of the letters.
        colour: Colour,
        /// What is written.
        text: String,
    },
}

/// Everything drawn, in the order in which it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// From the back to the front.
    pub shapes: Vec<Shape>,
}

/// The part of the sheet that the lines are in.
#[derive(Debug, Clone, Copy)]
struct Field {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Field {
    fn at(&self, along: f64, up: f64) -> (f64, f64) {
        (self.left + along * (self.right - self.left), self.bottom - up * (self.bottom - self.top))
    }
}

/// Lays a plot out on a sheet of this size, which is brought into [`SIZES`].
///
/// # Errors
/// What cannot be drawn.
pub fn lay_out(plot: &Plot, width: u32, height: u32, font: &Font<'_>) -> Result<Scene, Refused> {
    let (width, height) = (width.clamp(SIZES.start, SIZES.end - 1), height.clamp(SIZES.start, SIZES.end - 1));
    let top = MARGIN + LEADING * (plot.series.len() + 1) as f64 + 4.0;
    let bottom = f64::from(height) - MARGIN - 2.0 * LEADING;
    let Prepared { axes, places, strokes } =
        plot.prepared((((bottom - top) / 45.0) as usize).clamp(2, 12))?;
    let room = |axis: Option<&Axis>| {
        let labels = axis.into_iter().flat_map(|axis| &axis.ticks);
        labels.map(|(_, label)| font.width(label, SMALL)).fold(0.0, f64::max) + APART
    };
    let left = MARGIN + room(axes.first());
    let right = f64::from(width) - MARGIN - if axes.len() > 1 { room(axes.get(1)) } else { 10.0 };
    let field = Field { left, top, right: right.max(left + 20.0), bottom: bottom.max(top + 20.0) };

    let mut scene = Scene { width, height, shapes: Vec::new() };
    scene.axis_of_time(plot, &field);
    for (number, axis) in axes.iter().enumerate() {
        let mut of_axis = (0..places.len()).filter(|series| places[*series] == number);
        // An axis that belongs to one line is of its colour.
        let colour = match (of_axis.next(), of_axis.next()) {
            (Some(only), None) if axes.len() > 1 => COLOURS[only % COLOURS.len()],
            _ => GREY,
        };
        scene.axis_of_values(axis, &field, number == 0, colour);
    }
    for (number, series) in plot.series.iter().enumerate() {
        let axis = &axes[places[number]];
        scene.legend(number, &series.name, &series.figures(axis).join("   "), font);
        for stroke in &strokes[number] {
            let corners = stroke.iter().map(|(at, value)| field.at(plot.along(*at), axis.up(*value)));
            scene.stroke(corners.collect(), COLOURS[number % COLOURS.len()]);
        }
    }
    Ok(scene)
}

impl Scene {
    fn words(&mut self, at: (f64, f64), anchor: Anchor, size: f64, colour: Colour, text: impl Into<String>) {
        self.shapes.push(Shape::Words { at, anchor, size, colour, text: text.into() });
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: Colour) {
        // On the middle of a pixel a line of one pixel is sharp.
        let sharp = |(x, y): (f64, f64)| (x.floor() + 0.5, y.floor() + 0.5);
        self.shapes.push(Shape::Line { corners: vec![sharp(from), sharp(to)], colour, width: 1.0 });
    }

    fn axis_of_time(&mut self, plot: &Plot, field: &Field) {
        let most = ((field.right - field.left) / 85.0) as usize;
        for (at, label) in times::ticks(plot.since, plot.until, &plot.zone, most.clamp(2, 20)) {
            let (x, _) = field.at(plot.along(at), 0.0);
            self.line((x, field.top), (x, field.bottom + 4.0), GRID);
            self.words((x, field.bottom + APART + SMALL), Anchor::Middle, SMALL, GREY, label);
        }
        let period = (field.left, f64::from(self.height) - MARGIN);
        self.words(period, Anchor::Start, SMALL, GREY, plot.period());
    }

    fn axis_of_values(&mut self, axis: &Axis, field: &Field, left: bool, colour: Colour) {
        let (edge, beside, anchor) = match left {
            true => (field.left, field.left - APART, Anchor::End),
            false => (field.right, field.right + APART, Anchor::Start),
        };
        for (value, label) in &axis.ticks {
            let (_, y) = field.at(0.0, axis.up(*value));
            // The marks of the second axis do not fall on the lines of the first.
            match left {
                true => self.line((field.left, y), (field.right, y), GRID),
                false => self.line((edge - 4.0, y), (edge, y), FRAME),
            }
            self.words((beside, y + SMALL * 0.36), anchor, SMALL, colour, label);
        }
        self.line((edge, field.top), (edge, field.bottom), FRAME);
        if left {
            self.line((field.left, field.bottom), (field.right, field.bottom), FRAME);
        }
        let (at, anchor) =
            if left { (MARGIN, Anchor::Start) } else { (f64::from(self.width) - MARGIN, Anchor::End) };
        self.words((at, field.top - APART - 2.0), anchor, SMALL, colour, axis.unit.clone());
    }

    fn legend(&mut self, number: usize, name: &str, figures: &str, font: &Font<'_>) {
        let (x, y) = (MARGIN, MARGIN + LEADING * number as f64 + LETTERS * 0.8);
        let corners = vec![(x, y - LETTERS * 0.36), (x + 18.0, y - LETTERS * 0.36)];
        self.shapes.push(Shape::Line { corners, colour: COLOURS[number % COLOURS.len()], width: 3.0 });
        let begin = x + 18.0 + APART;
        self.words((begin, y), Anchor::Start, LETTERS, INK, name);
        let figures_at = begin + font.width(name, LETTERS) + 2.0 * APART;
        self.words((figures_at, y), Anchor::Start, SMALL, GREY, figures);
    }

    fn stroke(&mut self, corners: Vec<(f64, f64)>, colour: Colour) {
        match corners.as_slice() {
            [at] => self.shapes.push(Shape::Dot { at: *at, radius: 2.0, colour }),
            _ => self.shapes.push(Shape::Line { corners, colour, width: 1.5 }),
        }
    }
}
