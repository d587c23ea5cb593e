//! The table of drivers in `docs/sensors.md` is that of the registry, and every driver has a section below it.
//!
//! After a change of a driver: `UPDATE_DOCS=1 cargo test --test sensor_docs` writes the table anew.

// The helpers are tests, too; clippy's exception covers only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

use sensor_bridge::sensor::{DriverKind, QuantityInfo, registry};
use serde_json::json;

/// Drivers whose quantities depend on the machine or on what is asked for.
const OPEN: [(&str, &str); 5] = [
    ("digital-input", "active"),
    ("host", "of the machine: temperatures, load, memory, disk, uptime, supply"),
    ("hwmon", "the inputs named"),
    ("iio", "the channels named"),
    ("pulse-counter", "total, rate"),
];

#[test]
fn the_table_is_that_of_the_registry() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sensors.md");
    let text = fs::read_to_string(&file).unwrap();
    let (begin, end) = ("<!-- drivers -->\n", "<!-- end of drivers -->");
    let (before, rest) = text.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let fresh = format!("{before}{begin}{}{end}{after}", table(&text));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, &fresh).unwrap();
        return;
    }
    assert!(fresh == text, "docs/sensors.md is old: UPDATE_DOCS=1 cargo test --test sensor_docs");
}

fn table(page: &str) -> String {
    let mut text = "| driver | what it is | I2C address | quantities |\n|---|---|---|---|\n".to_owned();
    for kind in registry() {
        let addresses: Vec<String> = kind.addresses.iter().map(|address| format!("{address:#04x}")).collect();
        let addresses = match addresses.as_slice() {
            [first, .., last] if addresses.len() > 3 => format!("{first} … {last}"),
            some => some.join(", "),
        };
        text.push_str(&format!(
            "| [`{}`](#{}) | {} | {addresses} | {} |\n",
            kind.name,
            anchor(page, kind.name),
            kind.summary,
            quantities(kind)
        ));
    }
    text
}

/// Where the section of a driver is, as GitHub makes anchors of headings.
fn anchor(page: &str, driver: &str) -> String {
    let headings = page.lines().filter_map(|line| line.strip_prefix("## "));
    let heading = headings
        .into_iter()
        .find(|heading| heading.split([' ', ',']).any(|word| word == driver))
        .unwrap_or_else(|| panic!("docs/sensors.md has no section for {driver}"));
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-').collect()
}

/// With the fewest options that the driver is content with.
fn quantities(kind: &DriverKind) -> String {
    if let Some((_, words)) = OPEN.iter().find(|(name, _)| *name == kind.name) {
        return (*words).to_owned();
    }
    let options = [json!({}), json!({"bus": "sim-1"}), json!({"bus": "sim-0.0"}), json!({"pin": 4})];
    let driver = options
        .iter()
        .find_map(|options| (kind.configure)(options.as_object().unwrap()).ok())
        .unwrap_or_else(|| panic!("{} wants more options than this test knows", kind.name));
    let all = driver.quantities();
    let alike = all.iter().all(|info| (info.unit, info.range) == (all[0].unit, all[0].range));
    match all {
        [first, .., last] if alike && all.len() > 3 => {
            format!("{} … {}{}", first.name, last.name, unit_and_range(first))
        }
        _ => all
            .iter()
            .map(|info| format!("{}{}", info.name, unit_and_range(info)))
            .collect::<Vec<_>>()
            .join("; "),
    }
}

/// Without the noise of binary fractions.
fn shown(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

fn unit_and_range(info: &QuantityInfo) -> String {
    let range = info
        .range
        .filter(|range| *range != (0.0, 1.0))
        .map(|(low, high)| format!(" {} … {}", shown(low), shown(high)));
    let text = range.unwrap_or_default().replace('-', "−");
    let unit = if info.unit.is_empty() { String::new() } else { format!(" {}", info.unit) };
    format!("{text}{unit}")
}
