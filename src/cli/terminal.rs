//! What stands at the other end of standard output: how wide it is, whether it knows colours, and whether it
//! understands more than ASCII. What is written for people goes through here; JSON and CSV are always UTF-8.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal, Write};

/// Columns where nobody says how many there are.
const COLUMNS: usize = 80;

/// Which letters are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letters {
    /// UTF-8.
    Unicode,
    /// The locale is another one, or none: `°C` would come out as two letters of something else.
    Ascii,
}

/// As the locale says (POSIX: the first of `LC_ALL`, `LC_CTYPE`, `LANG` that is set).
pub fn letters() -> Letters {
    letters_of(|name| std::env::var(name).ok())
}

fn letters_of(variable: impl Fn(&str) -> Option<String>) -> Letters {
    let locale =
        ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable).find(|value| !value.is_empty());
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    if locale.contains("utf-8") || locale.contains("utf8") { Letters::Unicode } else { Letters::Ascii }
}

/// Whether colours are wanted there: on a terminal that knows them, unless `NO_COLOR` is set (no-color.org).
pub fn colours(stream: &impl IsTerminal) -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    stream.is_terminal() && !is_set("NO_COLOR") && !dumb
}

/// Whether it is the console of a machine without a desktop, whose font has blocks but no braille.
pub fn is_console() -> bool {
    std::env::var_os("TERM").is_some_and(|value| value == "linux")
}

/// Columns and, on a terminal, rows of standard output.
pub fn size() -> (usize, Option<usize>) {
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stdout())
        && size.ws_col > 0
    {
        return (usize::from(size.ws_col), Some(usize::from(size.ws_row)));
    }
    let said = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    (said.unwrap_or(COLUMNS), None)
}

/// A text as it is, or spelled in ASCII.
pub fn spelled(text: &str, letters: Letters) -> Cow<'_, str> {
    if letters == Letters::Unicode || text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            letter if letter.is_ascii() => plain.push(letter),
            '°' => plain.push_str("deg"),
            'µ' | '\u{3bc}' => plain.push('u'),
            '\u{3a9}' | '\u{2126}' => plain.push_str("Ohm"),
            '⁰' | '₀' => plain.push('0'),
            '¹' | '₁' => plain.push('1'),
            '²' | '₂' => plain.push('2'),
            '³' | '₃' => plain.push('3'),
            '₄' => plain.push('4'),
            '⁻' | '–' | '—' | '−' | '‑' => plain.push('-'),
            '×' => plain.push('x'),
            '·' => plain.push('.'),
            '±' => plain.push_str("+-"),
            '≥' => plain.push_str(">="),
            '≤' => plain.push_str("<="),
            '→' => plain.push_str("->"),
            '←' => plain.push_str("<-"),
            '…' => plain.push_str("..."),
            '‘' | '’' => plain.push('\''),
            '“' | '”' => plain.push('"'),
            _ => plain.push('?'),
        }
    }
    Cow::Owned(plain)
}

/// A page for people, its lines broken between words where the terminal ends. A line goes on below its own text, not
/// below the name in front of it. Where there is no terminal nothing is broken.
pub fn page(text: &str) -> Cow<'_, str> {
    match io::stdout().is_terminal() {
        true => Cow::Owned(folded(text, size().0)),
        false => Cow::Borrowed(text),
    }
}

fn folded(text: &str, columns: usize) -> String {
    let mut page = String::with_capacity(text.len() + 80);
    for line in text.split_inclusive('\n') {
        let indent = " ".repeat(hanging(line).min(columns / 2));
        let mut rest = Cow::Borrowed(line);
        while let Some(place) = break_of(&rest, columns) {
            page.push_str(rest[..place].trim_end());
            page.push('\n');
            rest = Cow::Owned(format!("{indent}{}", rest[place..].trim_start()));
        }
        page.push_str(&rest);
    }
    page
}

/// Where a line goes on below itself: behind its first gap of two spaces, as after `broker   `, else behind its indent.
fn hanging(line: &str) -> usize {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let text = &line[indent..];
    match text.find("  ") {
        Some(gap) if text.is_ascii() || text[..gap].is_ascii() => {
            indent + gap + text[gap..].len() - text[gap..].trim_start_matches(' ').len()
        }
        _ => indent + 2,
    }
}

