//! CSV records (RFC 4180) that remember which fields were quoted. Knows no columns.
//!
//! The csv crate does not tell quoted fields apart, and they are what tells a text that looks like a number
//! (`"007"`) from a number.

use std::io::BufRead;

use super::Fault;
use super::lines::{Lines, text, without_end};

/// One field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Field {
    pub text: String,
    pub quoted: bool,
}

/// The records of a file.
#[derive(Debug)]
pub(super) struct Records<R> {
    pub lines: Lines<R>,
    delimiter: u8,
    buffer: Vec<u8>,
}

/// What may stand between fields.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

impl<R: BufRead> Records<R> {
    /// Records with this delimiter, or the one that is most frequent in the first line.
    pub fn new(input: R, delimiter: Option<u8>) -> Self {
        Self { lines: Lines::new(input), delimiter: delimiter.unwrap_or(0), buffer: Vec::new() }
    }

    /// The next record that is not empty, and the line on which it begins; `None` at the end.
    pub fn next(&mut self, fields: &mut Vec<Field>) -> Result<Option<u64>, Fault> {
        loop {
            self.buffer.clear();
            if !self.lines.append(&mut self.buffer)? {
                return Ok(None);
            }
            let line = self.lines.number;
            if line == 1 {
                self.begin();
            }
            // A line break between quotation marks belongs to the field.
            let mut scan = Scan::Begin.over(&self.buffer, self.delimiter);
            while scan == Scan::Quoted {
                let from = self.buffer.len();
                if !self.lines.append(&mut self.buffer)? {
                    return Err(Fault::line(line, "a quotation mark is opened here and never closed"));
                }
                scan = scan.over(&self.buffer[from..], self.delimiter);
            }
            let record = text(without_end(&self.buffer), line)?;
            if record.is_empty() {
                continue;
            }
            split(record, self.delimiter as char, fields).map_err(|what| Fault::line(line, what))?;
            return Ok(Some(line));
        }
    }

    fn begin(&mut self) {
        if self.delimiter == 0 {
            let times = |wanted: &u8| self.buffer.iter().filter(|byte| *byte == wanted).count();
            // The first of equals: max_by_key would take the last.
            let most = DELIMITERS.iter().rev().max_by_key(|delimiter| times(delimiter));
            self.delimiter = most.copied().unwrap_or(b',');
        }
    }
}

/// Where in a record we are, as far as quotation marks go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    Begin,
    Bare,
    Quoted,
    /// After a mark that closes, unless a second one follows.
    Closing,
}

impl Scan {
    fn over(self, bytes: &[u8], delimiter: u8) -> Self {
        bytes.iter().fold(self, |state, byte| match (state, byte) {
            (Scan::Begin | Scan::Closing, b'"') => Scan::Quoted,
            (Scan::Quoted, b'"') => Scan::Closing,
            (Scan::Quoted, _) => Scan::Quoted,
            (_, byte) if *byte == delimiter => Scan::Begin,
            _ => Scan::Bare,
        })
    }
}

fn split(record: &str, delimiter: char, fields: &mut Vec<Field>) -> Result<(), String> {
    let mut count = 0;
    let mut rest = record;
    loop {
        if fields.len() == count {
            fields.push(Field::default());
        }
        let field = &mut fields[count];
        count += 1;
        field.text.clear();
        field.quoted = rest.starts_with('"');
        let after = match field.quoted {
            true => unquote(&rest[1..], &mut field.text)?,
            false => {
                let end = rest.find(delimiter).unwrap_or(rest.len());
                field.text.push_str(&rest[..end]);
                &rest[end..]
            }
        };
        match after.strip_prefix(delimiter) {
            Some(next) => rest = next,
            None if after.is_empty() => break,
            None => return Err(format!("field {count}: something follows the closing quotation mark")),
        }
    }
    fields.truncate(count);
    Ok(())
}

/// The text up to the closing mark goes into `field`; answers what follows it.
fn unquote<'a>(mut rest: &'a str, field: &mut String) -> Result<&'a str, String> {
    loop {
        let Some(end) = rest.find('"') else {
            return Err("a quotation mark is not closed".to_owned());
        };
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Ok(rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str) -> Vec<(u64, Vec<(String, bool)>)> {
        let mut records = Records::new(file.as_bytes(), None);
        let (mut all, mut fields) = (Vec::new(), Vec::new());
        while let Some(line) = records.next(&mut fields).unwrap() {
            all.push((line, fields.iter().map(|field| (field.text.clone(), field.quoted)).collect()));
        }
        all
    }

    fn plain(texts: &[&str]) -> Vec<(String, bool)> {
        texts.iter().map(|text| ((*text).to_owned(), false)).collect()
    }

    #[test]
    fn records_as_programs_write_them() {
        assert_eq!(
            read("\u{feff}a,b\r\n1,\r\n\n,2"),
            [(1, plain(&["a", "b"])), (2, plain(&["1", ""])), (4, plain(&["", "2"]))]
        );
        assert_eq!(read("a;b,c;d\n")[0].1, plain(&["a", "b,c", "d"]));
        assert_eq!(read("only\n1\n")[1].1, plain(&["1"]));
        let quoted = |text: &str| (text.to_owned(), true);
        assert_eq!(
            read("x,\"a \"\"b\"\", \r\nc\",\"\"\ny,5\" pipe,\"\"\"\"\n"),
            [
                (1, vec![("x".to_owned(), false), quoted("a \"b\", \r\nc"), quoted("")]),
                (3, vec![("y".to_owned(), false), ("5\" pipe".to_owned(), false), quoted("\"")]),
            ]
        );
    }

    #[test]
    fn what_is_no_record_is_told_with_its_line() {
        let fault = |file: &str| {
            let mut records = Records::new(file.as_bytes(), None);
            let mut fields = Vec::new();
            loop {
                match records.next(&mut fields) {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("nothing wrong with {file}"),
                    Err(fault) => return fault.to_string(),
                }
            }
        };
        assert_eq!(fault("a,b\n1,\"2\n3,4\n"), "line 2: a quotation mark is opened here and never closed");
        assert_eq!(fault("a,b\n1,\"2\"x\n"), "line 2: field 2: something follows the closing quotation mark");
    }

    /// Whatever the fields, `csv` writes and we read the same.
    #[test]
    fn what_csv_writes_is_read_back() {
        use proptest::prelude::*;
        let field = proptest::string::string_regex("[a\",;\r\n é]{0,6}").unwrap();
        let records = prop::collection::vec(prop::collection::vec(field, 2..5), 1..6);
        proptest!(|(records in records)| {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for record in &records {
                writer.write_record(record).unwrap();
            }
            let file = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let mut reader = Records::new(file.as_bytes(), Some(b','));
            let (mut found, mut fields) = (Vec::new(), Vec::new());
            while let Some(_line) = reader.next(&mut fields).unwrap() {
                found.push(fields.iter().map(|field| field.text.clone()).collect::<Vec<_>>());
            }
            prop_assert_eq!(found, records);
        });
    }
}
