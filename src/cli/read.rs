//! `sensor-bridge read SENSOR`: reads one sensor of the configuration and shows what it says. Nothing is
//! logged or published; a running bridge is not disturbed beyond sharing the bus.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use serde_json::{Map, Value as Json, json};

use super::{Global, terminal};
use crate::bus::Buses;
use crate::config::{self, Sensor, duration};
use crate::enrich::clock;
use crate::filter;
use crate::reading::{Measured, Timestamp, Value};
use crate::sensor::{Attachment, Driver, SensorError};

/// Read one sensor of the configuration now and show its values
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge read air                         one reading
  sensor-bridge read air --count 10 --interval 1s
  sensor-bridge read air --json                  one JSON object a reading
  sensor-bridge read air --record air.jsonl      for bus: replay:air.jsonl

Exit code: 0 every reading came, 1 the sensor did not answer, 78 the
configuration is wrong.")]
pub struct Args {
    /// The sensor's id in the configuration
    pub sensor: String,
    /// How many readings to take
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,
    /// Time between readings
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration::parse)]
    pub interval: Duration,
    /// Write what goes over the sensor's I2C bus to this file; it can be played back with bus: replay:FILE
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

/// Runs it.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let config = global.load()?;
    let sensor = find(&config.sensors, &args.sensor)?;
    let buses = Arc::new(buses(sensor, args.record.as_deref())?);
    let done = read(sensor, Arc::clone(&buses), args, global.json, &mut terminal::out(global.json));
    if let (Some(file), Some(why)) = (&args.record, buses.recording_failure()) {
        bail!("the recording {} is not complete: {why}", file.display());
    }
    done.map(|()| ExitCode::SUCCESS)
}

fn buses(sensor: &Sensor, record: Option<&Path>) -> anyhow::Result<Buses> {
    match (record, sensor.driver.attachment()) {
        (None, _) => Ok(Buses::new()),
        (Some(file), Attachment::I2c { .. }) => Ok(Buses::recorded_to(file)?),
        (Some(_), attachment) => {
            bail!("sensor {}: only I2C can be recorded, and it is at {}", sensor.id, place(&attachment))
        }
    }
}

fn find<'a>(sensors: &'a [Sensor], wanted: &str) -> anyhow::Result<&'a Sensor> {
    if let Some(sensor) = sensors.iter().find(|sensor| sensor.id.as_str() == wanted) {
        return Ok(sensor);
    }
    let known: Vec<&str> = sensors.iter().map(|sensor| sensor.id.as_str()).collect();
    if known.is_empty() {
        bail!("there is no sensor \"{wanted}\": the configuration has none");
    }
    let nearest = known.iter().map(|id| (strsim::damerau_levenshtein(wanted, id), id)).min();
    let suggestion = match nearest {
        Some((distance, id)) if distance <= 1 + id.len() / 3 => format!(" Did you mean \"{id}\"?"),
        _ => String::new(),
    };
    bail!("there is no sensor \"{wanted}\".{suggestion} There are: {}", known.join(", "))
}

fn read(
    sensor: &Sensor,
    buses: Arc<Buses>,
    args: &Args,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let failed = |error: SensorError| anyhow!("sensor {}: {error}", sensor.id);
    let samples = start(Arc::clone(&sensor.driver), buses, args.count, args.interval);
    next(&samples, sensor.timeout, "opening it").map_err(failed)?;
    if !json {
        writeln!(out, "{}: {}, {}", sensor.id, sensor.driver.name(), place(&sensor.driver.attachment()))?;
    }
    for number in 0..args.count {
        let pause = if number == 0 { Duration::ZERO } else { args.interval };
        let begin = Instant::now();
        let measured = loop {
            let answer =
                next(&samples, sensor.timeout.saturating_add(pause), "reading it").map_err(failed)?;
            if !answer.is_empty() {
                break answer;
            }
            if begin.elapsed() > FIRST_VALUE.saturating_add(pause) {
                bail!("sensor {}: it has measured nothing for {} s", sensor.id, FIRST_VALUE.as_secs());
            }
        };
        let time = clock::now().wall;
        match json {
            true => writeln!(out, "{}", as_json(sensor, &measured, time))?,
            false => write!(out, "{}", as_table(sensor, &measured, time))?,
        }
        out.flush()?;
    }
    Ok(())
}

/// The slowest part has its first value half a minute after it was started (an SCD4x at low power).
const FIRST_VALUE: Duration = Duration::from_secs(40);

