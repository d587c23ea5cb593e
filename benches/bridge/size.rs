//! How much room readings take in the log, beside the same rows in the same table in SQLite alone.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use crate::drain::{SENSORS, config, rows};
use crate::figure::{Figure, Target};
use crate::support::{Bridge, Port, wait_until};

/// Enough that the half-full last page of each sensor's part of the index does not count: half an hour of
/// a hundred sensors, one reading each every few seconds.
const READINGS: usize = 250_000;

pub fn run() -> Vec<Figure> {
    let nobody = Port::reserve();
    let away = format!("mqtt://127.0.0.1:{}", nobody.number());
    // Started once with sensors that rest: what an empty log weighs.
    let mut bridge = Bridge::start(|folder| config(&away, folder, "1h"));
    wait_until(Duration::from_secs(20), "every sensor has been read once", || rows(&bridge) >= 2 * SENSORS);
    bridge.terminate();
    let (empty, before) = (size(&bridge.database_path()), rows(&bridge));
    bridge.configure(&config(&away, bridge.folder(), "10ms"));
    bridge.resume();
    wait_until(Duration::from_secs(120), "the readings are there", || rows(&bridge) >= READINGS);
    bridge.terminate();
    let taken = rows(&bridge) - before;
    let grown = size(&bridge.database_path()) - empty;
    let alone = sqlite_alone(&bridge);
    vec![
        Figure::new("database, per reading", grown as f64 / taken as f64, "bytes", Target::AtMost(60.0))
            .beside("the same table in SQLite alone", alone),
    ]
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).map(|metadata| metadata.len()).unwrap_or(0)
}

/// Bytes per row of the same rows in the same table with the same indexes, written in one go.
fn sqlite_alone(bridge: &Bridge) -> f64 {
    let file = bridge.folder().join("alone.db");
    let alone = Connection::open(&file).unwrap();
    // The table alone: what it refers to stays where it is.
    alone.pragma_update(None, "foreign_keys", false).unwrap();
    alone.execute("ATTACH ?1 AS log", [bridge.database_path().to_str().unwrap()]).unwrap();
    let mut query = alone
        .prepare("SELECT sql FROM log.sqlite_schema WHERE tbl_name = 'reading' AND sql IS NOT NULL ORDER BY type DESC")
        .unwrap();
    let schema: Vec<String> = query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    drop(query);
    for statement in schema.iter().filter(|statement| !statement.starts_with("CREATE TRIGGER")) {
        alone.execute_batch(statement).unwrap();
    }
    let copied = alone.execute("INSERT INTO main.reading SELECT * FROM log.reading", []).unwrap();
    alone.close().unwrap();
    size(&file) as f64 / copied as f64
}
