//! The letters of pictures: a small font inside the program, so that a picture looks the same on a machine
//! without fonts. What it is and its licence stand beside it in `src/plot/font/LICENSE`.

use ttf_parser::{Face, GlyphId, OutlineBuilder};

use super::Refused;

const FILE: &[u8] = include_bytes!("font/DejaVuSans.ttf");

/// The font, read.
#[derive(Debug)]
pub struct Font<'a> {
    face: Face<'a>,
}

impl Font<'_> {
    /// Reads the font of the program.
    ///
    /// # Errors
    /// None in practice: a test reads it.
    pub fn built_in() -> Result<Self, Refused> {
        let face = Face::parse(FILE, 0).map_err(|error| Refused::Failed(error.to_string()))?;
        Ok(Self { face })
    }

    /// How wide a text is in letters of this height, pixels.
    pub fn width(&self, text: &str, size: f64) -> f64 {
        text.chars().map(|letter| self.advance(self.glyph(letter))).sum::<f64>() * self.scale(size)
    }

    /// The letters of a text, each with its distance from the left end in pixels.
    pub fn letters(&self, text: &str, size: f64) -> impl Iterator<Item = (GlyphId, f64)> + '_ {
        let scale = self.scale(size);
        let glyphs: Vec<GlyphId> = text.chars().map(|letter| self.glyph(letter)).collect();
        glyphs.into_iter().scan(0.0, move |along, glyph| {
            let begin = *along;
            *along += self.advance(glyph) * scale;
            Some((glyph, begin))
        })
    }

    /// Hands over the outline of a letter, in units of the font; a space has none.
    pub fn outline(&self, letter: GlyphId, pen: &mut dyn OutlineBuilder) {
        self.face.outline_glyph(letter, pen);
    }

    /// Pixels of a unit of the font.
    pub fn scale(&self, size: f64) -> f64 {
        size / f64::from(self.face.units_per_em())
    }

    /// A letter that the font does not have is drawn as an empty box.
    fn glyph(&self, letter: char) -> GlyphId {
        self.face.glyph_index(letter).unwrap_or(GlyphId(0))
    }

    fn advance(&self, glyph: GlyphId) -> f64 {
        f64::from(self.face.glyph_hor_advance(glyph).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_what_units_and_names_are_written_with() {
        let font = Font::built_in().unwrap();
        for letter in "azAZ09._-° µΩ²³₂‰%/×äßéñ→…".chars() {
            assert_ne!(font.glyph(letter), GlyphId(0), "{letter}");
        }
        assert_eq!(font.glyph('語'), GlyphId(0));
        let (short, long) = (font.width("ill", 13.0), font.width("WWW", 13.0));
        assert!(5.0 < short && short < long && long < 60.0, "{short} {long}");
    }
}
