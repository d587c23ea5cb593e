//! The driver over made-up files of the kernel.

use std::fs;

use serde_json::json;

use super::*;
use crate::reading::Value;
use crate::sensor::sysfs::testing::tree;

const FIRST: &str = "28-0316a2795bff";
const SECOND: &str = "28-0416b3551cff";

/// What the kernel writes for a scratchpad whose first bytes are these.
fn answer(scratchpad: &str, verdict: &str, milli: i32) -> String {
    format!("{scratchpad} : crc=57 {verdict}\n{scratchpad} t={milli}\n")
}

/// A wire with these parts.
fn wire(parts: &[(&str, String)]) -> tempfile::TempDir {
    let mut files = vec![("sys/bus/w1/devices/w1_bus_master1/w1_master_name".to_owned(), String::new())];
    for (name, text) in parts {
        files.push((format!("{DEVICES}/{name}/w1_slave"), text.clone()));
    }
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    tree(&files)
}

fn read(root: &Path, options: Json) -> Result<Vec<Measured>, SensorError> {
    let driver = configure_at(root, options.as_object().unwrap()).unwrap();
    driver.open(&Buses::new())?.read()
}

fn float(quantity: usize, value: f64) -> Measured {
    Measured { quantity, value: Value::Float(value) }
}

#[test]
fn the_data_sheets_temperatures_are_read() {
    // Table 1, "Temperature/Data Relationship", as the kernel converts it.
    for (scratchpad, milli, celsius) in [
        ("d0 07 4b 46 7f ff 0c 10 f8", 125_000, 125.0),
        ("91 01 4b 46 7f ff 0c 10 25", 25_062, 25.062),
        ("a2 00 4b 46 7f ff 0c 10 d8", 10_125, 10.125),
        ("00 00 4b 46 7f ff 0c 10 1c", 0, 0.0),
        ("f8 ff 4b 46 7f ff 0c 10 a1", -500, -0.5),
        ("90 fc 4b 46 7f ff 0c 10 10", -55_000, -55.0),
    ] {
        let root = wire(&[(FIRST, answer(scratchpad, "YES", milli))]);
        assert_eq!(read(root.path(), json!({})), Ok(vec![float(0, celsius)]));
        assert_eq!(read(root.path(), json!({"device": FIRST})), Ok(vec![float(0, celsius)]));
    }
}

#[test]
fn what_was_not_measured_is_refused() {
    for (scratchpad, verdict, milli, words) in [
        ("50 05 4b 46 7f ff 0c 10 1c", "YES", 85_000, "just powered up"),
        ("91 01 4b 46 7f ff 0c 10 26", "NO", 25_062, "CRC of its answer is wrong"),
        ("00 00 00 00 00 00 00 00 00", "YES", 0, "shorted to ground"),
        ("ff ff ff ff ff ff ff ff ff", "NO", -62, "CRC"),
        ("d1 07 4b 46 7f ff 0c 10 f8", "YES", 125_062, "beyond what it can measure"),
    ] {
        let root = wire(&[(FIRST, answer(scratchpad, verdict, milli))]);
        let error = read(root.path(), json!({"device": FIRST})).unwrap_err().to_string();
        assert!(error.contains(words) && error.starts_with(FIRST), "{error}");
    }
    for text in ["", "garbage", "00 : crc=00 YES", "00 : crc=00 YES\n00 t=abc"] {
        let root = wire(&[(FIRST, text.to_owned())]);
        assert!(matches!(read(root.path(), json!({})), Err(SensorError::WrongAnswer(_))), "{text:?}");
    }
}

#[test]
fn several_on_a_wire_are_quantities_and_fail_one_by_one() {
    let good = |milli| answer("91 01 4b 46 7f ff 0c 10 25", "YES", milli);
    let root = wire(&[(FIRST, good(25_062)), (SECOND, good(30_500))]);
    let options = json!({"devices": {"return": FIRST, "flow": SECOND}});
    let driver = configure_at(root.path(), options.as_object().unwrap()).unwrap();
    let names: Vec<_> = driver.quantities().iter().map(|info| info.name.as_str()).collect();
    assert_eq!(names, ["flow", "return"]);
    assert_eq!(driver.longest_read(), 2 * READ_TIME);
    let mut device = driver.open(&Buses::new()).unwrap();
    assert_eq!(device.read(), Ok(vec![float(0, 30.5), float(1, 25.062)]));

    fs::remove_dir_all(root.path().join(DEVICES).join(SECOND)).unwrap();
    assert_eq!(device.read(), Ok(vec![float(1, 25.062)]));
    fs::remove_dir_all(root.path().join(DEVICES).join(FIRST)).unwrap();
    let error = device.read().unwrap_err().to_string();
    assert!(error.contains(&format!("{SECOND} is not on the wire (there: none)")), "{error}");

    let root = wire(&[(FIRST, good(25_062)), (SECOND, good(30_500))]);
    let error = read(root.path(), json!({})).unwrap_err().to_string();
    assert!(error.contains("say which with `device`") && error.contains(SECOND), "{error}");
}

#[test]
fn nothing_there_says_what_to_do() {
    let error = read(tree(&[]).path(), json!({})).unwrap_err().to_string();
    assert!(error.contains("dtoverlay=w1-gpio"), "{error}");
    let error = read(wire(&[]).path(), json!({})).unwrap_err().to_string();
    assert!(error.contains("no thermometer on the wire") && error.contains("pull-up"), "{error}");
    let error = read(wire(&[(SECOND, String::new())]).path(), json!({"device": FIRST})).unwrap_err();
    assert!(error.to_string().contains(&format!("there: {SECOND}")), "{error}");
}

#[test]
fn bad_options_are_all_named() {
    let keys = |options: Json| -> Vec<String> {
        let refused = configure(options.as_object().unwrap()).expect_err("should be refused");
        refused.into_iter().map(|problem| problem.key).collect()
    };
    assert_eq!(keys(json!({"device": "28-1"})), ["device"]);
    assert_eq!(keys(json!({"device": FIRST, "devices": {"a": SECOND}})), ["devices"]);
    assert_eq!(keys(json!({"devices": {}})), ["devices"]);
    assert_eq!(
        keys(json!({"devices": {"Flow": FIRST, "return": "29-0316a2795bff"}})),
        ["devices.Flow", "devices.return"]
    );
}
