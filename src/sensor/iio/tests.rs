//! The driver over made-up files of the kernel.

use std::fs;

use serde_json::json;

use super::*;
use crate::reading::Value;
use crate::sensor::sysfs::testing::tree;

fn read(root: &Path, options: Json) -> Result<Vec<f64>, SensorError> {
    let driver = configure_at(root, options.as_object().unwrap()).unwrap();
    let measured = driver.open(&Buses::new())?.read()?;
    Ok(measured.iter().map(|one| one.value.as_f64().unwrap()).collect())
}

/// A DHT22 (processed values), a converter (raw, shared scale) and a CO2 sensor.
fn machine() -> tempfile::TempDir {
    tree(&[
        ("sys/bus/iio/devices/iio:device0/name", "dht11@4\n"),
        ("sys/bus/iio/devices/iio:device0/in_temp_input", "21300\n"),
        ("sys/bus/iio/devices/iio:device0/in_humidityrelative_input", "47800\n"),
        ("sys/bus/iio/devices/iio:device1/name", "ads1015\n"),
        ("sys/bus/iio/devices/iio:device1/in_voltage0_raw", "1100\n"),
        ("sys/bus/iio/devices/iio:device1/in_voltage0_scale", "3.000000\n"),
        ("sys/bus/iio/devices/iio:device1/in_voltage1_raw", "-7\n"),
        ("sys/bus/iio/devices/iio:device1/in_voltage_scale", "2.000000\n"),
        ("sys/bus/iio/devices/iio:device1/in_voltage0-voltage1_raw", "10\n"),
        ("sys/bus/iio/devices/iio:device1/in_voltage-voltage_scale", "0.125000\n"),
        ("sys/bus/iio/devices/iio:device2/name", "scd30\n"),
        ("sys/bus/iio/devices/iio:device2/label", "hall\n"),
        ("sys/bus/iio/devices/iio:device2/in_concentration_co2_raw", "745\n"),
        ("sys/bus/iio/devices/iio:device2/in_concentration_co2_scale", "0.000100000\n"),
        ("sys/bus/iio/devices/iio:device2/in_temp_raw", "2371\n"),
        ("sys/bus/iio/devices/iio:device2/in_temp_offset", "-50\n"),
        ("sys/bus/iio/devices/iio:device2/in_temp_scale", "10\n"),
        ("sys/bus/iio/devices/iio:device2/in_pressure_input", "101.325000\n"),
        ("sys/bus/iio/devices/trigger0/name", "not a device\n"),
    ])
}

#[test]
fn the_kernels_units_become_ours() {
    let root = machine();
    for (device, channels, values) in [
        ("dht11@4", &["temp", "humidityrelative"][..], &[21.3, 47.8][..]),
        ("ads1015", &["voltage0", "voltage1", "voltage0-voltage1"], &[3.3, -0.014, 0.00125]),
        ("hall", &["concentration_co2", "temp", "pressure"], &[745.0, 23.21, 1013.25]),
        ("iio:device2", &["temp"], &[23.21]),
    ] {
        assert_eq!(read(root.path(), json!({"device": device, "channels": channels})).unwrap(), values);
    }
}

#[test]
fn quantities_and_units_follow_from_the_names() {
    for (name, quantity, unit) in [
        ("temp", "temperature", "°C"),
        ("humidityrelative", "humidity", "%"),
        ("voltage0-voltage1", "voltage0_voltage1", "V"),
        ("concentration_co2", "co2", "ppm"),
        ("massconcentration_pm2p5", "mass_concentration_pm2p5", "µg/m³"),
        ("accel_x", "acceleration_x", "m/s²"),
        ("anglvel_z", "angular_velocity_z", "rad/s"),
    ] {
        let channel = Channel::of(name).unwrap();
        assert_eq!((channel.quantity.as_str(), channel.unit), (quantity, unit));
    }
    for name in ["", "temperature", "in_temp", "temp_input/../x", "Temp", "sampling_frequency"] {
        assert!(Channel::of(name).is_err(), "{name}");
    }
}

#[test]
fn a_device_that_is_not_there_or_not_alone_says_so() {
    let root = machine();
    let error = |root: &Path, device: &str, channels: &[&str]| {
        read(root, json!({"device": device, "channels": channels})).unwrap_err().to_string()
    };
    let text = error(root.path(), "bmp280", &["temp"]);
    assert!(text.contains("no device bmp280; there are dht11@4 (iio:device0"), "{text}");
    let text = error(root.path(), "dht11@4", &["temp", "pressure"]);
    assert!(text.contains("has no channel pressure: there are humidityrelative, temp"), "{text}");
    let text = error(tree(&[]).path(), "bmp280", &["temp"]);
    assert!(text.contains("dtoverlay"), "{text}");
    fs::write(root.path().join("sys/bus/iio/devices/iio:device1/name"), "dht11@4").unwrap();
    let text = error(root.path(), "dht11@4", &["temp"]);
    assert!(text.contains("several devices are called dht11@4"), "{text}");
}

#[test]
fn a_channel_that_fails_is_left_out_and_all_failing_is_an_error() {
    let root = machine();
    let options = json!({"device": "dht11@4", "channels": ["temp", "humidityrelative"]});
    let driver = configure_at(root.path(), options.as_object().unwrap()).unwrap();
    let mut device = driver.open(&Buses::new()).unwrap();
    let file = |name: &str| root.path().join("sys/bus/iio/devices/iio:device0").join(name);
    fs::write(file("in_temp_input"), "nan\n").unwrap();
    assert_eq!(device.read().unwrap(), [Measured { quantity: 1, value: Value::Float(47.8) }]);
    fs::remove_dir_all(file("")).unwrap();
    let error = device.read().unwrap_err().to_string();
    assert!(error.contains("dht11@4, channel temp is not there any more"), "{error}");
}

#[test]
fn bad_options_are_all_named() {
    let keys = |options: Json| -> Vec<String> {
        let refused = configure(options.as_object().unwrap()).expect_err("should be refused");
        refused.into_iter().map(|problem| problem.key).collect()
    };
    assert_eq!(keys(json!({})), ["device", "channels"]);
    assert_eq!(keys(json!({"device": "a", "channels": []})), ["channels"]);
    assert_eq!(keys(json!({"device": "a", "channels": ["temp", "temp"]})), ["channels"]);
    assert_eq!(keys(json!({"device": "a", "channels": ["warmth"]})), ["channels"]);
}
