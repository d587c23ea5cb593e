//! The sheet as SVG 1.1: a drawing that stays sharp, and whose words are words.

use std::fmt::Write as _;

use super::font::Font;
use super::scene::{Anchor, Colour, PAPER, Scene, Shape, lay_out};
use super::{Plot, Refused};

/// The plot as an SVG file of this size, pixels.
///
/// # Errors
/// What cannot be drawn.
pub fn draw(plot: &Plot, width: u32, height: u32) -> Result<String, Refused> {
    let font = Font::built_in()?;
    Ok(written(&lay_out(plot, width, height, &font)?, &plot.title()))
}

fn written(scene: &Scene, title: &str) -> String {
    let Scene { width, height, shapes } = scene;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" font-family=\"'DejaVu Sans', Verdana, sans-serif\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"{}\"/>\n",
        escaped(title),
        colour(PAPER)
    );
    for shape in shapes {
        // Writing to a text does not fail.
        element(&mut svg, shape).ok();
    }
    svg.push_str("</svg>\n");
    svg
}

fn element(svg: &mut String, shape: &Shape) -> std::fmt::Result {
    match shape {
        Shape::Line { corners, colour: of, width } => {
            write!(
                svg,
                "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" stroke-linejoin=\"round\" points=\"",
                colour(*of)
            )?;
            for (place, (x, y)) in corners.iter().enumerate() {
                write!(svg, "{}{} {}", if place == 0 { "" } else { "," }, short(*x), short(*y))?;
            }
            writeln!(svg, "\"/>")
        }
        Shape::Dot { at: (x, y), radius, colour: of } => {
            writeln!(
                svg,
                "<circle cx=\"{}\" cy=\"{}\" r=\"{radius}\" fill=\"{}\"/>",
                short(*x),
                short(*y),
                colour(*of)
            )
        }
        Shape::Words { text, .. } if text.is_empty() => Ok(()),
        Shape::Words { at: (x, y), anchor, size, colour: of, text } => {
            let anchor = match anchor {
                Anchor::Start => "",
                Anchor::Middle => " text-anchor=\"middle\"",
                Anchor::End => " text-anchor=\"end\"",
            };
            writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\"{anchor} font-size=\"{size}\" fill=\"{}\" xml:space=\"preserve\">{}</text>",
                short(*x),
                short(*y),
                colour(*of),
                escaped(text)
            )
        }
    }
}

fn colour([red, green, blue]: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// A tenth of a pixel is as good as exact, and a tenth of the size.
fn short(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // XML 1.0 has no way to write these.
            letter if letter.is_control() => safe.push(' '),
            letter => safe.push(letter),
        }
    }
    safe
}
