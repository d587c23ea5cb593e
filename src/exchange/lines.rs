//! A file line by line, each of bounded length. Knows no format.

use std::io::{BufRead, Read as _};

use super::Fault;

/// Longest line in bytes: a picture in base64 may stand in one, and a file without line ends is no table.
const LONGEST: u64 = 16 << 20;

/// Lines and where we are.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    /// Number of the last line, counted from 1.
    pub number: u64,
    /// Bytes read.
    pub bytes: u64,
}

impl<R: BufRead> Lines<R> {
    pub fn new(input: R) -> Self {
        Self { input, number: 0, bytes: 0 }
    }

    /// Appends the next line with its end to `buffer`; answers whether there was one.
    pub fn append(&mut self, buffer: &mut Vec<u8>) -> Result<bool, Fault> {
        let room = LONGEST.saturating_sub(buffer.len() as u64);
        let read = (&mut self.input).take(room).read_until(b'\n', buffer)?;
        self.bytes += read as u64;
        if read == 0 && room > 0 {
            return Ok(false);
        }
        self.number += 1;
        // The mark that some programs put before UTF-8 is no part of the first word.
        if self.number == 1 && buffer.starts_with(b"\xef\xbb\xbf") {
            buffer.drain(..3);
        }
        if read as u64 == room && buffer.last() != Some(&b'\n') {
            return Err(Fault::File(format!(
                "line {}: longer than 16 megabytes; is a quotation mark not closed, or is it no text file?",
                self.number
            )));
        }
        Ok(true)
    }
}

/// The bytes without the end of the line.
pub(super) fn without_end(mut line: &[u8]) -> &[u8] {
    for end in [b'\n', b'\r'] {
        line = line.strip_suffix(&[end]).unwrap_or(line);
    }
    line
}

/// As text.
pub(super) fn text(line: &[u8], number: u64) -> Result<&str, Fault> {
    std::str::from_utf8(line).map_err(|_| {
        Fault::line(number, "is not UTF-8; convert the file: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_and_bounded() {
        let mut lines = Lines::new(b"a\r\nb".as_slice());
        let mut buffer = Vec::new();
        assert!(lines.append(&mut buffer).unwrap());
        assert_eq!(without_end(&buffer), b"a");
        assert!(lines.append(&mut buffer).unwrap());
        assert_eq!((buffer.as_slice(), lines.number, lines.bytes), (b"a\r\nb".as_slice(), 2, 4));
        assert!(!lines.append(&mut buffer).unwrap());

        let mut marked = Vec::new();
        assert!(Lines::new("\u{feff}a\n\u{feff}".as_bytes()).append(&mut marked).unwrap());
        assert_eq!(marked, b"a\n");

        let endless = vec![b'x'; LONGEST as usize + 1];
        let fault = Lines::new(endless.as_slice()).append(&mut Vec::new()).unwrap_err().to_string();
        assert!(fault.contains("longer than 16 megabytes"), "{fault}");
        assert!(text(b"\xff", 3).unwrap_err().to_string().starts_with("line 3: is not UTF-8"));
    }
}
