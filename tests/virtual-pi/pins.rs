//! The Pi's pins, moved from outside.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::card::Card;
use crate::pi::Pi;
use crate::support::{Mosquitto, Subscriber};
use crate::{SOON, json, now};

/// GPSET0 and GPCLR0 of the BCM2835 (its "ARM Peripherals", section 6.1) where a Pi 3 has them: in QEMU, what is
/// written there for an input is its level.
const SET: u32 = 0x3f20_001c;
const CLEAR: u32 = 0x3f20_0028;

/// QEMU's socket for device tests, which works beside normal running: it writes to registers.
pub struct Pins {
    line: BufReader<UnixStream>,
}

impl Pins {
    /// Uses a connection to it.
    pub fn new(line: UnixStream) -> Self {
        line.set_read_timeout(Some(SOON)).unwrap();
        Self { line: BufReader::new(line) }
    }

    /// Sets the level of a pin (0 to 31). No edge comes of it.
    #[track_caller]
    pub fn set_level(&mut self, pin: u8, high: bool) {
        let register = if high { SET } else { CLEAR };
        self.line
            .get_mut()
            .write_all(format!("writel {register:#x} {:#x}\n", 1u32 << pin).as_bytes())
            .unwrap();
        let mut answer = String::new();
        while !answer.starts_with("OK") {
            // Lines that begin otherwise tell of interrupts.
            assert!(!answer.starts_with("FAIL") && !answer.starts_with("ERR"), "QEMU: {answer}");
            answer.clear();
            assert_ne!(self.line.read_line(&mut answer).unwrap(), 0, "QEMU has gone");
        }
    }
}

fn config(broker: &Mosquitto) -> String {
    format!(
        "device: {{ id: pi }}
log: {{ path: /card/data/bridge.db }}
mqtt:
  url: mqtt://10.0.2.2:{}
  topic: \"t/{{device}}/{{sensor}}/{{quantity}}\"
  qos: 1
sensors:
  - {{ id: door, driver: digital-input, pin: 17, pull: down, interval: 1h }}
  - {{ id: meter, driver: pulse-counter, pin: 27, pull: down, edge: rising, debounce: 0s, interval: 500ms }}
",
        broker.port()
    )
}

/// A Pi with the right time, whose door has been seen open once.
fn begin() -> (Pi, Subscriber, Mosquitto) {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.port(), &["t/#"], 1);
    let mut pi = Pi::boot(&Card::new(&[("config.yaml", &config(&broker))]));
    pi.set_clock();
    pi.start("config.yaml");
    pi.wait_until("the door's first reading", |_| door(&subscriber).is_some());
    assert!(!door(&subscriber).unwrap().0);
    (pi, subscriber, broker)
}

/// The newest reading of the door: whether it is active, and its time in seconds since 1970.
fn door(subscriber: &Subscriber) -> Option<(bool, f64)> {
    let messages = subscriber.messages();
    let payload = json(messages.iter().rfind(|message| message.topic == "t/pi/door/active")?);
    let time: jiff::Timestamp = payload["time"].as_str()?.parse().ok()?;
    Some((payload["value"].as_bool()?, time.as_microsecond() as f64 / 1e6))
}

#[test]
#[ignore = "needs an emulator: make virtual-pi"]
fn a_pin_raised_from_outside_is_a_reading_with_the_time_of_its_edge() {
    let (mut pi, subscriber, _broker) = begin();
    // A thousandth of a processor, and that shared with four loops: the daemon does not get to run for seconds, so
    // only the kernel can know when the edge was. (Stopping it would end the wait for edges.)
    pi.shell("mkdir /tmp/cgroup && mount -t cgroup2 cgroup /tmp/cgroup");
    pi.shell("echo +cpu >/tmp/cgroup/cgroup.subtree_control && mkdir /tmp/cgroup/slow");
    pi.shell("echo $(pidof sensor-bridge) >/tmp/cgroup/slow/cgroup.procs");
    for _ in 0..4 {
        pi.shell("sh -c 'echo 0 >/tmp/cgroup/slow/cgroup.procs; while :; do :; done' &");
    }
    for high in [true, false, true] {
        pi.shell("echo 1000 1000000 >/tmp/cgroup/slow/cpu.max");
        std::thread::sleep(Duration::from_secs(1));
        let before = now();
        pi.set_pin(17, high);
        let after = now();
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(door(&subscriber).unwrap().0, !high, "the daemon was to be too slow for this");
        pi.shell("echo max >/tmp/cgroup/slow/cpu.max");
        pi.wait_until("the edge arrives", |_| door(&subscriber).is_some_and(|(active, _)| active == high));
        let (_, time) = door(&subscriber).unwrap();
        println!("edge {:.3} s after it was ordered, told of after {:.3} s", time - before, now() - before);
        // Its clock was set through a serial line, which took some of the second.
        assert!((before - 1.0..after + 0.5).contains(&time), "{time} is not within {before} and {after}");
    }
    let rows =
        pi.query("SELECT value FROM readings WHERE sensor = 'door' AND quantity = 'active' ORDER BY id");
    let levels: Vec<bool> = rows.iter().map(|row| row["value"] == 1).collect();
    assert_eq!(levels, [false, true, false, true]);
    pi.stop();
}

#[test]
#[ignore = "needs an emulator: make virtual-pi"]
fn pulses_between_two_readings_are_counted() {
    let (mut pi, subscriber, _broker) = begin();
    let total = |count: f64| {
        let messages = subscriber.messages();
        let newest = messages.iter().rfind(|message| message.topic == "t/pi/meter/total");
        newest.is_some_and(|message| json(message)["value"].as_f64() == Some(count))
    };
    pi.wait_until("the meter stands at 0", |_| total(0.0));
    // Slow enough for the kernel's handler, which looks at the level after the edge.
    let edge = |pull: &str| format!("echo {pull} >$SIM/sim_gpio27/pull; usleep 10000");
    pi.shell(&format!("for n in $(seq 30); do {}; {}; done", edge("pull-up"), edge("pull-down")));
    pi.wait_until("30 pulses", |_| total(30.0));
    pi.stop();
}
