//! Outputs over simulated pins and a simulated chip, into a real log.

use super::*;
use crate::bus::Buses;
use crate::bus::sim::pca9685::Pca9685;
use crate::enrich::clock;
use crate::log::{Log, Machine};
use crate::status::{Board, State};

/// No condition of these tests takes this long, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Running outputs and what they are made of.
pub(crate) struct House {
    folder: tempfile::TempDir,
    pub(crate) buses: Arc<Buses>,
    pub(crate) log: Log,
    pub(crate) board: Board,
    pub(crate) running: Option<Running>,
}

impl House {
    /// `outputs` as in the configuration.
    pub(crate) fn start(buses: Buses, outputs: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let yaml = format!(
            "device: {{id: pi}}\nlog: {{path: {}/bridge.db}}\noutputs:\n{outputs}",
            folder.path().display()
        );
        let config = config::parse(&yaml, std::iter::empty()).unwrap();
        let board = Board::new();
        let machine = Machine { boot_id: "boot".into(), now: clock::now };
        let log = Log::open(&config.log, &machine, &board).unwrap();
        let plans = config.outputs.iter().map(|output| {
            let ids = log.register(&[output.level.clone(), output.state.clone()]).unwrap();
            OutputPlan { output: output.clone(), level_channel: ids[0], state_channel: ids[1] }
        });
        let plans = plans.collect();
        let buses = Arc::new(buses);
        let running = start(plans, &buses, &log, &board, clock::now).unwrap();
        let house = Self { folder, buses, log, board, running: Some(running) };
        let parts = || config.outputs.iter().map(|output| house.state(output.id.as_str()));
        until("every output was driven once", || parts().all(|state| state != State::Starting));
        house
    }

    pub(crate) fn outputs(&self) -> Outputs {
        self.running.as_ref().unwrap().outputs()
    }

    pub(crate) fn driven(&self, pin: u8) -> Option<f64> {
        self.buses.simulated_pins().driven(pin)
    }

    /// Rows of a query on the log: the first column as text.
    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        self.log.flush().unwrap();
        let database = rusqlite::Connection::open(self.folder.path().join("bridge.db")).unwrap();
        let mut rows = database.prepare(sql).unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    fn logged(&self, quantity: &str) -> Vec<String> {
        self.query(&format!(
            "SELECT CAST(value AS TEXT) FROM readings WHERE quantity = '{quantity}' ORDER BY id"
        ))
    }

    fn state(&self, id: &str) -> State {
        self.board.part(&format!("output {id}")).state().0
    }
}

#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

const FAN: &str =
    "  - {id: fan, driver: digital-output, bus: gpio-sim, pin: 22, active_low: true, max_on: 1h}\n";

#[test]
fn it_is_safe_at_the_start_switched_in_between_and_safe_at_the_end() {
    let mut house = House::start(Buses::new(), FAN);
    until("it is safe", || house.driven(22) == Some(1.0));
    let outputs = house.outputs();
    let state = outputs.set("fan", Level::On, None).unwrap();
    assert_eq!((state.level, house.driven(22)), (100.0, Some(0.0)), "active low");
    assert_eq!(outputs.list()[0], state);
    assert_eq!(outputs.set("fun", Level::On, None), Err(SetError::Unknown("fun".into())));
    assert_eq!(outputs.set("fan", Level::Percent(50.0), None), Err(SetError::NotDigital(50.0)));
    assert_eq!(house.running.take().unwrap().stop(), [""; 0]);
    assert_eq!(house.driven(22), Some(1.0));
    assert_eq!(outputs.set("fan", Level::On, None), Err(SetError::Leaving));
    assert_eq!(house.driven(22), Some(1.0));
    assert_eq!(house.logged("on"), ["0", "1", "0"]);
    assert_eq!(house.logged("state"), ["ok"]);
    assert_eq!(house.state("fan"), State::Stopped);
}

#[test]
fn dropped_without_a_word_it_is_made_safe_as_well() {
    let mut house = House::start(Buses::new(), FAN);
    house.outputs().set("fan", Level::On, None).unwrap();
    drop(house.running.take());
    until("it is safe", || house.driven(22) == Some(1.0));
}

