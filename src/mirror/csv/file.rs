//! One CSV file that is written to: opened, put right, appended to, fsynced. Knows records only by their ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tracing::info;

use super::super::SinkError;

/// Writes bytes at the end of a file and makes them durable. A value, so that a test can make it fail.
pub(super) type Append = Box<dyn FnMut(&mut File, &[u8]) -> io::Result<()> + Send>;

/// The real one.
pub(super) fn append() -> Append {
    Box::new(|file, bytes| {
        file.write_all(bytes)?;
        // fdatasync also makes the new length durable, and nothing that does not matter.
        file.sync_data()
    })
}

/// An open file, locked for us alone.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) path: PathBuf,
    /// The day it is for, in days since the epoch.
    pub(super) day: i64,
    /// Length up to which it is durable, bytes; always the end of a record.
    pub(super) len: u64,
    /// Length that was last noted in the log.
    pub(super) noted: u64,
    /// Bytes beyond `len` may be there, of an append that failed.
    torn: bool,
    file: File,
}

impl OpenFile {
    /// Opens or creates a file and cuts off what is no whole record. `None` when its header is another.
    ///
    /// `boundary` is a place where a record is known to end; only what follows it is read.
    pub(super) fn open(
        path: &Path,
        day: i64,
        header: &[u8],
        boundary: u64,
    ) -> Result<Option<Self>, SinkError> {
        let fail = |what| move |why| SinkError::File { path: path.to_owned(), what, why };
        create_folder(path)?;
        let new = !path.exists();
        let mut file = lock(path, true)?;
        if new {
            sync_folder(path).map_err(fail("cannot make its folder durable"))?;
        }
        let mut begin = Vec::with_capacity(header.len());
        let read = (&mut file).take(header.len() as u64).read_to_end(&mut begin);
        read.map_err(fail("cannot be read"))?;
        let len = if begin == header {
            repair(&mut file, path, boundary).map_err(fail("cannot be put right"))?
        } else if header.starts_with(&begin) {
            cut(&mut file, path, 0).map_err(fail("cannot be put right"))?;
            0
        } else {
            return Ok(None);
        };
        Ok(Some(Self { path: path.to_owned(), day, len, noted: len, torn: false, file }))
    }

    /// Whether the file is still there and as long as we left it: people move, delete and edit files.
    pub(super) fn is_as_left(&self) -> bool {
        match (std::fs::metadata(&self.path), self.file.metadata()) {
            (Ok(path), Ok(file)) => {
                (path.dev(), path.ino()) == (file.dev(), file.ino()) && (self.torn || file.len() == self.len)
            }
            _ => false,
        }
    }

    /// Appends whole records and makes them durable. After an error they are given again: whatever of them
    /// got into the file is cut off, at once or, when not even that can be done, before the next attempt.
    pub(super) fn append(&mut self, bytes: &[u8], append: &mut Append) -> Result<(), SinkError> {
        let fail = |what, why| SinkError::File { path: self.path.clone(), what, why };
        if self.torn {
            self.file.set_len(self.len).map_err(|why| fail("cannot be cut back", why))?;
        }
        self.torn = true;
        if let Err(why) = append(&mut self.file, bytes) {
            self.torn = self.file.set_len(self.len).is_err();
            return Err(fail("cannot append", why));
        }
        self.torn = false;
        self.len += bytes.len() as u64;
        Ok(())
    }
}

/// The last records of a file, of so many bytes at most; none when it is not there or its header is another.
pub(super) fn tail(path: &Path, header: &[u8], most: u64) -> io::Result<Vec<u8>> {
    let mut tail = Vec::new();
    let mut file = match File::open(path) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(tail),
        file => file?,
    };
    (&mut file).take(header.len() as u64).read_to_end(&mut tail)?;
    let is_ours = tail == header;
    tail.clear();
    if is_ours {
        let after = header.len() as u64;
        let from = file.metadata()?.len().saturating_sub(most).max(after);
        file.seek(SeekFrom::Start(from))?;
        file.take(most).read_to_end(&mut tail)?;
        if from > after {
            tail.drain(..first_boundary(&tail));
        }
    }
    Ok(tail)
}

/// Makes the folder of a file.
pub(super) fn create_folder(path: &Path) -> Result<(), SinkError> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
    else {
        return Ok(());
    };
    std::fs::create_dir_all(folder).and_then(|()| sync_folder(folder)).map_err(|why| SinkError::File {
        path: folder.to_owned(),
        what: "cannot make this folder",
        why,
    })
}

