//! The driver over made-up files of the kernel.

use std::fs;

use serde_json::json;

use super::*;
use crate::reading::Value;
use crate::sensor::sysfs::testing::tree;

fn machine() -> tempfile::TempDir {
    tree(&[
        ("sys/class/hwmon/hwmon0/name", "nvme\n"),
        ("sys/class/hwmon/hwmon0/temp1_input", "36850\n"),
        ("sys/class/hwmon/hwmon0/temp1_label", "Composite\n"),
        ("sys/class/hwmon/hwmon0/temp2_input", "-2500\n"),
        ("sys/class/hwmon/hwmon0/temp2_label", "Sensor 1\n"),
        ("sys/class/hwmon/hwmon1/name", "ina219\n"),
        ("sys/class/hwmon/hwmon1/device/uevent", ""),
        ("sys/class/hwmon/hwmon1/in1_input", "5004\n"),
        ("sys/class/hwmon/hwmon1/curr1_input", "-250\n"),
        ("sys/class/hwmon/hwmon1/power1_input", "1251000\n"),
        ("sys/class/hwmon/hwmon1/fan1_input", "1200\n"),
        ("sys/class/hwmon/hwmon1/update_interval", "2\n"),
    ])
}

fn read(root: &Path, options: Json) -> Result<Vec<f64>, SensorError> {
    let driver = configure_at(root, options.as_object().unwrap()).unwrap();
    let measured = driver.open(&Buses::new())?.read()?;
    Ok(measured.iter().map(|one| one.value.as_f64().unwrap()).collect())
}

#[test]
fn inputs_are_read_by_number_and_by_label() {
    let root = machine();
    for (chip, inputs, values) in [
        ("nvme", &["temp:Composite", "temp2"][..], &[36.85, -2.5][..]),
        ("nvme", &["temp:Sensor 1"], &[-2.5]),
        ("ina219", &["in1", "curr1", "power1", "fan1"], &[5.004, -0.25, 1.251, 1200.0]),
    ] {
        assert_eq!(read(root.path(), json!({"chip": chip, "inputs": inputs})).unwrap(), values);
    }
    let options = json!({"chip": "nvme", "inputs": ["temp:Sensor 1", "temp1"]});
    let driver = configure_at(root.path(), options.as_object().unwrap()).unwrap();
    let names: Vec<_> = driver.quantities().iter().map(|info| (info.name.as_str(), info.unit)).collect();
    assert_eq!(names, [("sensor_1", "°C"), ("temp1", "°C")]);
}

#[test]
fn what_is_missing_or_not_alone_says_so() {
    let root = machine();
    let error = |options: Json| read(root.path(), options).unwrap_err().to_string();
    let text = error(json!({"chip": "lm75", "inputs": ["temp1"]}));
    assert_eq!(text, "the kernel monitors no chip lm75; there are nvme, ina219 (at device)");
    let text = error(json!({"chip": "nvme", "inputs": ["temp1", "temp:Heart"]}));
    assert_eq!(text, "nvme has no input temp:Heart: there are temp:Composite, temp:Sensor 1");
    fs::write(root.path().join("sys/class/hwmon/hwmon0/name"), "ina219\n").unwrap();
    let text = error(json!({"chip": "ina219", "inputs": ["temp1"]}));
    assert!(text.contains("several chips are called ina219: say which with `at`"), "{text}");
    let nothing = tempfile::tempdir().unwrap();
    let text = read(nothing.path(), json!({"chip": "nvme", "inputs": ["temp1"]})).unwrap_err().to_string();
    assert_eq!(text, "the kernel monitors no chip nvme, nor any other: is its driver loaded?");
    assert_eq!(
        read(root.path(), json!({"chip": "ina219", "at": "device", "inputs": ["in1"]})),
        Ok(vec![5.004])
    );
}

#[test]
fn an_input_that_fails_is_left_out_and_all_failing_is_an_error() {
    let root = machine();
    let options = json!({"chip": "nvme", "inputs": ["temp1", "temp2"]});
    let driver = configure_at(root.path(), options.as_object().unwrap()).unwrap();
    let mut device = driver.open(&Buses::new()).unwrap();
    let chip = root.path().join("sys/class/hwmon/hwmon0");
    fs::write(chip.join("temp1_input"), "warm").unwrap();
    assert_eq!(device.read().unwrap(), [Measured { quantity: 1, value: Value::Float(-2.5) }]);
    fs::remove_dir_all(chip).unwrap();
    let error = device.read().unwrap_err().to_string();
    assert!(error.contains("nvme, input temp1 is not there any more"), "{error}");
}

#[test]
fn bad_options_are_all_named() {
    let keys = |options: Json| -> Vec<String> {
        let refused = configure(options.as_object().unwrap()).expect_err("should be refused");
        refused.into_iter().map(|problem| problem.key).collect()
    };
    assert_eq!(keys(json!({})), ["chip", "inputs"]);
    for inputs in
        [json!([]), json!(["temp1", "temp1"]), json!(["warm1"]), json!(["temp:"]), json!(["temp+1"])]
    {
        assert_eq!(keys(json!({"chip": "nvme", "inputs": inputs})), ["inputs"], "{inputs}");
    }
}
