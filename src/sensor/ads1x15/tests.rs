//! The driver and the real `ads1x1x` crate over the simulated bus.

use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::bus::sim::fault::{Fault as Failure, Faulty};
use crate::bus::sim::{Answer, Simulated};

const FASTEST: [(Model, u16); 2] = [(Model::Ads1115, 860), (Model::Ads1015, 3300)];

fn driver(model: Model, options: Json) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    configure(model, options.as_object().unwrap())
}

fn constants(volts: [f64; 4]) -> Json {
    let [a0, a1, a2, a3] = volts.map(|volts| json!({"constant": volts}));
    json!({"a0": a0, "a1": a1, "a2": a2, "a3": a3})
}

fn volts(measured: &[Measured]) -> Vec<f64> {
    measured.iter().map(|one| one.value.as_f64().unwrap()).collect()
}

#[test]
fn four_inputs_at_every_gain_are_right_within_a_step() {
    for (model, rate) in FASTEST {
        for gain in [6.144, 4.096, 2.048, 1.024, 0.512, 0.256] {
            let inputs = [0.9, 0.31, 0.0, -0.01].map(|part| part * gain);
            let options = json!({"bus": "sim-1", "gain": gain, "rate": rate, "simulate": constants(inputs)});
            let driver = driver(model, options).unwrap();
            let read = volts(&driver.open(&Buses::new()).unwrap().read().unwrap());
            let step = gain / f64::from(steps(model));
            assert_eq!(read.len(), 4);
            for (read, wanted) in read.iter().zip(inputs) {
                assert!((read - wanted).abs() <= step, "{model:?} ±{gain} V: {read} for {wanted}");
            }
        }
    }
}

#[test]
fn differences_are_between_the_named_inputs() {
    let inputs = constants([1.0, 0.25, 2.0, 0.5]);
    let channels = ["a0-a1", "a0-a3", "a1-a3", "a2-a3", "a2"];
    let options = json!({"bus": "sim-1", "rate": 860, "channels": channels, "simulate": inputs});
    let driver = driver(Model::Ads1115, options).unwrap();
    let names: Vec<_> = driver.quantities().iter().map(|info| info.name.as_str()).collect();
    assert_eq!(names, ["a0_a1", "a0_a3", "a1_a3", "a2_a3", "a2"]);
    let mut device = driver.open(&Buses::new()).unwrap();
    for _ in 0..2 {
        assert_eq!(volts(&device.read().unwrap()), [0.75, 0.5, -0.25, 1.5, 2.0]);
    }
}

#[test]
fn data_sheet_codes_are_the_data_sheets_voltages() {
    // SBAS444D, "Full-Scale Range (FSR) and LSB Size": the step is 187.5, 125, 62.5, 31.25, 15.625, 7.8125 µV.
    for (gain, step) in [(6.144, 187.5e-6), (2.048, 62.5e-6), (0.256, 7.8125e-6)] {
        let options = json!({"bus": "sim-1", "gain": gain, "rate": 860, "channels": ["a0"],
            "simulate": {"a0": {"constant": 1000.0 * step}}});
        let read = driver(Model::Ads1115, options).unwrap().open(&Buses::new()).unwrap().read().unwrap();
        assert_eq!(volts(&read), [1000.0 * step]);
    }
}

#[test]
fn a_voltage_beyond_the_range_is_left_out() {
    let options = |channels: &[&str]| {
        json!({"bus": "sim-1", "gain": 1.024, "rate": 860, "channels": channels,
            "simulate": constants([3.0, 0.5, 3.0, -3.0])})
    };
    let read = driver(Model::Ads1115, options(&["a0", "a1"])).unwrap().open(&Buses::new()).unwrap().read();
    assert_eq!(read, Ok(vec![Measured { quantity: 1, value: Value::Float(0.5) }]));
    let read = driver(Model::Ads1115, options(&["a0", "a3"])).unwrap().open(&Buses::new()).unwrap().read();
    assert!(read.unwrap_err().to_string().contains("input a0 is beyond ±1.024 V"));
}

fn on_sim(model: Model) -> Arc<dyn Driver> {
    driver(model, json!({"bus": "sim-1"})).unwrap()
}

#[test]
fn a_bus_name_alone_is_enough() {
    for (model, _) in FASTEST {
        let read = on_sim(model).open(&Buses::new()).unwrap().read().unwrap();
        assert_eq!(read.len(), 4);
    }
}

