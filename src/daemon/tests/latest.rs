//! What a platform is told of the last readings.

use super::super::latest;
use crate::config::{self, Config};
use crate::enrich::clock;
use crate::log::{Log, Machine};
use crate::reading::{Reading, Value};
use crate::status::Board;

fn config(folder: &std::path::Path, unit: &str) -> Config {
    let yaml = format!(
        "device: {{id: pi}}\nlog: {{path: {}/bridge.db}}\nsensors:\n  - {{id: air, driver: bme280, bus: sim-1, \
         quantities: {{temperature: {{unit: {unit}}}}}}}\n",
        folder.display()
    );
    config::parse(&yaml, std::iter::empty()).unwrap()
}

/// A sensor that changed its unit has two series in the log, and 70 °F are not 70 °C.
#[test]
fn a_value_in_an_earlier_unit_is_not_told_in_the_one_of_now() {
    let folder = tempfile::tempdir().unwrap();
    let [before, after] = ["°F", "°C"].map(|unit| config(folder.path(), unit));
    let machine = Machine { boot_id: "boot".into(), now: clock::now };
    let log = Log::open(&after.log, &machine, &Board::new()).unwrap();
    let append = |config: &Config, value| {
        let channel = config.sensors[0].quantities.iter().map(|quantity| &quantity.channel);
        let channel = channel.filter(|channel| channel.quantity.as_str() == "temperature").cloned();
        let ids = log.register(&channel.collect::<Vec<_>>()).unwrap();
        let reading = Reading { channel: ids[0], at: clock::now(), value: Value::Float(value) };
        assert!(log.append(vec![reading]).is_ok());
        log.flush().unwrap();
    };
    let told = |config: &Config| -> Vec<Value> {
        latest(config, &log)().into_iter().map(|reading| reading.value).collect()
    };
    append(&before, 70.0);
    assert_eq!((told(&before), told(&after)), (vec![Value::Float(70.0)], vec![]));
    append(&after, 21.0);
    assert_eq!((told(&before), told(&after)), (vec![Value::Float(70.0)], vec![Value::Float(21.0)]));
    log.close().unwrap();
}
