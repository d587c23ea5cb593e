//! Speed and size of the real binary, each figure beside what mosquitto or SQLite alone do in the same run
//! on the same machine: `make bench`, or `make bench BENCH=drain` for one.
//!
//! Absolute numbers tell of the machine; the ratios and the targets tell of the bridge.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that fails is to stop")]

mod drain;
mod figure;
mod latency;
mod mirror;
mod process;
mod query;
mod resting;
mod size;
#[path = "../../tests/support/mod.rs"]
mod support;

use figure::Figure;

/// One scenario: its name, what it is about, and the measurement.
type Scenario = (&'static str, &'static str, fn() -> Vec<Figure>);

const SCENARIOS: &[Scenario] = &[
    ("mirror", "a backlog at QoS 1 into SQLite with sync full", mirror::run),
    ("drain", "a backlog of readings out at QoS 1", drain::run),
    ("latency", "100 sensors at 10 Hz, all changing, committed with sync full", latency::run),
    ("idle", "10 sensors at 1 Hz", resting::idle),
    ("start", "from the start of the process to the first reading at a subscriber", resting::start),
    (
        "query",
        "questions to 10 million readings of 100 quantities while 1,000 more come each second",
        query::run,
    ),
    ("size", "250,000 readings of 100 sensors on disk", size::run),
];

fn main() {
    // Cargo adds `--bench`; what is left is the name of a scenario.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let known: Vec<&str> = SCENARIOS.iter().map(|(name, ..)| *name).collect();
    if let Some(name) = wanted.iter().find(|name| !known.contains(name)) {
        eprintln!("no scenario {name:?}; there are {known:?}");
        std::process::exit(2);
    }
    if cfg!(debug_assertions) {
        println!("A debug build: the figures mean nothing.");
    }
    for (name, about, run) in SCENARIOS {
        if wanted.is_empty() || wanted.contains(name) {
            println!("{name}: {about}");
            for figure in run() {
                println!("  {figure}");
            }
        }
    }
}
