//! Section `mirror`.

use super::*;

#[test]
fn mirrors() {
    let mut table = Table::default();
    let sqlite = "topics: [a], to: sqlite";
    let csv = "topics: [a], to: csv, path: x.csv";
    let cases: Vec<(String, &str)> = vec![
        (
            "to: sqlite".into(),
            "topics: is missing; write, for example, `topics: [\"castel/+/+/temperature\"]`",
        ),
        ("topics: [a]".into(), "to: is missing; write, for example, `to: csv`"),
        ("topics: [], to: sqlite".into(), "topics: needs at least 1 item(s), has 0"),
        (
            "topics: a/b, to: sqlite".into(),
            "topics: expected a list such as [\"castel/+/+/temperature\"], found the text \"a/b\"; write [\"a/b\"]",
        ),
        ("topics: [a], to: postgres".into(), "to: unknown value \"postgres\"; possible: sqlite, csv"),
        ("topics: [a/#/b], to: sqlite".into(), "topics[0]: \"#\" must be the last level"),
        (
            "topics: [a+], to: sqlite".into(),
            "topics[0]: \"+\" must stand alone between slashes, not in \"a+\"",
        ),
        (
            "topics: [a/#, a/b], to: sqlite".into(),
            "topics[1]: \"a/b\" is covered by \"a/#\": its messages would arrive twice; leave the narrower one out",
        ),
        (
            "topics: [a/b, a/#], to: sqlite".into(),
            "topics[1]: \"a/#\" covers \"a/b\": its messages would arrive twice; leave the narrower one out",
        ),
        (
            "topics: [a/+, +/b], to: sqlite".into(),
            "topics[1]: \"a/+\" and \"+/b\" overlap: some messages would arrive twice; leave the narrower one out",
        ),
        ("topics: [a], to: sqlite, id: a b".into(), "id: must be 1 to 64 letters, digits, \"-\" or \"_\""),
        (
            format!("{sqlite}, path: x"),
            "path: goes with `to: csv`; `to: sqlite` writes into the log (`log.path`)",
        ),
        (
            format!("{sqlite}, table: t"),
            "columns: is missing beside `table`; write for example `columns: {value: real}`",
        ),
        (
            format!("{sqlite}, columns: {{v: real}}"),
            "table: is missing beside `columns`: name the table that has them",
        ),
        (
            format!("{sqlite}, table: t, columns: [time]"),
            "columns: a list of columns goes with `to: csv`; write a map: `columns: {value: real}`",
        ),
        (
            format!("{sqlite}, table: Readings, columns: {{v: real}}"),
            "table: \"Readings\" is a name of the log's own; choose another, for example \"my_readings\"",
        ),
        (
            format!("{sqlite}, table: sqlite_x, columns: {{v: real}}"),
            "table: \"sqlite_x\" is a name of the log's own; choose another, for example \"my_sqlite_x\"",
        ),
        (
            format!("{sqlite}, table: \"a;b\", columns: {{v: real}}"),
            "table: \"a;b\" must be 1 to 64 letters, digits or \"_\", and not begin with a digit",
        ),
        (
            format!("{sqlite}, table: t, columns: {{Time: text}}"),
            "columns.Time: every table has a column \"time\" already; choose another, for example \"payload_time\" with a `path`",
        ),
        (
            format!("{sqlite}, table: t, columns: {{v: real, V: real}}"),
            "columns.v: stands here twice: SQL does not tell capitals from small letters",
        ),
        (
            format!("{sqlite}, table: t, columns: {{v: float}}"),
            "columns.v: unknown value \"float\"; possible: integer, real, text",
        ),
        (
            format!("{sqlite}, table: t, columns: {{v: {{path: a}}}}"),
            "columns.v.type: is missing; write, for example, `type: real`",
        ),
        (
            format!("{sqlite}, table: t, columns: {{v: {{path: a..b, type: real}}}}"),
            "columns.v.path: \"a..b\" is no path into a JSON document; write for example value, location.latitude, list[0] or /location/latitude",
        ),
        (
            "topics: [a], to: csv".into(),
            "path: is missing: the CSV file to write; write for example `path: \"/var/lib/sensor-bridge/{date}.csv\"`",
        ),
        (
            "topics: [a], to: csv, path: \"{day}.csv\"".into(),
            "path: unknown placeholder \"{day}\"; did you mean \"{date}\"?",
        ),
        (
            "topics: [a], to: csv, path: /var/lib/sensor-bridge/bridge.db".into(),
            "path: is the database of the log (`log.path`)",
        ),
        (format!("{csv}, columns: [tme]"), "columns[0]: unknown column \"tme\"; did you mean \"time\"?"),
        (
            format!("{csv}, columns: [value]"),
            "columns[0]: unknown column \"value\"; for a field of the payload write {value: value}",
        ),
        (
            format!("{csv}, columns: [{{a: x, b: y}}]"),
            "columns[0]: must be one heading and its path; write for example {celsius: value}",
        ),
        (format!("{csv}, columns: [time, time]"), "columns[1]: the heading \"time\" stands here twice"),
        (
            format!("{csv}, columns: {{v: real}}"),
            "columns: a map of columns goes with `to: sqlite`; write a list: `columns: [time, topic, {celsius: value}]`",
        ),
        (format!("{csv}, max_size: 1B"), "max_size: must be at least 10kB, not 1B"),
        (format!("{csv}, table: t"), "table: goes with `to: sqlite`"),
        (
            format!("{csv}, payload: chirpstac"),
            "payload: unknown value \"chirpstac\"; did you mean \"chirpstack\"?",
        ),
        (
            format!("{csv}, payload: tasmota, columns: [time]"),
            "columns: cannot be chosen beside `payload`; leave it out",
        ),
        (
            format!("{csv}, payload: tasmota, time_zone: Mars/Base"),
            "time_zone: unknown time zone \"Mars/Base\"; write for example Europe/Berlin or +01:00",
        ),
        (
            format!("{csv}, payload: chirpstack, time_zone: Z"),
            "time_zone: goes with `payload: tasmota`, whose times are local",
        ),
        (
            "topics: [a], to: sqlite, payload: tasmota, table: readings".into(),
            "table: \"readings\" is a name of the log's own; choose another, for example \"my_readings\"",
        ),
        (
            "topics: [a], to: sqlite, payload: tasmota, path: x".into(),
            "path: goes with `to: csv`; `to: sqlite` writes into the log (`log.path`)",
        ),
    ];
    for (keys, expected) in cases {
        let yaml = format!("mirror: [{{{keys}}}]\nmqtt: {{url: \"mqtt://b\"}}\n");
        table.row(&yaml, &format!("line 1: mirror[0].{expected}"));
    }
    for (first, second, expected) in [
        (csv, csv, "path: mirror[0] writes this file already; use {mirror} in the path"),
        (
            "id: m, topics: [a], to: sqlite",
            "id: m, topics: [a], to: sqlite",
            "id: \"m\" is the id of mirror[0] already",
        ),
        (
            "topics: [a], to: sqlite, table: t, columns: {v: real}",
            "topics: [a], to: sqlite, table: T, columns: {v: text}",
            "table: mirror[0] fills the table \"T\" with other columns; name the same columns, or another table",
        ),
        (
            "topics: [a], to: sqlite, payload: tasmota",
            "topics: [a], to: sqlite, table: Tasmota, columns: {v: text}",
            "table: mirror[0] fills the table \"Tasmota\" with other columns; name the same columns, or another table",
        ),
    ] {
        let yaml = format!("mirror:\n  - {{{first}}}\n  - {{{second}}}\nmqtt: {{url: \"mqtt://b\"}}\n");
        table.row(&yaml, &format!("line 3: mirror[1].{expected}"));
    }
    let alone = problems("mirror: [{topics: [a], to: sqlite}]");
    assert_eq!(
        alone,
        ["line 1: mirror: a mirror needs a broker to subscribe at; add `mqtt:` with the `url` of the broker"]
    );
    table.end();
}