#[test]
fn it_goes_back_when_it_was_on_for_too_long_or_its_time_is_up() {
    let lamp = "  - {id: lamp, driver: pwm, bus: gpio-sim, pin: 18, min: 10, max: 80, max_on: 150ms}\n";
    let house = House::start(Buses::new(), lamp);
    let outputs = house.outputs();
    assert!(matches!(outputs.set("lamp", Level::Percent(5.0), None), Err(SetError::Refused(_))));
    assert_eq!(outputs.set("lamp", Level::On, None).unwrap().level, 80.0);
    assert_eq!(house.driven(18), Some(0.8));
    until("it was on for too long", || house.driven(18) == Some(0.0));
    until(
        "that is shown",
        || matches!(house.state("lamp"), State::Degraded(why) if why.contains("on for 150ms")),
    );
    outputs.set("lamp", Level::Percent(25.0), Some(Duration::from_millis(20))).unwrap();
    assert_eq!(house.state("lamp"), State::Ok);
    until("its time is up", || house.driven(18) == Some(0.0));
    assert_eq!(house.logged("level"), ["0.0", "80.0", "0.0", "25.0", "0.0"]);
    assert_eq!(house.logged("state"), ["ok", "safe: it was on for 150ms, the longest allowed", "ok"]);
}

#[test]
fn a_link_lost_for_too_long_makes_it_safe() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "device: {{id: pi}}\nlog: {{path: {}/bridge.db}}\nmqtt: {{url: \"mqtt://b\"}}\n\
         commands: [{{topic: c, allow: [fan]}}]\noutputs:\n  \
         - {{id: fan, driver: digital-output, bus: gpio-sim, pin: 4, safe: on, link_lost: 100ms}}\n",
        folder.path().display()
    );
    let config = config::parse(&yaml, std::iter::empty()).unwrap();
    assert_eq!(config.outputs[0].limits.link_lost, Some(Duration::from_millis(100)));
    let rest = "  - {id: fan, driver: digital-output, bus: gpio-sim, pin: 4, safe: on}\n";
    let mut house = House::start(Buses::new(), rest);
    // Once more with the limit, which needs a broker in the configuration.
    house.running.take().unwrap().stop();
    let ids =
        house.log.register(&[config.outputs[0].level.clone(), config.outputs[0].state.clone()]).unwrap();
    let plan = OutputPlan { output: config.outputs[0].clone(), level_channel: ids[0], state_channel: ids[1] };
    house.running = Some(start(vec![plan], &house.buses, &house.log, &house.board, clock::now).unwrap());
    let outputs = house.outputs();
    outputs.link(true);
    outputs.set("fan", Level::Off, None).unwrap();
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(house.driven(4), Some(0.0), "as long as the link is there");
    outputs.link(false);
    until("it is safe", || house.driven(4) == Some(1.0));
    until("that is said", || outputs.list()[0].cause == Some(Cause::LinkLost(Duration::from_millis(100))));
    // Somebody on the spot, on the page: the broker is away all the while, and that is no news.
    outputs.set("fan", Level::Off, None).unwrap();
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!((house.driven(4), outputs.list()[0].cause), (Some(0.0), None));
}

#[test]
fn a_chip_that_does_not_answer_is_a_state_and_keeps_nothing_else() {
    let buses = Buses::new();
    let outputs = format!("{FAN}  - {{id: valve, driver: pca9685, bus: sim-1, channel: 3, slew: 10000}}\n");
    buses.attach("sim-1", 0x40, None).unwrap();
    let house = House::start(buses, &outputs);
    let outputs = house.outputs();
    until(
        "it has failed",
        || matches!(house.state("valve"), State::Failed(why) if why.contains("0x40 on sim-1")),
    );
    let error = outputs.set("valve", Level::On, None).unwrap_err();
    assert!(matches!(&error, SetError::Failed(why) if why.contains("check wiring")), "{error}");
    outputs.set("fan", Level::On, None).unwrap();
    let chip = Pca9685::new();
    let registers = chip.registers();
    house.buses.attach("sim-1", 0x40, Some(Box::new(chip))).unwrap();
    until("it is back", || house.state("valve") != State::Starting && outputs.list()[1].failure.is_none());
    assert_eq!(registers.ticks(3), 0, "not where it was sent while it was away");
    outputs.set("valve", Level::Percent(50.0), None).unwrap();
    until("it is open", || registers.ticks(3) == 2048);
}
