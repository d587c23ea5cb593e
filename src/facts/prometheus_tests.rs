//! Tests of the text format: our own strict reading of it. `tests/status.rs` has Prometheus' own parser read it,
//! where that is installed.

use std::collections::{BTreeMap, BTreeSet};

use super::Shown;
use super::prometheus::{METRICS, render};
use super::testing::snapshot;

/// A sample: name with suffix, labels, value.
type Sample = (String, BTreeMap<String, String>, f64);

/// Reads the text as the specification has it, and faults everything that it does not allow or advise.
fn parse(text: &str) -> Vec<Sample> {
    assert!(text.ends_with('\n'), "the last line must end with a line feed");
    let (mut samples, mut seen, mut done) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let mut current: Option<(String, String)> = None;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect(line);
            assert!(help.ends_with('.') && help.len() < 120, "{line}");
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).expect(line).to_owned();
            assert!(["counter", "gauge", "histogram"].contains(&kind.as_str()), "{kind}");
            assert!(done.insert(name.to_owned()), "{name} comes twice: its samples must stand together");
            current = Some((name.to_owned(), kind));
            continue;
        }
        let (name, labels, value) = sample(line);
        let (family, kind) = current.as_ref().expect(line);
        let suffix = name.strip_prefix(family.as_str()).expect(line);
        match kind.as_str() {
            "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}"),
            "counter" => assert!(suffix.is_empty() && name.ends_with("_total") && value >= 0.0, "{line}"),
            _ => assert!(suffix.is_empty() && !name.ends_with("_total"), "{line}"),
        }
        assert!(seen.insert((name.clone(), labels.clone())), "twice: {line}");
        samples.push((name, labels, value));
    }
    samples
}

fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).expect(line);
    let (name, mut rest) = line.split_at(end);
    assert!(name.starts_with(|c: char| c.is_ascii_lowercase()), "{line}");
    assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").expect(line);
            assert!(
                label.chars().all(|c| c.is_ascii_lowercase() || c == '_') && label != "__name__",
                "{line}"
            );
            let (value, after) = quoted(after);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => break rest = after.strip_prefix('}').expect(line),
            }
        }
    }
    let value = rest.strip_prefix(' ').expect(line);
    assert!(!value.contains(' '), "no time stamps: {line}");
    (name.to_owned(), labels, value.parse().expect(line))
}

/// Up to the closing quote, and what is after it.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match letters.next().unwrap().1 {
                'n' => '\n',
                other => {
                    assert!(['"', '\\'].contains(&other), "\\{other}");
                    other
                }
            }),
            other => value.push(other),
        }
    }
    panic!("no closing quote: {text}")
}

fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
    let found = samples.iter().find(|sample| sample.0 == name && sample.1 == labels);
    found.unwrap_or_else(|| panic!("no {name}{labels:?}")).2
}

#[test]
fn every_metric_of_the_table_is_there_and_reads_back() {
    let samples = parse(&render(&snapshot()));
    let families: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(families.len(), METRICS.len(), "a name twice");
    for metric in METRICS {
        let of = |name: &str| {
            name.strip_prefix(metric.name)
                .is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
        };
        let of_metric: Vec<_> = samples.iter().filter(|sample| of(&sample.0)).collect();
        assert!(!of_metric.is_empty(), "{} has no sample", metric.name);
        for (_, labels, _) in of_metric {
            let names: BTreeSet<&str> =
                labels.keys().map(String::as_str).filter(|name| *name != "le").collect();
            assert_eq!(names, metric.labels.iter().copied().collect(), "{}", metric.name);
        }
    }
    let air = ("sensor", "air");
    assert_eq!(value(&samples, "sensor_bridge_readings_total", &[air]), 1_234.0);
    assert_eq!(value(&samples, "sensor_bridge_backlog_rows", &[]), 1_200.0);
    let temperature = [air, ("quantity", "temperature"), ("unit", "°C")];
    assert_eq!(value(&samples, "sensor_bridge_reading_value", &temperature), 21.43);
    assert_eq!(
        value(&samples, "sensor_bridge_reading_value", &[air, ("quantity", "open"), ("unit", "")]),
        1.0
    );
    let build = [("version", "0.1.0"), ("device", "greenhouse-pi")];
    assert_eq!(value(&samples, "sensor_bridge_build_info", &build), 1.0);
}

#[test]
fn a_histogram_is_cumulated_and_complete() {
    let samples = parse(&render(&snapshot()));
    let name = "sensor_bridge_publish_latency_seconds";
    let buckets: Vec<(f64, f64)> = samples
        .iter()
        .filter(|sample| sample.0 == format!("{name}_bucket"))
        .map(|(_, labels, count)| (labels["le"].replace("+Inf", "inf").parse().unwrap(), *count))
        .collect();
    assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{buckets:?}");
    assert_eq!(buckets.last(), Some(&(f64::INFINITY, 21.0)));
    assert_eq!(value(&samples, &format!("{name}_count"), &[]), 21.0);
    assert_eq!(value(&samples, &format!("{name}_sum"), &[]), 133.7);
}

#[test]
fn labels_are_escaped() {
    let mut snapshot = snapshot();
    let name = "a\\b\"c\nd";
    snapshot.sensors[0].sensor = name.into();
    snapshot.device = "\\".into();
    let samples = parse(&render(&snapshot));
    assert_eq!(value(&samples, "sensor_bridge_samples_total", &[("sensor", name)]), 9_378.0);
    assert_eq!(value(&samples, "sensor_bridge_build_info", &[("version", "0.1.0"), ("device", "\\")]), 1.0);
}

#[test]
fn what_is_not_there_has_no_samples() {
    let mut snapshot = snapshot();
    snapshot.broker = None;
    snapshot.sensors.clear();
    snapshot.mirrors.clear();
    snapshot.machine = Default::default();
    let samples = parse(&render(&snapshot));
    let about = |word: &str| samples.iter().any(|sample| sample.0.contains(word));
    assert!(
        !about("broker") && !about("latency") && !about("sensor_up") && !about("mirror") && !about("disk")
    );
    assert!(about("log_commits"));
}

#[test]
fn numbers_of_every_kind() {
    for (number, text) in [
        (0.0, "0"),
        (1e21, "1000000000000000000000"),
        (0.1, "0.1"),
        (-1.5e-7, "-0.00000015"),
        (f64::NAN, "NaN"),
    ] {
        assert_eq!(super::prometheus::number(number), text);
    }
    let mut snapshot = snapshot();
    snapshot.sensors[0].quantities[0].value = Some(Shown::Float(f64::INFINITY));
    assert!(render(&snapshot).contains("unit=\"°C\"} +Inf\n"));
}
