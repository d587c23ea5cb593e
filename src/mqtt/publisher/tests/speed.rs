//! How fast a backlog drains. A measurement, run by hand.

use std::time::Instant;

use crate::config::MqttVersion;
use crate::mqtt::testing::*;
use crate::reading::Qos;

/// How fast a backlog drains, beside mosquitto_pub at the same broker. Prints; meant for a release build.
#[test]
#[ignore = "measures"]
fn drain_speed() {
    const ROWS: i64 = 200_000;
    // mosquitto_pub ends with the acknowledgement of its last packet id, and those wrap at 65,535.
    const THEIRS: i64 = 60_000;
    let broker = TestBroker::start("persistence false");
    let mut lines = String::new();
    for number in 1..=THEIRS {
        lines.push_str(&format!(
            "{{\"id\":\"9305efcd-{number}\",\"device\":\"pi\",\"sensor\":\"air\",\"quantity\":\"n\",\"value\":{number},\
             \"time\":\"2026-11-20T07:00:00.000000Z\",\"clock\":\"synced\"}}\n"
        ));
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("lines"), lines).unwrap();
    let begun = Instant::now();
    std::process::Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &broker.port.to_string(), "-q", "1", "-t", "test/n", "-l"])
        .stdin(std::fs::File::open(folder.path().join("lines")).unwrap())
        .status()
        .unwrap();
    let theirs = THEIRS as f64 / begun.elapsed().as_secs_f64();
    println!("mosquitto_pub -l -q 1: {theirs:.0}/s");
    for (version, qos) in [
        (MqttVersion::V311, Qos::AtLeastOnce),
        (MqttVersion::V5, Qos::AtLeastOnce),
        (MqttVersion::V311, Qos::AtMostOnce),
        (MqttVersion::V311, Qos::ExactlyOnce),
    ] {
        let bench = Bench::new();
        let channel = bench.channel(publish("test/n", qos));
        bench.append(channel, 1..=ROWS);
        bench.until("commit", || *bench.log.committed().borrow() == ROWS);
        let begun = Instant::now();
        let publisher = bench.start(&broker.config(version));
        bench.until("drain", || bench.figure("published") == ROWS);
        let ours = ROWS as f64 / begun.elapsed().as_secs_f64();
        println!("{version:?} {qos:?}: {ours:.0}/s, {:.0} %", 100.0 * ours / theirs);
        publisher.stop(soon());
        bench.assert_delivered();
    }
}
