//! Section `sensors`: the sensors, and where they sit.

use super::*;

#[test]
fn sensors() {
    let mut table = Table::default();
    let cases = [
        (
            "[{id: bridge, driver: panel}]",
            "[0].id: \"bridge\" is the name under which the bridge speaks of itself",
        ),
        ("[{id: a#, driver: panel}]", "[0].id: cannot contain '#': it is a level of MQTT topics"),
        ("[{id: a, driver: panel}, {id: a, driver: panel}]", "[1].id: \"a\" is the id of sensors[0] already"),
        ("[{id: a, driver: bme280}]", "[0].bus: is missing; write, for example, `bus: i2c-1`"),
        (
            "[{id: a, driver: bme280, bus: 1}]",
            "[0].bus: expected text such as i2c-1, found the number 1; write \"1\" in quotes",
        ),
        ("[{id: a, driver: bme280, bus: i2c-1, address: 0x10}]", "[0].address: is no address of a BME280"),
        (
            "[{id: a, driver: bme280, bus: i2c-1, oversampling: 3}]",
            "[0].oversampling: unknown value \"3\"; possible: 1, 2, 4",
        ),
        ("[{id: a, driver: bme280, bus: i2c-1, simulate: {fault: x}}]", "[0].simulate.fault: is no fault"),
        (
            "[{id: a, driver: bme280, bus: i2c-1}, {id: b, driver: bme280, bus: i2c-1, address: 0x76}]",
            "[1].address: address 0x76 on i2c-1 is taken by sensor \"a\"; each device on a bus has its own address",
        ),
        ("[{id: a, driver: panel, interval: 1ms}]", "[0].interval: must be between 10ms and 1d, not 1ms"),
        (
            "[{id: a, driver: panel, quantities: {door: {change: any}}}]",
            "[0].quantities.door: the driver panel has no quantity \"door\"; did you mean \"Door\"?",
        ),
        (
            "[{id: a, driver: panel, quantities: {state: {qos: 1}}}]",
            "[0].quantities.state: the driver panel has no quantity \"state\"; possible: Door, count, bytes, mode",
        ),
        (
            "[{id: a, driver: panel, quantities: {Door: {enabled: false}, count: {enabled: false}, bytes: {enabled: false}, mode: {enabled: false}}}]",
            "[0].quantities: every quantity is switched off; to switch the sensor off, write `enabled: false` beside its id",
        ),
        (
            "[{id: a, driver: panel, enabled: false, interval: 1}]",
            "[0].interval: expected a duration such as 1m, found the number 1; write \"1s\"",
        ),
    ];
    for (sensors, expected) in cases {
        let yaml = format!("sensors: {sensors}");
        table.row(&yaml, &format!("line 1: sensors{expected}"));
    }
    table.end();
}

#[test]
fn a_chip_select_and_a_serial_port_serve_one_sensor() {
    let yaml = "
sensors:
  - { id: a, driver: mcp3008, bus: spi-0.0 }
  - { id: b, driver: mcp3008, bus: spi-0.1 }
  - { id: c, driver: mcp3008, bus: spi-0.0, channels: [ch1] }
  - { id: d, driver: pms5003, port: /dev/ttyUSB0 }
  - { id: e, driver: pms5003, port: /dev/ttyUSB0 }
  - { id: f, driver: ds18b20 }
  - { id: g, driver: ds18b20 }
";
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), yaml).unwrap();
    // The real drivers: the paper ones of these tests sit on I2C only.
    let text = crate::config::load(file.path(), std::iter::empty()).unwrap_err().to_string();
    assert!(text.contains("spi-0.0 is taken by sensor \"a\""), "{text}");
    assert!(text.contains("sensors[4].port: /dev/ttyUSB0 is taken by sensor \"d\""), "{text}");
    assert_eq!(text.matches("is taken by").count(), 2, "{text}");
}
