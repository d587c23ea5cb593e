//! The sheet as PNG, drawn by tiny-skia: no library of the system takes part, not even for the letters.

use tiny_skia::{Color, FillRule, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, Transform};
use ttf_parser::OutlineBuilder;

use super::font::Font;
use super::scene::{Anchor, Colour, PAPER, Shape, lay_out};
use super::{Plot, Refused};

/// The plot as a PNG file of this size, pixels.
///
/// # Errors
/// What cannot be drawn.
pub fn draw(plot: &Plot, width: u32, height: u32) -> Result<Vec<u8>, Refused> {
    let font = Font::built_in()?;
    let scene = lay_out(plot, width, height, &font)?;
    let mut sheet = Pixmap::new(scene.width, scene.height)
        .ok_or_else(|| Refused::Failed("its size is not a size".to_owned()))?;
    let [red, green, blue] = PAPER;
    sheet.fill(Color::from_rgba8(red, green, blue, 255));
    for shape in &scene.shapes {
        put(&mut sheet, shape, &font);
    }
    sheet.encode_png().map_err(|error| Refused::Failed(error.to_string()))
}

fn put(sheet: &mut Pixmap, shape: &Shape, font: &Font<'_>) {
    match shape {
        Shape::Line { corners, colour, width } => {
            let Some(path) = path(corners) else { return };
            let stroke = Stroke { width: *width as f32, line_join: LineJoin::Round, ..Stroke::default() };
            sheet.stroke_path(&path, &paint(*colour), &stroke, Transform::identity(), None);
        }
        Shape::Dot { at: (x, y), radius, colour } => {
            if let Some(circle) = PathBuilder::from_circle(*x as f32, *y as f32, *radius as f32) {
                fill(sheet, &circle, *colour);
            }
        }
        Shape::Words { at: (x, y), anchor, size, colour, text } => {
            let begin = match anchor {
                Anchor::Start => *x,
                Anchor::Middle => x - font.width(text, *size) / 2.0,
                Anchor::End => x - font.width(text, *size),
            };
            let scale = font.scale(*size);
            let mut outlines = PathBuilder::new();
            for (letter, along) in font.letters(text, *size) {
                font.outline(letter, &mut Pen { path: &mut outlines, left: begin + along, base: *y, scale });
            }
            if let Some(path) = outlines.finish() {
                fill(sheet, &path, *colour);
            }
        }
    }
}

fn path(corners: &[(f64, f64)]) -> Option<Path> {
    let mut builder = PathBuilder::with_capacity(corners.len(), corners.len());
    let (first, others) = corners.split_first()?;
    builder.move_to(first.0 as f32, first.1 as f32);
    for (x, y) in others {
        builder.line_to(*x as f32, *y as f32);
    }
    builder.finish()
}

fn fill(sheet: &mut Pixmap, path: &Path, colour: Colour) {
    sheet.fill_path(path, &paint(colour), FillRule::Winding, Transform::identity(), None);
}

fn paint([red, green, blue]: Colour) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(red, green, blue, 255);
    paint
}

/// Draws one letter into a path; in the font y goes up.
struct Pen<'a> {
    path: &'a mut PathBuilder,
    left: f64,
    base: f64,
    scale: f64,
}

impl Pen<'_> {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        let (x, y) = (self.left + f64::from(x) * self.scale, self.base - f64::from(y) * self.scale);
        (x as f32, y as f32)
    }
}

impl OutlineBuilder for Pen<'_> {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}