/// How long a part that has measured nothing yet is left alone.
const ASK_AGAIN: Duration = Duration::from_millis(200);

type Answer = Result<Vec<Measured>, SensorError>;

/// Opens and reads on a thread of its own, so that a hung bus cannot hang the command: an empty answer
/// once it is open, then one answer a reading. The thread ends with the process if it hangs.
fn start(driver: Arc<dyn Driver>, buses: Arc<Buses>, count: u32, interval: Duration) -> Receiver<Answer> {
    let (answers, received) = sync_channel(1);
    std::thread::spawn(move || {
        if let Err(error) = answer_all(&*driver, &buses, count, interval, &answers) {
            // Whoever asked may have given up waiting; then nobody is left to tell.
            answers.send(Err(error)).ok();
        }
    });
    received
}

fn answer_all(
    driver: &dyn Driver,
    buses: &Buses,
    count: u32,
    interval: Duration,
    answers: &SyncSender<Answer>,
) -> Result<(), SensorError> {
    let mut device = driver.open(buses)?;
    if answers.send(Ok(Vec::new())).is_err() {
        return Ok(());
    }
    let start = Instant::now();
    for number in 0..count {
        std::thread::sleep((interval.saturating_mul(number)).saturating_sub(start.elapsed()));
        loop {
            buses.mark_reading();
            // What has happened at a pin counts from when it is taken.
            if let Some(events) = device.events() {
                events.take(clock::monotonic())?;
            }
            let measured = device.read()?;
            let nothing_yet = measured.is_empty();
            if answers.send(Ok(measured)).is_err() {
                return Ok(());
            }
            if !nothing_yet {
                break;
            }
            std::thread::sleep(ASK_AGAIN);
        }
    }
    Ok(())
}

fn next(answers: &Receiver<Answer>, timeout: Duration, what: &str) -> Answer {
    match answers.recv_timeout(timeout) {
        Ok(answer) => answer,
        Err(RecvTimeoutError::Timeout) => Err(SensorError::Bus(format!(
            "no end to {what} after {:.1} s (its timeout): a part may be holding the bus",
            timeout.as_secs_f64()
        ))),
        // Every other way out of the thread sends something first.
        Err(RecvTimeoutError::Disconnected) => {
            Err(SensorError::Panicked("it panicked; see the message above".to_owned()))
        }
    }
}

fn place(attachment: &Attachment) -> String {
    match attachment {
        Attachment::Worker("host") => "this machine".to_owned(),
        Attachment::Worker("sim") => "simulated".to_owned(),
        other => other.to_string(),
    }
}

/// The driver's value of a configured quantity, and what the configuration makes of it.
fn values<'a>(quantity: &config::Quantity, measured: &'a [Measured]) -> Option<(Value, &'a Value)> {
    let raw = &measured.iter().find(|one| one.quantity == quantity.index)?.value;
    Some((filter::calibrate(quantity, raw), raw))
}