/// Opens a file for reading and appending, for us alone. Without `create` it must be there.
pub(super) fn lock(path: &Path, create: bool) -> Result<File, SinkError> {
    let fail = |what| move |why| SinkError::File { path: path.to_owned(), what, why };
    let file = OpenOptions::new().read(true).append(true).create(create).open(path);
    let file = file.map_err(fail("cannot be opened"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SinkError::InUse(path.to_owned())),
        // Some network file systems have no locks; then nobody can be kept out.
        Err(TryLockError::Error(why)) if why.kind() == ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(why)) => Err(fail("cannot be locked")(why)),
    }
}

/// A new name is durable only when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Cuts off what follows the last whole record. Answers the length left.
pub(super) fn repair(file: &mut File, path: &Path, boundary: u64) -> io::Result<u64> {
    let len = file.metadata()?.len();
    let boundary = if ends_line(file, boundary)? { boundary } else { 0 };
    file.seek(SeekFrom::Start(boundary))?;
    let whole = boundary + last_boundary(io::BufReader::with_capacity(1 << 16, &mut *file))?;
    if whole < len {
        cut(file, path, whole)?;
    }
    Ok(whole)
}

/// Shortens a file, durably.
pub(super) fn cut(file: &mut File, path: &Path, len: u64) -> io::Result<()> {
    let had = file.metadata()?.len();
    if had > len {
        info!("{}: {} bytes that are no whole line are cut off", path.display(), had - len);
        file.set_len(len)?;
        file.sync_all()?;
    }
    Ok(())
}

/// Whether a line ends just before this place.
fn ends_line(file: &mut File, place: u64) -> io::Result<bool> {
    if place == 0 || place > file.metadata()?.len() {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(place - 1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Length up to the end of the last whole record. A line end within quotes ends none; a NUL, which we never
/// write, is a page that a power cut left unwritten, and nothing after it counts.
pub(super) fn last_boundary(mut bytes: impl io::BufRead) -> io::Result<u64> {
    let (mut place, mut boundary, mut quoted) = (0, 0, false);
    loop {
        let chunk = bytes.fill_buf()?;
        if chunk.is_empty() {
            return Ok(boundary);
        }
        for byte in chunk {
            place += 1;
            match byte {
                // A doubled quote inside quotes toggles twice, so it needs no case of its own.
                b'"' => quoted = !quoted,
                b'\n' if !quoted => boundary = place,
                0 => return Ok(boundary),
                _ => {}
            }
        }
        let read = chunk.len();
        bytes.consume(read);
    }
}

/// Where the first whole record begins, in a piece that ends with a whole record: quotes are counted from
/// the end, because whether the beginning is within quotes is not known.
pub(super) fn first_boundary(tail: &[u8]) -> usize {
    let (mut quoted, mut begin) = (false, tail.len());
    for (place, byte) in tail.iter().enumerate().rev() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => begin = place + 1,
            _ => {}
        }
    }
    begin
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_records() {
        for (text, expected) in [
            ("", 0),
            ("a,b", 0),
            ("a,b\r", 0),
            ("a,b\r\n", 5),
            ("a,b\r\nc", 5),
            ("a,\"b\r\n", 0),
            ("a,\"b\r\nc\"\r\n", 10),
            ("a\r\n\"b\r\nc\"\r\n\"d\r\n", 11),
            ("a\r\n\"say \"\"hi\r\n\"\"", 3),
            ("a\r\n\"say \"\"hi\r\n\"\"\"\r\n", 19),
            ("a\r\n\0\0\0\0\r\nb\r\n", 3),
        ] {
            assert_eq!(last_boundary(text.as_bytes()).unwrap(), expected, "{text:?}");
        }
    }

    proptest! {
        /// However a file is torn, what is left is the longest run of whole records.
        #[test]
        fn a_torn_file_keeps_its_whole_records(
            rows in proptest::collection::vec(proptest::collection::vec("[a,\"\r\n]{0,6}", 2), 1..8),
            at in any::<prop::sample::Index>(),
        ) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for row in rows {
                let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
                writer.write_record(row).unwrap();
                bytes.extend(writer.into_inner().unwrap());
                ends.push(bytes.len());
            }
            let torn = at.index(bytes.len() + 1);
            let expected = *ends.iter().rfind(|end| **end <= torn).unwrap();
            prop_assert_eq!(last_boundary(&bytes[..torn]).unwrap(), expected as u64);
            // And from the middle of a whole file, the next record is found.
            let next = *ends.iter().find(|end| **end > torn).unwrap_or(&bytes.len());
            prop_assert_eq!(torn + first_boundary(&bytes[torn..]), next.max(torn));
        }
    }
}
