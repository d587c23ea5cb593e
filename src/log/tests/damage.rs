//! Damage that an open does not meet, and a writer that is gone.

use super::*;

/// Overwrites the first page of the index by channel, which only a reading that is added comes to.
fn damage(folder: &Folder) {
    let connection = rusqlite::Connection::open(folder.path()).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'reading_by_channel'";
    let page: u32 = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    let page = page as usize;
    connection.close().unwrap();
    let mut bytes = std::fs::read(folder.path()).unwrap();
    bytes[(page - 1) * 4096..page * 4096].fill(0xa5);
    std::fs::write(folder.path(), bytes).unwrap();
}

#[test]
fn damage_that_only_a_commit_meets_is_set_aside_at_the_next_start() {
    let folder = Folder::new();
    let log = folder.open();
    let ids = log.register(&[channel("a")]).unwrap();
    log.append(vec![reading(ids[0], NOON, 1.0)]).unwrap();
    log.close().unwrap();
    damage(&folder);

    let log = folder.open();
    log.append(vec![reading(ids[0], NOON, 2.0)]).unwrap();
    let state = || folder.board.part("log").state().0;
    until(
        "it is noticed",
        || matches!(state(), State::Failed(why) if why.contains("restart to set it aside")),
    );
    assert!(log.close().is_err());

    let log = folder.open();
    assert!(matches!(state(), State::Degraded(why) if why.contains("corrupt-20261120T070000Z")));
    let ids = log.register(&[channel("a")]).unwrap();
    log.append(vec![reading(ids[0], NOON, 3.0)]).unwrap();
    until_committed(&log, 1);
    assert!(folder.folder.path().join("bridge.db.corrupt-20261120T070000Z").exists());
    log.close().unwrap();
    // Once is enough.
    folder.open().close().unwrap();
    assert!(!folder.folder.path().join("bridge.db.corrupt-20261120T070000Z-001").exists());
}

#[test]
fn a_file_that_turns_out_whole_is_gone_on_with() {
    let folder = Folder::new();
    let log = folder.open();
    let ids = log.register(&[channel("a")]).unwrap();
    log.append(vec![reading(ids[0], NOON, 1.0)]).unwrap();
    log.close().unwrap();
    let doubt = folder.folder.path().join("bridge.db.damaged");
    std::fs::write(&doubt, "").unwrap();
    let log = folder.open();
    assert_eq!(*log.committed().borrow(), 1);
    assert_eq!(folder.board.part("log").state().0, State::Ok);
    assert!(!doubt.exists());
}

#[test]
fn a_writer_that_panicked_is_seen_to_be_gone() {
    let folder = Folder::new();
    let log = folder.open();
    let ids = log.register(&[channel("a")]).unwrap();
    assert!(log.is_running());
    assert!(matches!(
        log.shared.inbox.ask(|reply| Job::Run(|_| panic!("as the test wants it"), reply)),
        Err(LogError::Closed)
    ));
    let state = || folder.board.part("log").state().0;
    until("it is seen", || matches!(state(), State::Failed(why) if why.contains("panic")));
    assert!(!log.is_running());
    assert_eq!(log.append(vec![reading(ids[0], NOON, 1.0)]), Err(Busy));
    assert!(log.close().is_err());
}
