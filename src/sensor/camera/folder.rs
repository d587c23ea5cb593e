//! The newest picture of a folder that somebody else fills: another program, or a camera by FTP.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::OFlags;

use super::file::{self, Broken};

/// Names of pictures end so.
const ENDINGS: [&str; 3] = ["jpg", "jpeg", "png"];

/// How long a file that is not whole is given: it may just be written.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks at such a file.
const LOOK: Duration = Duration::from_millis(100);

/// Why there is no file. Worded so that the same trouble gives the same words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error("the folder {0} cannot be read: {1}")]
    Unreadable(String, String),
    #[error("{0} cannot be read: {1}")]
    UnreadableFile(String, String),
    #[error("no JPEG or PNG file in {0}")]
    Empty(String),
    #[error("the newest file of {0} is larger than {1}")]
    TooLarge(String, String),
}

/// The newest picture file, at most so many bytes. Of two of one time, the one whose name sorts last.
pub(super) fn newest(folder: &Path, most: usize) -> Result<Vec<u8>, Failure> {
    let until = Instant::now() + PATIENCE;
    loop {
        let bytes = look(folder, most)?;
        let unfinished = bytes.is_empty() || file::layout(&bytes) == Err(Broken::CutOff);
        if !unfinished || Instant::now() >= until {
            return Ok(bytes);
        }
        std::thread::sleep(LOOK);
    }
}

fn look(folder: &Path, most: usize) -> Result<Vec<u8>, Failure> {
    let name = folder.display().to_string();
    let failed = |error: io::Error| Failure::Unreadable(name.clone(), in_words(&error));
    let mut newest: Option<(SystemTime, PathBuf)> = None;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // One that has just been renamed or removed is no trouble.
        let Some(time) = changed(&path) else { continue };
        newest = newest.max(Some((time, path)));
    }
    let (_, path) = newest.ok_or_else(|| Failure::Empty(name.clone()))?;
    let mut bytes = Vec::new();
    match open(&path).and_then(|file| file.take(most as u64 + 1).read_to_end(&mut bytes)) {
        // Renamed or removed since it was found: as good as one that is not whole yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::UnreadableFile(path.display().to_string(), in_words(&error))),
        Ok(_) => {}
    }
    if bytes.len() > most {
        return Err(Failure::TooLarge(name, crate::config::size::show(most as u64)));
    }
    Ok(bytes)
}

/// When the picture at `path` was last changed; `None` if it is none.
fn changed(path: &Path) -> Option<SystemTime> {
    let name = path.file_name()?.to_str()?;
    let ending = Path::new(name).extension()?.to_str()?.to_ascii_lowercase();
    if name.starts_with('.') || !ENDINGS.contains(&ending.as_str()) {
        return None;
    }
    fs::metadata(path).ok().filter(fs::Metadata::is_file)?.modified().ok()
}

/// A file that has become a pipe meanwhile must not block us.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is none; make it, or correct `folder`".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied to the user that runs sensor-bridge".to_owned(),
        io::ErrorKind::NotADirectory => "that is a file".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::picture_jpeg;
    use super::*;

    const MOST: usize = 100_000;

    fn put(folder: &Path, name: &str, bytes: &[u8], second: u64) {
        let file = File::create(folder.join(name)).unwrap();
        io::Write::write_all(&mut &file, bytes).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).unwrap();
    }

    #[test]
    fn the_newest_picture_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert_eq!(newest(path, MOST), Err(Failure::Empty(path.display().to_string())));
        let (old, new) = (picture_jpeg(8, 8), picture_jpeg(9, 9));
        put(path, "b.jpg", &new, 200);
        put(path, "a.JPEG", &old, 100);
        put(path, "notes.txt", b"newer", 300);
        put(path, ".hidden.jpg", b"newer", 300);
        fs::create_dir(path.join("folder.jpg")).unwrap();
        assert_eq!(newest(path, MOST), Ok(new.clone()));
        put(path, "a.JPEG", &old, 200);
        assert_eq!(newest(path, MOST), Ok(new.clone()), "of one time, by name");
        assert!(matches!(newest(path, new.len() - 1), Err(Failure::TooLarge(..))));
    }

    #[test]
    fn a_file_that_is_being_written_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let whole = picture_jpeg(64, 48);
        put(&path, "a.jpg", &whole[..whole.len() / 2], 100);
        let begun = Instant::now();
        let reader = std::thread::spawn({
            let path = path.clone();
            move || newest(&path, MOST)
        });
        put(&path, "a.jpg", &whole, 101);
        assert_eq!(reader.join().unwrap(), Ok(whole.clone()));
        assert!(begun.elapsed() < PATIENCE);
        // One that stays so comes as it is, and is refused as a picture.
        put(&path, "b.jpg", &whole[..9], 200);
        assert_eq!(newest(&path, MOST), Ok(whole[..9].to_vec()));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_blamed_on_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jpg");
        // A file whose first byte nobody can read, whatever their rights.
        std::os::unix::fs::symlink("/proc/self/mem", &file).unwrap();
        let error = newest(folder.path(), MOST).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{} cannot be read: ", file.display())), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_read_says_why() {
        let error = newest(Path::new("/no/such/folder"), MOST).unwrap_err().to_string();
        assert_eq!(
            error,
            "the folder /no/such/folder cannot be read: there is none; make it, or correct `folder`"
        );
    }
}
