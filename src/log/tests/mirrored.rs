//! What mirrors store: messages, typed columns, tables of readings.

use rusqlite::types::Value as Sql;

use super::*;
use crate::config::{ColumnKind, JsonPath, Table, TableColumn};

#[test]
fn messages_are_kept_once_and_as_text_when_they_are() {
    let folder = Folder::new();
    let log = folder.open();
    let batch = MirrorBatch {
        mirror: "all".into(),
        messages: vec![
            message("a/b", "21.5 °C".as_bytes(), None),
            message("a/b", &[0xff, 0], None),
            message("a/b", b"nul\0inside", None),
            message("a/b", b"x", Some(("0badcafe", 7))),
            message("a/b", b"x", Some(("0badcafe", 7))),
            message("a/c", b"x", Some(("0badcafe", 7))),
            message("a/b", b"", None),
        ],
        held: vec![(5, -77), (6, 1)],
        subscribed: Some(vec![("a/#".into(), Qos::ExactlyOnce)]),
        ..Default::default()
    };
    assert_eq!(log.store(batch.clone()).unwrap().repeats, 1);
    assert_eq!(log.store(MirrorBatch { mirror: "other".into(), ..batch }).unwrap().repeats, 1);
    let again = MirrorBatch {
        mirror: "all".into(),
        messages: vec![message("a/c", b"x", Some(("0badcafe", 7)))],
        released: vec![5],
        held: vec![(9, 2)],
        intent: Some(Intent {
            file: "f".into(),
            from: 1,
            to: 3,
            sha256: "00".into(),
            packet_ids: vec![9, 6],
        }),
        ..Default::default()
    };
    assert_eq!(log.store(again.clone()).unwrap().repeats, 1);
    let reader = log.reader().unwrap();
    let types: Vec<(String, String, i64, i64)> = reader
        .connection
        .prepare(
            "SELECT topic, typeof(payload), qos, retained FROM messages WHERE mirror = 'all' ORDER BY id",
        )
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let kinds: Vec<(&str, &str)> = types.iter().map(|row| (row.0.as_str(), row.1.as_str())).collect();
    assert_eq!(
        kinds,
        [
            ("a/b", "text"),
            ("a/b", "blob"),
            ("a/b", "blob"),
            ("a/b", "text"),
            ("a/c", "text"),
            ("a/b", "text")
        ]
    );
    assert!(types.iter().all(|row| (row.2, row.3) == (1, 1)));

    let state = log.mirror_state("all").unwrap();
    assert_eq!(state.held, [(6, 1), (9, 2)]);
    assert_eq!(state.intent, again.intent);
    assert_eq!(state.subscribed, [("a/#".to_owned(), Qos::ExactlyOnce)]);
    assert_eq!(log.mirror_state("other").unwrap().held, [(5, -77), (6, 1)]);
    log.store(MirrorBatch { mirror: "all".into(), forget_all: true, ..Default::default() }).unwrap();
    assert_eq!(log.mirror_state("all").unwrap().held, []);
    assert_eq!((folder.figure("repeats"), folder.figure("messages")), (3, 12));
}

fn table(name: &str, columns: &[(&str, ColumnKind)]) -> Table {
    let columns = columns.iter().map(|(name, kind)| {
        ((*name).to_owned(), TableColumn { path: JsonPath(format!("/{name}")), kind: *kind })
    });
    Table { name: name.into(), columns: columns.collect() }
}