fn as_table(sensor: &Sensor, measured: &[Measured], time: Timestamp) -> String {
    let with_unit = |value: &Value, unit: &str| match value {
        // It names its size itself.
        Value::Image(image) => image.to_string(),
        value => format!("{value} {unit}").trim_end().to_owned(),
    };
    let mut rows = vec![["quantity".to_owned(), "value".to_owned(), "driver's value".to_owned()]];
    for quantity in &sensor.quantities {
        let (value, raw) = match values(quantity, measured) {
            Some((value, raw)) => {
                (with_unit(&value, &quantity.channel.unit), with_unit(raw, quantity.info.unit))
            }
            None => ("not read".to_owned(), String::new()),
        };
        rows.push([quantity.info.name.to_string(), value, raw]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    let mut text = format!("{time}\n");
    for [name, value, raw] in &rows {
        text.push_str(format!("  {name:first$}  {value:second$}  {raw}").trim_end());
        text.push('\n');
    }
    text
}

fn as_json(sensor: &Sensor, measured: &[Measured], time: Timestamp) -> Json {
    let plain = |value: &Value| match value {
        Value::Float(number) => json!(number),
        Value::Integer(number) => json!(number),
        Value::Bool(state) => json!(state),
        Value::Text(text) => json!(&**text),
        Value::Image(image) => json!({
            "content_type": image.content_type.as_str(), "width": image.width, "height": image.height,
            "size": image.bytes.len(), "sha256": image.sha256.to_string(),
        }),
    };
    let mut quantities = Map::new();
    for quantity in &sensor.quantities {
        let (value, raw) = match values(quantity, measured) {
            Some((value, raw)) => (plain(&value), plain(raw)),
            None => (Json::Null, Json::Null),
        };
        let entry = json!({
            "value": value, "unit": quantity.channel.unit, "raw": raw, "raw_unit": quantity.info.unit,
        });
        quantities.insert(quantity.info.name.to_string(), entry);
    }
    json!({
        "sensor": sensor.id.as_str(), "driver": sensor.driver.name(), "time": time.to_string(),
        "quantities": quantities,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Calibration, Filter};
    use crate::reading::{Channel, Quantity, ValueKind};
    use crate::sensor::{self, Device, QuantityInfo};

    fn channel(sensor: &str, info: &QuantityInfo, unit: &str) -> Channel {
        Channel {
            device: "pi".into(),
            sensor: sensor.into(),
            quantity: info.name.clone(),
            unit: unit.into(),
            kind: info.kind,
            publish: None,
            place: None,
        }
    }

    fn sensor(id: &str, driver: Arc<dyn Driver>) -> Sensor {
        let quantities: Vec<_> = driver
            .quantities()
            .iter()
            .enumerate()
            .map(|(index, info)| config::Quantity {
                index,
                info: info.clone(),
                calibration: Calibration::default(),
                filter: Filter::default(),
                channel: channel(id, info, info.unit),
            })
            .collect();
        let state = QuantityInfo { name: "state".into(), unit: "", kind: ValueKind::Text, range: None };
        let state = channel(id, &state, "");
        let (interval, timeout) = (Duration::from_secs(10), Duration::from_secs(5));
        Sensor { id: id.into(), driver, options: Arc::default(), interval, timeout, quantities, state }
    }

    fn configured(driver: &str, options: Json) -> Arc<dyn Driver> {
        (sensor::find(driver).unwrap().configure)(options.as_object().unwrap()).unwrap()
    }

    fn args(count: u32) -> Args {
        Args { sensor: "air".into(), count, interval: Duration::from_millis(1), record: None }
    }

    fn output(sensor: &Sensor, buses: Buses, count: u32, json: bool) -> anyhow::Result<String> {
        let mut out = Vec::new();
        read(sensor, Arc::new(buses), &args(count), json, &mut out)?;
        Ok(String::from_utf8(out)?)
    }

    #[test]
    fn a_reading_shows_both_values_with_their_units() {
        let air = json!({"bus": "sim-1", "simulate": {"temperature": {"constant": 21.5}}});
        let mut sensor = sensor("air", configured("bme280", air));
        sensor.quantities.truncate(1);
        sensor.quantities[0].calibration.factor = 1.8;
        sensor.quantities[0].calibration.shift = 32.0;
        sensor.quantities[0].calibration.round = Some(0);
        sensor.quantities[0].channel.unit = "°F".into();
        let text = output(&sensor, Buses::new(), 1, false).unwrap();
        assert!(text.starts_with("air: bme280, address 0x76 on sim-1\n"), "{text}");
        let row = text.lines().last().unwrap();
        assert!(row.contains("temperature") && row.contains("71 °F") && row.contains("21.5 °C"), "{text}");
    }

    #[test]
    fn a_pin_is_read_as_it_is_and_not_as_it_was_at_the_beginning() {
        let door = json!({"pin": 5, "bus": "gpio-sim", "debounce": "0s", "simulate": {"toggle": "50ms"}});
        let sensor = sensor("door", configured("digital-input", door));
        let text = output(&sensor, Buses::new(), 200, true).unwrap();
        assert!(text.contains("\"value\":true") && text.contains("\"value\":false"), "{text}");
        let meter = json!({"pin": 5, "bus": "gpio-sim", "debounce": "0s", "simulate": {"toggle": "10ms"}});
        let sensor = self::sensor("meter", configured("pulse-counter", meter));
        let text = output(&sensor, Buses::new(), 200, true).unwrap();
        let total =
            |line: &str| serde_json::from_str::<Json>(line).unwrap()["quantities"]["total"]["value"].as_f64();
        assert!(text.lines().next_back().and_then(total) >= Some(5.0), "{text}");
    }

    #[test]
    fn json_is_one_object_a_reading() {
        let unplugged = json!({"bus": "sim-1", "simulate": {"fault": {"kind": "nack"}}});
        let sensor = sensor("air", configured("bme280", unplugged));
        assert!(output(&sensor, Buses::new(), 1, true).unwrap_err().to_string().contains("sensor air: "));

        let sensor = self::sensor(
            "air",
            configured("sim", json!({"scenario": "constant", "value": 2.5, "unit": "l"})),
        );
        let text = output(&sensor, Buses::new(), 3, true).unwrap();
        assert_eq!(text.lines().count(), 3);
        for line in text.lines() {
            let object: Json = serde_json::from_str(line).unwrap();
            let expected = json!({"value": 2.5, "unit": "l", "raw": 2.5, "raw_unit": "l"});
            assert_eq!(object["quantities"]["value"], expected);
            assert_eq!(object["sensor"], "air");
        }
    }

    #[test]
    fn what_was_recorded_plays_back_through_the_driver() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("air.jsonl");
        let on_the_bus = [
            ("ads1115", json!({"bus": "sim-1", "rate": 860}), "bus"),
            ("bme280", json!({"bus": "sim-1"}), "bus"),
            ("ina219", json!({"bus": "sim-1"}), "bus"),
            ("vl53l0x", json!({"bus": "sim-1"}), "bus"),
        ];
        for (driver, mut options, key) in on_the_bus {
            let live = sensor("air", configured(driver, options.clone()));
            let buses = buses(&live, Some(&file)).unwrap();
            let recorded = output(&live, buses, 3, true).unwrap();
            options[key] = format!("replay:{}", file.display()).into();
            let played = output(&sensor("air", configured(driver, options)), Buses::new(), 7, true).unwrap();
            let quantities = |text: &str| -> Vec<Json> {
                let objects = text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
                objects.map(|object| object["quantities"].clone()).collect()
            };
            let (recorded, played) = (quantities(&recorded), quantities(&played));
            assert_eq!(played[..3], recorded, "{driver}");
            assert_eq!(played[3..5], recorded[1..3], "{driver}: its readings come round");
        }
        let other = sensor("air", configured("bme280", json!({"bus": format!("replay:{}", file.display())})));
        let error = output(&other, Buses::new(), 1, true).unwrap_err().to_string();
        assert!(error.contains("has nothing of address 0x76"), "{error}");
        assert!(buses(&sensor("sim", configured("sim", json!({}))), Some(&file)).is_err());
    }

    #[test]
    fn a_sensor_that_does_not_answer_says_where() {
        let sensor = sensor("air", configured("bme280", json!({"bus": "sim-1"})));
        let buses = Buses::new();
        buses.attach("sim-1", 0x76, None).unwrap();
        let error = output(&sensor, buses, 1, false).unwrap_err().to_string();
        assert_eq!(
            error,
            "sensor air: no answer from address 0x76 on sim-1: check wiring, power and address"
        );
    }

    #[derive(Debug)]
    struct Hung([QuantityInfo; 0]);

    impl Driver for Hung {
        fn name(&self) -> &'static str {
            "hung"
        }
        fn quantities(&self) -> &[QuantityInfo] {
            &self.0
        }
        fn attachment(&self) -> Attachment {
            Attachment::Worker("hung")
        }
        fn open(&self, _: &Buses) -> Result<Box<dyn Device>, SensorError> {
            loop {
                std::thread::park();
            }
        }
    }

    #[test]
    fn a_sensor_that_hangs_is_given_up() {
        let mut sensor = sensor("air", Arc::new(Hung([])));
        sensor.timeout = Duration::from_millis(20);
        let error = output(&sensor, Buses::new(), 1, false).unwrap_err().to_string();
        assert!(error.contains("no end to opening it"), "{error}");
    }

    #[test]
    fn a_quantity_that_did_not_come_is_shown_as_such() {
        let sensor = sensor("host", configured("host", json!({})));
        let measured = [Measured { quantity: 0, value: Value::Float(0.5) }];
        assert!(as_table(&sensor, &measured, Timestamp(0)).contains("memory_used       not read\n"));
        assert_eq!(as_json(&sensor, &measured, Timestamp(0))["quantities"]["uptime"]["value"], Json::Null);
        assert_eq!(sensor.quantities[0].info.name, Quantity::from("load_1m"));
    }

    #[test]
    fn an_unknown_sensor_lists_the_known_ones() {
        let driver = configured("sim", json!({}));
        let sensors = [sensor("air", Arc::clone(&driver)), sensor("door", driver)];
        let error = |wanted| find(&sensors, wanted).unwrap_err().to_string();
        assert_eq!(error("aire"), "there is no sensor \"aire\". Did you mean \"air\"? There are: air, door");
        assert_eq!(error("greenhouse"), "there is no sensor \"greenhouse\". There are: air, door");
        assert!(find(&sensors, "door").is_ok());
    }
}
