//! The letters of pictures: a small font inside the program, so that a picture looks the same on a machine
//! without fonts. What it is and its licence stand beside it in `src/plot/font/LICENSE`.

use ttf_parser::{Face, FaceParsingError, GlyphId, OutlineBuilder};

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
    pub fn built_in() -> Result<Self, FaceParsingError> {
        Ok(Self { face: Face::parse(FILE, 0)? })
    }

    /// How wide a text is in letters of this height, pixels.
    pub fn width(&self, text: &str, size: f64) -> f64 {
        text.chars().map(|letter| self.advance(self.glyph(letter))).sum::<f64>() * self.scale(size)
    }

    /// Hands over the outlines of a text: of each letter, with its distance from the left end in pixels.
    pub fn outline<B: OutlineBuilder>(&self, text: &str, size: f64, mut letter: impl FnMut(f64) -> B) {
        let mut along = 0.0;
        for glyph in text.chars().map(|letter| self.glyph(letter)) {
            let mut builder = letter(along);
            // A space has no outline.
            self.face.outline_glyph(glyph, &mut builder);
            along += self.advance(glyph) * self.scale(size);
        }
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
