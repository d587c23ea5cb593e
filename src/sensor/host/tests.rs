//! The driver over a made-up machine, and over this one.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::sensor::sysfs::testing::tree as machine;

const PROC: [(&str, &str); 3] = [
    ("proc/loadavg", "0.42 0.30 0.25 1/123 4567\n"),
    ("proc/meminfo", "MemTotal:        1000 kB\nMemFree:          100 kB\nMemAvailable:     750 kB\n"),
    ("proc/uptime", "1508.94 2146.37\n"),
];

fn host(root: &TempDir) -> Arc<dyn Driver> {
    let options = json!({"disk": root.path()});
    configure_at(root.path(), options.as_object().unwrap()).unwrap()
}

fn read(driver: &dyn Driver) -> BTreeMap<String, (Value, &'static str)> {
    let measured = driver.open(&Buses::new()).unwrap().read().unwrap();
    let quantities = driver.quantities();
    measured
        .into_iter()
        .map(|one| {
            let info = &quantities[one.quantity];
            assert_eq!(one.value.kind(), info.kind, "{}", info.name);
            (info.name.to_string(), (one.value, info.unit))
        })
        .collect()
}

#[test]
fn a_raspberry_pi_shows_what_it_has() {
    let pi = [
        ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
        ("sys/class/thermal/thermal_zone0/temp", "48312\n"),
        ("sys/class/hwmon/hwmon0/name", "cpu_thermal\n"),
        ("sys/class/hwmon/hwmon0/temp1_input", "48312\n"),
        ("sys/class/hwmon/hwmon1/name", "rpi_volt\n"),
        ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n"),
        ("sys/class/hwmon/hwmon2/name", "rp1_adc\n"),
        ("sys/class/hwmon/hwmon2/in1_input", "3287\n"),
        ("sys/class/hwmon/hwmon2/temp1_input", "-1500\n"),
        ("sys/class/hwmon/hwmon3/name", "pwmfan\n"),
        ("sys/class/hwmon/hwmon3/fan1_input", "2950\n"),
        ("sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n"),
    ];
    let root = machine(&[&PROC[..], &pi].concat());
    let values = read(&*host(&root));
    for (name, value, unit) in [
        ("cpu_temperature", Value::Float(48.312), "°C"),
        ("load_1m", Value::Float(0.42), ""),
        ("load_15m", Value::Float(0.25), ""),
        ("memory_used", Value::Float(25.0), "%"),
        ("memory_available", Value::Integer(768_000), "B"),
        ("uptime", Value::Integer(1508), "s"),
        ("rp1_adc_in1", Value::Float(3.287), "V"),
        ("rp1_adc_temp1", Value::Float(-1.5), "°C"),
        ("pwmfan_fan1", Value::Integer(2950), "rpm"),
        ("throttled", Value::Integer(0x50005), ""),
        ("under_voltage", Value::Bool(true), ""),
    ] {
        assert_eq!(values.get(name), Some(&(value, unit)), "{name}");
    }
    assert!(values["disk_used"].0.as_f64().is_some_and(|percent| (0.0..=100.0).contains(&percent)));
    assert!(!values.contains_key("cpu_thermal_temp1"), "the thermal zone is shown twice");
}

#[test]
fn a_pi_without_the_firmwares_flags_still_tells_under_voltage() {
    let alarm =
        [("sys/class/hwmon/hwmon1/name", "rpi_volt\n"), ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")];
    assert_eq!(read(&*host(&machine(&alarm)))["under_voltage"].0, Value::Bool(true));
}

#[test]
fn a_pc_has_names_that_do_not_collide_or_depend_on_numbers() {
    let pc = [
        ("sys/class/thermal/thermal_zone0/type", "acpitz\n"),
        ("sys/class/thermal/thermal_zone0/temp", "27800\n"),
        ("sys/class/thermal/thermal_zone10/type", "x86_pkg_temp\n"),
        ("sys/class/thermal/thermal_zone10/temp", "51000\n"),
        ("sys/class/hwmon/hwmon0/name", "nvme\n"),
        ("sys/class/hwmon/hwmon0/temp1_label", "Composite\n"),
        ("sys/class/hwmon/hwmon0/temp1_input", "30000\n"),
        ("sys/class/hwmon/hwmon4/name", "nvme\n"),
        ("sys/class/hwmon/hwmon4/temp1_label", "Composite\n"),
        ("sys/class/hwmon/hwmon4/temp1_input", "40000\n"),
    ];
    let root = machine(&pc);
    let driver = host(&root);
    let values = read(&*driver);
    assert_eq!(values["cpu_temperature"].0, Value::Float(51.0));
    assert_eq!(values["acpitz_temperature"].0, Value::Float(27.8));
    assert_eq!(values["nvme_composite"].0, Value::Float(30.0));
    assert_eq!(values["nvme_composite_2"].0, Value::Float(40.0));

    // A chip that is numbered anew is found by its name when the sensor is opened again.
    let class = root.path().join("sys/class/hwmon");
    fs::remove_dir_all(class.join("hwmon4")).unwrap();
    fs::rename(class.join("hwmon0"), class.join("hwmon7")).unwrap();
    let values = read(&*driver);
    assert_eq!(values["nvme_composite"].0, Value::Float(30.0));
    assert!(!values.contains_key("nvme_composite_2"));
}

#[test]
fn what_cannot_be_read_is_left_out() {
    let broken = [
        ("proc/loadavg", "nan what\n"),
        ("proc/meminfo", "MemTotal: many kB\n"),
        ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
        ("sys/class/thermal/thermal_zone0/temp", "\n"),
    ];
    let root = machine(&broken);
    let values = read(&*host(&root));
    assert_eq!(values.keys().collect::<Vec<_>>(), ["disk_free", "disk_used"]);

    let options = json!({"disk": "/no/such/directory"});
    let driver = configure_at(root.path(), options.as_object().unwrap()).unwrap();
    let error = driver.open(&Buses::new()).unwrap().read().unwrap_err().to_string();
    assert!(error.contains("nothing to be read"), "{error}");
}

#[test]
fn this_machine_answers() {
    let driver = configure(&Map::new()).unwrap();
    let values = read(&*driver);
    for name in ["load_1m", "memory_used", "memory_available", "disk_used", "disk_free", "uptime"] {
        assert!(values.contains_key(name), "{name} is missing: {values:?}");
    }
    assert!(values["uptime"].0.as_f64().is_some_and(|seconds| seconds > 0.0));
}

#[test]
fn a_disk_is_an_absolute_path() {
    let options = json!({"disk": "data"});
    let problems = configure(options.as_object().unwrap()).expect_err("should be refused");
    assert_eq!(problems[0].key, "disk");
}