fn faulty(fault: Arc<Mutex<Option<Failure>>>) -> Buses {
    let buses = Buses::new();
    let chip = SimulatedAds1x15::new(Model::Ads1115, [0.5, 1.0, 1.5, 2.0].map(Scenario::Constant));
    let device = Faulty::new(Box::new(chip), move |_| *fault.lock().unwrap());
    buses.attach("sim-1", 0x48, Some(Box::new(device))).unwrap();
    buses
}

#[test]
fn faults_are_errors_and_pass() {
    let fault = Arc::new(Mutex::new(None));
    let buses = faulty(Arc::clone(&fault));
    let driver = on_sim(Model::Ads1115);
    let no_answer = SensorError::NoAnswer { bus: "sim-1".into(), address: 0x48 };
    let mut device = driver.open(&buses).unwrap();

    *fault.lock().unwrap() = Some(Failure::Nack);
    assert_eq!(device.read(), Err(no_answer.clone()));
    assert_eq!(driver.open(&buses).err(), Some(no_answer));

    *fault.lock().unwrap() = Some(Failure::Hang(Duration::from_millis(1)));
    assert!(matches!(device.read(), Err(SensorError::Bus(_))));

    *fault.lock().unwrap() = Some(Failure::Garbage);
    for _ in 0..10 {
        assert!(matches!(device.read(), Err(SensorError::WrongAnswer(_))));
        assert!(matches!(driver.open(&buses).err(), Some(SensorError::WrongAnswer(_))));
    }

    *fault.lock().unwrap() = None;
    assert_eq!(volts(&driver.open(&buses).unwrap().read().unwrap()), [0.5, 1.0, 1.5, 2.0]);
}

/// Something else at the same address: a TMP102, say, whose register 1 does not take what we write.
struct Other;

impl Simulated for Other {
    fn write(&mut self, _: &[u8], _: Duration) -> Answer {
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], _: Duration) -> Answer {
        buffer.fill(0x60);
        Ok(())
    }
}

#[test]
fn another_part_at_the_address_is_told_apart() {
    let buses = Buses::new();
    buses.attach("sim-1", 0x48, Some(Box::new(Other))).unwrap();
    let error = on_sim(Model::Ads1015).open(&buses).err().unwrap().to_string();
    assert!(error.contains("does not keep the settings of an ads1015"), "{error}");
    buses.attach("sim-1", 0x48, None).unwrap();
    assert!(matches!(on_sim(Model::Ads1015).open(&buses).err(), Some(SensorError::NoAnswer { .. })));
}

/// A chip whose supply drops right after it was told to convert for the second time.
struct BrownOut {
    chip: SimulatedAds1x15,
    powered_up: SimulatedAds1x15,
    conversions: u32,
}

impl Simulated for BrownOut {
    fn write(&mut self, bytes: &[u8], now: Duration) -> Answer {
        let input_against_ground = |high: u8| high & 0xC0 == 0xC0;
        let answer = self.chip.write(bytes, now);
        if matches!(*bytes, [CONFIG_REGISTER, high, _] if input_against_ground(high)) {
            self.conversions += 1;
            if self.conversions == 2 {
                self.chip = self.powered_up.clone();
            }
        }
        answer
    }

    fn read(&mut self, buffer: &mut [u8], now: Duration) -> Answer {
        self.chip.read(buffer, now)
    }
}

#[test]
fn a_chip_that_was_reset_is_not_believed() {
    let powered_up = SimulatedAds1x15::new(Model::Ads1115, [0.5, 1.0, 1.5, 2.0].map(Scenario::Constant));
    let buses = Buses::new();
    let device = BrownOut { chip: powered_up.clone(), powered_up, conversions: 0 };
    buses.attach("sim-1", 0x48, Some(Box::new(device))).unwrap();
    let driver = driver(Model::Ads1115, json!({"bus": "sim-1", "rate": 860})).unwrap();
    // Its configuration says "finished" and its result says 0 V: both are what it powered up with.
    let error = driver.open(&buses).unwrap().read().unwrap_err().to_string();
    assert!(error.contains("its supply dropped"), "{error}");
    assert_eq!(volts(&driver.open(&buses).unwrap().read().unwrap()), [0.5, 1.0, 1.5, 2.0]);
}

/// A chip on a machine that has better things to do for a while, each time it has told it to convert.
struct OnBusyMachine(SimulatedAds1x15);

impl Simulated for OnBusyMachine {
    fn write(&mut self, bytes: &[u8], now: Duration) -> Answer {
        let answer = self.0.write(bytes, now);
        if bytes.len() == 3 {
            std::thread::sleep(Duration::from_millis(150));
        }
        answer
    }

