//! The file: one writer at a time, locks that readers leave alone, and files that are damaged or not ours.

use super::*;

#[test]
fn one_writer_at_a_time() {
    let folder = Folder::new();
    let log = folder.open();
    let second = Log::open(&folder.config, &machine(), &folder.board);
    assert!(matches!(second, Err(LogError::Locked { .. })), "{second:?}");
    log.close().unwrap();
    folder.open();
}

/// SQLite's POSIX locks belong to the process: opening and closing the file beside it would drop them.
#[test]
fn readers_leave_the_locks_of_the_writer_alone() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = Folder::new();
    let log = folder.open();
    let inode = format!(":{} ", std::fs::metadata(folder.path()).unwrap().ino());
    let locked = || std::fs::read_to_string("/proc/locks").unwrap().lines().any(|line| line.contains(&inode));
    assert!(locked());
    drop(log.reader().unwrap());
    drop(Reader::open(&folder.path()).unwrap());
    log.delivery().unwrap();
    log.mirror_state("m").unwrap();
    // A backup reads the log as well.
    backup::to(&folder.path(), &folder.folder.path().join("copy.db"), false, |_, _| {}).unwrap();
    assert!(locked());
}

/// What cannot be opened is said clearly and not touched.
#[test]
fn files_that_are_not_ours_are_left_as_they_are() {
    let folder = Folder::new();
    let open = || Log::open(&folder.config, &machine(), &folder.board);
    let refused = |setup: &str| -> String {
        std::fs::remove_file(folder.path()).ok();
        rusqlite::Connection::open(folder.path()).unwrap().execute_batch(setup).unwrap();
        let before = std::fs::read(folder.path()).unwrap();
        let error = open().unwrap_err().to_string();
        assert_eq!(std::fs::read(folder.path()).unwrap(), before);
        assert!(Reader::open(&folder.path()).is_err());
        error
    };
    assert!(
        refused("CREATE TABLE theirs (x); PRAGMA application_id = 7").contains("not one of sensor-bridge")
    );
    assert!(
        refused("PRAGMA application_id = 1396862055; PRAGMA user_version = 99")
            .contains("newer sensor-bridge (schema 99")
    );

    std::fs::remove_file(folder.path()).unwrap();
    let mut older = rusqlite::Connection::open(folder.path()).unwrap();
    schema::migrate(&mut older, 0, &schema::STEPS[..2]).unwrap();
    drop(older);
    let error = Reader::open(&folder.path()).unwrap_err().to_string();
    assert!(error.contains("earlier sensor-bridge (schema 2"), "{error}");
    open().unwrap().close().unwrap();
    Reader::open(&folder.path()).unwrap();

    let mut config = folder.config.clone();
    config.path = folder.folder.path().join("nowhere/bridge.db");
    let error = Log::open(&config, &machine(), &folder.board).unwrap_err().to_string();
    assert!(error.contains("does not exist"), "{error}");
    config.path = folder.folder.path().to_owned();
    let error = Log::open(&config, &machine(), &folder.board).unwrap_err().to_string();
    assert!(error.contains("is a folder"), "{error}");
    let missing = Reader::open(&folder.folder.path().join("none.db"));
    assert!(matches!(missing, Err(LogError::Missing { .. })));
}

#[test]
fn a_damaged_file_is_set_aside_by_the_daemon_and_refused_to_readers() {
    let folder = Folder::new();
    let log = folder.open();
    let ids = log.register(&[channel("a")]).unwrap();
    log.append(vec![reading(ids[0], NOON, 1.0)]).unwrap();
    log.close().unwrap();
    let mut bytes = std::fs::read(folder.path()).unwrap();
    bytes[100..200].fill(0xaa);
    std::fs::write(folder.path(), &bytes).unwrap();
    assert!(matches!(Reader::open(&folder.path()), Err(LogError::Corrupt { .. })));

    let log = folder.open();
    let aside = folder.folder.path().join("bridge.db.corrupt-20261120T070000Z");
    assert_eq!(std::fs::read(&aside).unwrap(), bytes);
    let State::Degraded(why) = folder.board.part("log").state().0 else { panic!("not told") };
    assert!(why.contains("corrupt-20261120T070000Z"), "{why}");
    log.register(&[channel("a")]).unwrap();
    log.close().unwrap();
    // Not a database at all; and the name of the first is taken.
    std::fs::write(folder.path(), "hello").unwrap();
    folder.open();
    assert_eq!(
        std::fs::read(folder.folder.path().join("bridge.db.corrupt-20261120T070000Z-001")).unwrap(),
        b"hello"
    );
    assert_eq!(std::fs::read(&aside).unwrap(), bytes);
}