#[test]
fn a_table_of_readings_has_a_row_for_each_and_is_never_one_of_columns() {
    let folder = Folder::new();
    let log = folder.open();
    let told = |quantity: &str, value: Sql| Told {
        device: Some("shed".into()),
        sensor: None,
        quantity: quantity.into(),
        value,
        unit: Some("°C".into()),
        taken: Some(Timestamp(0)),
    };
    let store = |name: &str| {
        let told = vec![told("t", Sql::Real(21.4)), told("n", Sql::Null), told("s", Sql::Text("ON".into()))];
        let one = NewMessage { told, ..message("t", b"{}", Some(("uuid", 0))) };
        let readings = Some(name.to_owned());
        log.store(MirrorBatch {
            mirror: "m".into(),
            messages: vec![one.clone(), one],
            readings,
            ..Default::default()
        })
    };
    assert_eq!(store("plugs").unwrap().repeats, 1, "by its id");
    let columns =
        MirrorBatch { table: Some(table("rooms", &[("value", ColumnKind::Real)])), ..Default::default() };
    log.store(MirrorBatch { mirror: "m".into(), ..columns }).unwrap();
    assert!(matches!(store("Rooms"), Err(LogError::Refused(why)) if why.contains("holds columns")));
    assert!(matches!(store("reading"), Err(LogError::Refused(why)) if why.contains("choose another name")));
    let columns =
        MirrorBatch { table: Some(table("PLUGS", &[("value", ColumnKind::Real)])), ..Default::default() };
    let refused = log.store(MirrorBatch { mirror: "m".into(), ..columns });
    assert!(matches!(refused, Err(LogError::Refused(why)) if why.contains("holds readings")));
    log.close().unwrap();
    let connection = rusqlite::Connection::open(folder.path()).unwrap();
    let rows: String = connection
        .query_row(
            "SELECT group_concat(device || quantity || ifnull(value, '-') || typeof(value) || unit || taken, ' ') FROM plugs",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let taken = "°C1970-01-01T00:00:00.000000Z";
    assert_eq!(rows, format!("shedt21.4real{taken} shedn-null{taken} shedsONtext{taken}"));
    let mut plan = connection
        .prepare(
            "EXPLAIN QUERY PLAN SELECT value FROM plugs WHERE device = 'a' AND quantity = 't' AND time > 'x'",
        )
        .unwrap();
    let plan: String = plan.query_row([], |row| row.get(3)).unwrap();
    assert!(plan.contains("device=? AND quantity=? AND time>?"), "{plan}");
}

#[test]
fn a_table_of_typed_columns_is_made_widened_and_never_taken_from_others() {
    let folder = Folder::new();
    let log = folder.open();
    let store = |table: Table, fields: Vec<Sql>| {
        log.store(MirrorBatch {
            mirror: "m".into(),
            messages: vec![NewMessage { fields: Some(fields), ..message("t", b"{}", None) }],
            table: Some(table),
            ..Default::default()
        })
    };
    store(table("rooms", &[("value", ColumnKind::Real)]), vec![Sql::Real(1.5)]).unwrap();
    let wide = table("rooms", &[("unit", ColumnKind::Text), ("value", ColumnKind::Real)]);
    store(wide.clone(), vec![Sql::Text("°C".into()), Sql::Null]).unwrap();

    let retyped = table("rooms", &[("value", ColumnKind::Text)]);
    assert!(
        matches!(store(retyped, vec![Sql::Null]), Err(LogError::Refused(why)) if why.contains("REAL already"))
    );
    let other = table("Reading", &[("value", ColumnKind::Text)]);
    assert!(
        matches!(store(other, vec![Sql::Null]), Err(LogError::Refused(why)) if why.contains("choose another name"))
    );
    let own = table("fresh", &[("Topic", ColumnKind::Text)]);
    assert!(matches!(store(own, vec![Sql::Null]), Err(LogError::Refused(_))));
    assert!(matches!(store(wide.clone(), vec![Sql::Null]), Err(LogError::Refused(_))), "number of fields");
    store(wide, vec![Sql::Null, Sql::Integer(2)]).unwrap();

    let reader = log.reader().unwrap();
    type Row = (i64, String, String, Option<f64>, Option<String>);
    let rows: Vec<Row> = reader
        .connection
        .prepare("SELECT id, time, topic, value, unit FROM rooms ORDER BY id")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let time = "2026-11-20T07:00:00.000000Z".to_owned();
    assert_eq!(
        rows,
        [
            (1, time.clone(), "t".into(), Some(1.5), None),
            (2, time.clone(), "t".into(), None, Some("°C".into())),
            (3, time, "t".into(), Some(2.0), None)
        ]
    );
    let messages: i64 =
        reader.connection.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
    assert_eq!(messages, 3, "a refused batch leaves nothing");
    let fresh: i64 = reader
        .connection
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'fresh'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(fresh, 0);
}
