//! How soon a question to a log of ten million readings is answered while the daemon writes, beside the same
//! question in SQL to the rows alone.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use sensor_bridge::log::Reader;
use sensor_bridge::log::series::Ask;

use crate::drain::{SENSORS, config, rows};
use crate::figure::{Figure, Target};
use crate::support::fill::{DAY, fill};
use crate::support::{Bridge, Port, wait_until};

const READINGS: i64 = 10_000_000;
const BUCKETS: usize = 500;

pub fn run() -> Vec<Figure> {
    let nobody = Port::reserve();
    let away = format!("mqtt://127.0.0.1:{}", nobody.number());
    let mut bridge = Bridge::start(|folder| config(&away, folder, "1h"));
    wait_until(Duration::from_secs(20), "every sensor has been read once", || rows(&bridge) >= 2 * SENSORS);
    bridge.terminate();
    let database = bridge.database_path();
    let newest = fill(&database, "value", READINGS);

    // As after an upgrade: the daemon is at work while it rolls up what is there.
    bridge.configure(&config(&away, bridge.folder(), "100ms"));
    let begun = Instant::now();
    bridge.resume();
    let before = rows(&bridge);
    wait_until(Duration::from_secs(20), "it takes readings", || rows(&bridge) > before);
    let started = begun.elapsed().as_secs_f64() * 1000.0;
    let plain = plot(&database, (newest - 30 * DAY, newest), 5);
    wait_until(Duration::from_secs(600), "it is rolled up", || waiting(&bridge) < 100_000);
    let rolled = begun.elapsed().as_secs_f64();

    let day = (newest - DAY, newest);
    let month = (newest - 30 * DAY, newest);
    let latest = median((0..20).map(|_| {
        let reader = Reader::open(&database).unwrap();
        time(|| assert!(reader.latest().unwrap().len() >= SENSORS))
    }));
    let figures = vec![
        Figure::new("to the first reading in such a log", started, "ms", Target::None),
        Figure::new("a log of an earlier version, rolled up", rolled, "s", Target::None),
        Figure::new("30 days of a quantity, before that", plain, "ms", Target::None),
        Figure::new("a day of a quantity", plot(&database, day, 20), "ms", Target::AtMost(50.0))
            .beside("SQL to the rows", alone(&database, day)),
        Figure::new("30 days of a quantity", plot(&database, month, 20), "ms", Target::AtMost(300.0))
            .beside("SQL to the rows", alone(&database, month)),
        Figure::new("the latest value of every quantity", latest, "ms", Target::AtMost(20.0)),
    ];
    bridge.terminate();
    figures
}

fn time(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64() * 1000.0
}

/// The middle one.
fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Milliseconds to answer one quantity after another, each over a connection of its own, as a page would.
fn plot(database: &Path, range: (i64, i64), quantities: usize) -> f64 {
    median((0..quantities).map(|number| {
        let ask = Ask::new(&format!("s{:03}", number * 7 % SENSORS), "value", range, BUCKETS);
        time(|| {
            let series = Reader::open(database).unwrap().series(&ask).unwrap();
            assert!(series.buckets.iter().map(|bucket| bucket.count).sum::<u64>() > 40_000);
        })
    }))
}

/// Milliseconds for the same buckets of a quantity by SQL.
fn alone(database: &Path, (from, to): (i64, i64)) -> f64 {
    median((0..5).map(|number| {
        let sql = format!(
            "SELECT time / {}, min(value), max(value), avg(value), count(*) FROM reading
             WHERE channel = (SELECT id FROM channel WHERE sensor = 's{:03}' AND quantity = 'value')
               AND time >= {from} AND time < {to} GROUP BY 1",
            (to - from) / BUCKETS as i64,
            number * 7 + 3,
        );
        time(|| {
            let mut buckets = 0;
            let mut reader = Reader::open(database).unwrap();
            let each = |_| {
                buckets += 1;
                ControlFlow::Continue(())
            };
            reader.sql(&sql, |_| {}, each).unwrap();
            assert!(buckets >= BUCKETS);
        })
    }))
}

/// Rows that are not rolled up.
fn waiting(bridge: &Bridge) -> i64 {
    let sql = "SELECT (SELECT max(id) FROM reading) - rolled FROM progress";
    bridge.database().query_row(sql, [], |row| row.get(0)).unwrap()
}
