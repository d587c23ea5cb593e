//! What the bridge costs while there is little to do, and how soon it is at work.

use std::time::{Duration, Instant};

use crate::figure::{Figure, Target};
use crate::process::{Processor, proportional, resident};
use crate::support::wire::{Packet, Wire};
use crate::support::{Bridge, Mosquitto};

fn bridge(broker: &Mosquitto) -> Bridge {
    let url = broker.url();
    Bridge::prepare(|folder| {
        let mut text = format!(
            "device: {{ id: bench }}\nmqtt: {{ url: \"{url}\", topic: \"bench/{{device}}/{{sensor}}/{{quantity}}\", qos: 1 }}\n\
             log: {{ path: {}/bridge.db }}\nsensors:\n",
            folder.display()
        );
        for number in 0..10 {
            text.push_str(&format!("  - {{ id: s{number}, driver: sim, interval: 1s, scenario: sine }}\n"));
        }
        text
    })
}

fn reading(wire: &mut Wire, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    loop {
        match wire.receive(end.saturating_duration_since(Instant::now())).unwrap() {
            Some(Packet::Publish { .. }) => return true,
            Some(_) => {}
            None => return false,
        }
    }
}

fn subscribe(broker: &Mosquitto) -> Wire {
    let (mut wire, _) = Wire::connect(broker.port(), "witness", true).unwrap();
    // Readings only: a start begins with `online`, two levels shorter.
    wire.subscribe("bench/+/+/value", 0).unwrap();
    wire
}

/// Memory and processor with 10 sensors at 1 Hz.
pub fn idle() -> Vec<Figure> {
    let broker = Mosquitto::start();
    let mut wire = subscribe(&broker);
    let mut bridge = bridge(&broker);
    bridge.resume();
    assert!(reading(&mut wire, Duration::from_secs(20)), "no reading\n{}", bridge.last_words());
    std::thread::sleep(Duration::from_secs(5));
    let pid = bridge.pid().unwrap();
    let processor = Processor::watch(pid);
    std::thread::sleep(Duration::from_secs(20));
    vec![
        Figure::new("resident memory", resident(pid), "MB", Target::AtMost(12.0)),
        Figure::new("proportional memory (PSS)", proportional(pid), "MB", Target::None),
        Figure::new("processor (share of one core)", processor.percent(), "%", Target::AtMost(0.5)),
    ]
}

/// From the start of the process to the first reading at a subscriber.
pub fn start() -> Vec<Figure> {
    let broker = Mosquitto::start();
    let mut bridge = bridge(&broker);
    let mut times = Vec::new();
    for _ in 0..7 {
        let mut wire = subscribe(&broker);
        let begun = Instant::now();
        bridge.resume();
        assert!(reading(&mut wire, Duration::from_secs(20)), "no reading\n{}", bridge.last_words());
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        assert!(bridge.terminate().success(), "{}", bridge.last_words());
    }
    let first = times[0];
    times.sort_by(f64::total_cmp);
    vec![
        Figure::new("with a new database", first, "ms", Target::AtMost(200.0)),
        Figure::new("median of seven starts", times[times.len() / 2], "ms", Target::AtMost(200.0)),
    ]
}
