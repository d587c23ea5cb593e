//! From the sample to an independent subscriber, every reading committed with sync full on the way.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sensor_bridge::enrich::clock;
use serde_json::Value;

use crate::figure::{Figure, Target};
use crate::process::Processor;
use crate::support::wire::{Packet, Wire};
use crate::support::{Bridge, Mosquitto};

const SENSORS: usize = 100;
const INTERVAL: i64 = 100_000;
const WARM_UP: Duration = Duration::from_secs(3);
const MEASURED: Duration = Duration::from_secs(20);
/// 2026-01-01T00:00:00Z, µs since the Unix epoch: where the scenario `clock` counts from.
const ORIGIN: i64 = 1_767_225_600_000_000;

pub fn run() -> Vec<Figure> {
    let broker = Mosquitto::with("persistence false");
    let (mut wire, _) = Wire::connect(broker.port(), "witness", true).unwrap();
    wire.subscribe("bench/+/+/value", 1).unwrap();
    let url = broker.url();
    let bridge = Bridge::start(|folder| {
        let mut text = format!(
            "device: {{ id: bench }}\nmqtt: {{ url: \"{url}\", topic: \"bench/{{device}}/{{sensor}}/{{quantity}}\", qos: 1 }}\n\
             log: {{ path: {}/bridge.db, sync: full }}\nsensors:\n",
            folder.display()
        );
        for number in 0..SENSORS {
            text.push_str(&format!(
                "  - {{ id: s{number:03}, driver: sim, interval: 100ms, scenario: clock, every: 1, \
                 quantities: {{ value: {{ change: always }} }} }}\n"
            ));
        }
        text
    });
    collect(&mut wire, WARM_UP);
    let processor = Processor::watch(bridge.pid().unwrap());
    let seen = collect(&mut wire, MEASURED);
    let percent = processor.percent();

    let mut delays: Vec<i64> = seen.values().flatten().map(|(sampled, arrived)| arrived - sampled).collect();
    delays.sort_unstable();
    assert!(delays.len() > SENSORS * 10, "only {} readings arrived\n{}", delays.len(), bridge.last_words());
    let share = |part: f64| delays[((delays.len() - 1) as f64 * part) as usize] as f64 / 1000.0;
    let (mut skipped, mut late) = (0, 0);
    for samples in seen.values() {
        let times: Vec<i64> = samples.iter().map(|(sampled, _)| *sampled).collect();
        let (first, last) = (times[0], times[times.len() - 1]);
        let due = (last - first + INTERVAL / 2) / INTERVAL + 1;
        skipped += due - times.len() as i64;
        // Against the schedule, not against the sample before: that would hide a drift. The best sample
        // tells where the schedule lies.
        let behind = |time: &i64| (time - first + INTERVAL / 2).rem_euclid(INTERVAL) - INTERVAL / 2;
        let best = times.iter().map(behind).min().unwrap_or(0);
        late += times.iter().filter(|time| behind(time) - best > INTERVAL / 10).count();
    }
    vec![
        Figure::new(format!("samples skipped of {}", delays.len()), skipped as f64, "", Target::AtMost(0.0)),
        Figure::new("samples late by more than 10 ms", late as f64, "", Target::AtMost(0.0)),
        Figure::new("half of the readings arrive within", share(0.5), "ms", Target::None),
        Figure::new("99 % of the readings arrive within", share(0.99), "ms", Target::AtMost(10.0)),
        Figure::new("the slowest reading", share(1.0), "ms", Target::None),
        Figure::new("processor (share of one core)", percent, "%", Target::AtMost(15.0)),
    ]
}

/// Times of sampling and of arrival by topic, µs since the Unix epoch, for as long as told.
fn collect(wire: &mut Wire, time: Duration) -> HashMap<String, Vec<(i64, i64)>> {
    let end = Instant::now() + time;
    let mut seen: HashMap<String, Vec<(i64, i64)>> = HashMap::new();
    while let Some(packet) = wire.receive(end.saturating_duration_since(Instant::now())).unwrap() {
        let Packet::Publish { topic, id, payload, .. } = packet else { continue };
        let arrived = clock::now().wall.0;
        wire.puback(id);
        wire.flush().unwrap();
        let json: Value = serde_json::from_slice(&payload).unwrap();
        let sampled = json["value"].as_i64().expect("the clock's value is a whole number") + ORIGIN;
        seen.entry(topic).or_default().push((sampled, arrived));
        if Instant::now() >= end {
            break;
        }
    }
    seen
}
