//! A snapshot of a daemon that is well, for the tests of those who look at one.

use super::snapshot::*;
use super::{Health, judge};

fn ok(seconds: f64) -> Condition {
    Condition { state: Word::Ok, reason: None, state_seconds: seconds }
}

fn quantity(name: &str, unit: &str, value: Option<Shown>) -> Quantity {
    Quantity {
        quantity: name.into(),
        unit: unit.into(),
        time: value.as_ref().map(|_| "2026-11-20T07:00:00.123456Z".into()),
        age_seconds: value.as_ref().map(|_| 2.5),
        clock: value.as_ref().map(|_| "synced".into()),
        verdict: value.as_ref().map(|_| "unchanged".into()),
        logged: value.clone(),
        logged_age_seconds: value.as_ref().map(|_| 62.5),
        value,
    }
}

/// Everything there is, and all of it is well.
pub(crate) fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot {
        time: "2026-11-20T07:00:02.623456Z".into(),
        version: "0.1.0".into(),
        device: "greenhouse-pi".into(),
        database: "/var/lib/sensor-bridge/bridge.db".into(),
        uptime_seconds: 93_784.5,
        health: Health::default(),
        clock: Clock { quality: "synced".into() },
        broker: Some(Broker {
            url: "mqtt://broker.example:1883".into(),
            condition: ok(3_600.0),
            round_trip_seconds: Some(0.0123),
            retry_seconds: None,
            in_flight: 3,
            backlog_rows: 1_200,
            late_rows: 200,
            drain_per_second: 100.0,
            drain_seconds_left: Some(12.0),
            published: 123_456,
            refused: 2,
            discarded: 1,
            thinned: 3,
            connections: 4,
            latency: Latency {
                buckets: vec![(0.001, 10), (0.0025, 15), (120.0, 20)],
                count: 21,
                sum_seconds: 133.7,
            },
        }),
        sensors: vec![Sensor {
            sensor: "air".into(),
            driver: "bme280".into(),
            condition: ok(93_784.0),
            interval_seconds: 10.0,
            next_read_seconds: Some(7.5),
            samples: 9_378,
            passed: 1_234,
            suppressed: 26_900,
            rejected: 5,
            dropped: 4,
            errors: 3,
            skipped: 2,
            lost: 1,
            held: 1,
            quantities: vec![
                quantity("temperature", "°C", Some(Shown::Float(21.43))),
                quantity("humidity", "%", None),
                quantity("mode", "", Some(Shown::Text("warm".into()))),
                quantity("open", "", Some(Shown::Bool(true))),
            ],
        }],
        mirrors: vec![Mirror {
            mirror: "back".into(),
            topics: vec!["castel/#".into()],
            to: "sqlite".into(),
            condition: ok(3_600.0),
            received: 1_000,
            stored: 990,
            repeats: 10,
            refused: 3,
            bad_json: 1,
            reconnects: 2,
            per_second: 0.5,
            last_message_seconds: Some(1.5),
        }],
        outputs: vec![Output {
            output: "fan".into(),
            driver: "pwm".into(),
            condition: ok(93_784.0),
            digital: false,
            level: 42.5,
            safe_level: 0.0,
            changes: 12,
            refused: 1,
            errors: 2,
        }],
        log: LogFacts {
            condition: ok(93_784.0),
            rows: 4_000_000,
            last_row: 5_000_000,
            oldest: Some("2026-08-22T07:00:00.000000Z".into()),
            size_bytes: 400_000_000,
            wal_bytes: 4_000_000,
            queue: 1,
            written: 1_234,
            messages: 990,
            commits: 2_000,
            commit_max_seconds: 0.25,
            deleted: 77,
            lost: 6,
            rejected: 0,
            refused: 2,
            gaps: vec![Gap { reason: "busy".into(), lost: 6, last: "2026-11-19T07:00:00.000000Z".into() }],
            max_age_seconds: Some(7_776_000.0),
            max_size_bytes: Some(2_000_000_000),
        },
        machine: Machine {
            memory_resident_bytes: Some(11_800_000),
            memory_available_bytes: Some(300_000_000),
            memory_total_bytes: Some(512_000_000),
            cpu_seconds: 321.5,
            disk_free_bytes: Some(60_000),
            disk_total_bytes: Some(100_000),
        },
        parts: Vec::new(),
        warnings: 7,
        events: vec![Event {
            time: "2026-11-20T06:00:02.623456Z".into(),
            age_seconds: 3_600.0,
            part: "publisher".into(),
            warning: false,
            what: "ok".into(),
        }],
    };
    snapshot.health = judge(&snapshot);
    snapshot
}