    fn read(&mut self, buffer: &mut [u8], now: Duration) -> Answer {
        self.0.read(buffer, now)
    }
}

/// Seen under load: a time-out of 100 ms took a machine that had been elsewhere for a chip that was stuck.
#[test]
fn a_busy_machine_is_not_blamed_on_the_chip() {
    let chip = SimulatedAds1x15::new(Model::Ads1115, [0.5, 1.0, 1.5, 2.0].map(Scenario::Constant));
    let buses = Buses::new();
    buses.attach("sim-1", 0x48, Some(Box::new(OnBusyMachine(chip)))).unwrap();
    let driver = driver(Model::Ads1115, json!({"bus": "sim-1", "rate": 860, "channels": ["a1"]})).unwrap();
    assert_eq!(volts(&driver.open(&buses).unwrap().read().unwrap()), [1.0]);
}

/// Keeps what it is told, and is never done.
struct Stuck(SimulatedAds1x15);

impl Simulated for Stuck {
    fn write(&mut self, bytes: &[u8], now: Duration) -> Answer {
        self.0.write(bytes, now)
    }

    fn read(&mut self, buffer: &mut [u8], now: Duration) -> Answer {
        self.0.read(buffer, now)?;
        buffer[0] &= 0x7F;
        Ok(())
    }
}

#[test]
fn a_chip_that_stays_busy_is_given_up() {
    let chip = SimulatedAds1x15::new(Model::Ads1115, [0.5, 1.0, 1.5, 2.0].map(Scenario::Constant));
    let buses = Buses::new();
    buses.attach("sim-1", 0x48, Some(Box::new(Stuck(chip)))).unwrap();
    let driver = driver(Model::Ads1115, json!({"bus": "sim-1", "rate": 860})).unwrap();
    let error = driver.open(&buses).unwrap().read().unwrap_err().to_string();
    assert!(error.contains("does not finish its conversion"), "{error}");
}

#[test]
fn two_drivers_share_a_bus_from_two_threads() {
    let buses = Buses::new();
    let drivers = [
        driver(
            Model::Ads1115,
            json!({"bus": "sim-1", "rate": 860, "simulate": constants([0.5, 1.0, 1.5, 2.0])}),
        ),
        driver(
            Model::Ads1115,
            json!({"bus": "sim-1", "rate": 860, "address": 0x49,
            "simulate": constants([2.0, 1.5, 1.0, 0.5])}),
        ),
    ]
    .map(Result::unwrap);
    std::thread::scope(|scope| {
        for (driver, wanted) in drivers.iter().zip([[0.5, 1.0, 1.5, 2.0], [2.0, 1.5, 1.0, 0.5]]) {
            let buses = &buses;
            scope.spawn(move || {
                let mut device = driver.open(buses).unwrap();
                for _ in 0..20 {
                    assert_eq!(volts(&device.read().unwrap()), wanted);
                }
            });
        }
    });
}

#[test]
fn bad_options_are_all_named() {
    let keys = |model, options| -> Vec<String> {
        driver(model, options)
            .expect_err("should be refused")
            .into_iter()
            .map(|problem| problem.key)
            .collect()
    };
    let bad = json!({"bus": "i2c-1", "address": 0x76, "gain": 5, "rate": 860, "channels": ["a0", "a0"], "simulate": {}});
    assert_eq!(keys(Model::Ads1015, bad), ["address", "channels", "gain", "rate", "simulate"]);
    assert_eq!(keys(Model::Ads1115, json!({"bus": "sim-1", "channels": []})), ["channels"]);
    assert_eq!(keys(Model::Ads1115, json!({"bus": "sim-1", "channels": ["a4"]})), ["channels"]);
    assert_eq!(keys(Model::Ads1115, json!({"gain": "high"})), ["gain", "bus"]);
}

#[test]
fn settings_read_back_as_the_crate_writes_them() {
    for (model, rates) in [
        (Model::Ads1115, &[8, 16, 32, 64, 128, 250, 475, 860][..]),
        (Model::Ads1015, &[128, 250, 490, 920, 1600, 2400, 3300]),
    ] {
        for rate in rates {
            let driver = driver(model, json!({"bus": "sim-1", "rate": rate, "gain": 0.512})).unwrap();
            // Opening reads the configuration back; it fails if one bit of our idea of it is wrong.
            driver.open(&Buses::new()).unwrap();
        }
    }
}