/// The last space that fits, if the line is longer than that; what only colours has no width.
fn break_of(line: &str, columns: usize) -> Option<usize> {
    let begin = line.len() - line.trim_start_matches(' ').len();
    let (mut width, mut space, mut colour) = (0, None, false);
    for (place, letter) in line.char_indices() {
        match letter {
            '\n' => return None,
            '\x1b' => colour = true,
            _ if colour => colour = !letter.is_ascii_alphabetic(),
            _ => {
                if letter == ' ' && place > begin && (width <= columns || space.is_none()) {
                    space = Some(place);
                }
                width += 1;
            }
        }
        if width > columns && space.is_some() {
            return space;
        }
    }
    None
}

/// Standard output for people; for programs (`json`) nothing is changed on the way.
pub fn out(json: bool) -> Out<io::StdoutLock<'static>> {
    Out::new(io::stdout().lock(), if json { Letters::Unicode } else { letters() })
}

/// Says something on standard error, if anybody listens there: what is done does not hang on it.
pub fn say(what: impl fmt::Display) {
    writeln!(io::stderr(), "{}", spelled(&what.to_string(), letters())).ok();
}

/// A writer that spells what its reader would not understand.
#[derive(Debug)]
pub struct Out<W> {
    inner: W,
    letters: Letters,
    /// The beginning of a letter whose end has not come yet.
    part: Vec<u8>,
}

impl<W: Write> Out<W> {
    /// Writes to `inner`.
    pub fn new(inner: W, letters: Letters) -> Self {
        Self { inner, letters, part: Vec::new() }
    }
}

impl<W: Write> Write for Out<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.letters == Letters::Unicode {
            return self.inner.write(bytes);
        }
        self.part.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.part) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.part.len(),
        };
        let part = self.part.split_off(whole);
        let text = String::from_utf8_lossy(&self.part).into_owned();
        self.part = part;
        self.inner.write_all(spelled(&text, self.letters).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_says_which_letters_are_understood() {
        let table: [(&[(&str, &str)], Letters); 7] = [
            (&[], Letters::Ascii),
            (&[("LANG", "en_GB.UTF-8")], Letters::Unicode),
            (&[("LANG", "en_GB.UTF-8"), ("LC_ALL", "C")], Letters::Ascii),
            (&[("LANG", "C"), ("LC_CTYPE", "C.utf8")], Letters::Unicode),
            (&[("LC_ALL", ""), ("LC_CTYPE", "de_DE.UTF-8"), ("LANG", "C")], Letters::Unicode),
            (&[("LANG", "de_DE.ISO-8859-1")], Letters::Ascii),
            (&[("LANG", "POSIX")], Letters::Ascii),
        ];
        for (variables, expected) in table {
            let variable = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(letters_of(variable), expected, "{variables:?}");
        }
    }

    #[test]
    fn units_and_arrows_are_spelled() {
        let text = "21.4 °C → 3 µg/m³, 5 kΩ … 語";
        assert_eq!(spelled(text, Letters::Ascii), "21.4 degC -> 3 ug/m3, 5 kOhm ... ?");
        assert_eq!(spelled(text, Letters::Unicode), text);
    }

    #[test]
    fn pages_fit_and_go_on_below_their_text() {
        for (columns, text, expected) in [
            (12, "short\n", "short\n"),
            (18, "broker   one two three\n", "broker   one two\n         three\n"),
            (
                18,
                "broker   \x1b[31mone two three\x1b[0m\n",
                "broker   \x1b[31mone two\n         three\x1b[0m\n",
            ),
            (12, "  why a letter\nand b", "  why a\n    letter\nand b"),
            (12, "a_word_longer_than_that and more", "a_word_longer_than_that\n  and more"),
            (12, "exactly twelv", "exactly\n  twelv"),
            (12, "exactly twel", "exactly twel"),
            (12, "", ""),
        ] {
            assert_eq!(folded(text, columns), expected, "{text:?}");
        }
    }

    #[test]
    fn a_letter_may_come_in_two_parts() {
        let mut out = Out::new(Vec::new(), Letters::Ascii);
        for byte in "a→\u{b0}C".as_bytes() {
            out.write_all(&[*byte]).unwrap();
        }
        out.write_all(b"\xff!\n").unwrap();
        assert_eq!(String::from_utf8(out.inner).unwrap(), "a->degC?!\n");
    }
}
