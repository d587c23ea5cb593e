//! The systemd form: a Debian for the Pi, the package installed there by its own dpkg, the service started by its own
//! systemd. `make virtual-pi-systemd`; docs/virtual-pi.md says what this proves.

mod package;
mod reload;
mod sandbox;
mod service;
mod watchdog;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::card::{Card, built};
use crate::json;
use crate::pi::Pi;
use crate::support::{Message, Mosquitto, Subscriber, holds_within};

const CONFIG: &str = "/etc/sensor-bridge/config.yaml";

const TEMPERATURE: &str = "t/pi/air/temperature";

/// dpkg takes 20 s where nothing else runs, and so does systemd with what it must wait for.
const LONG: Duration = Duration::from_secs(600);

/// A Pi on which the package is installed and the service runs: with what the package brings as its configuration.
fn boot() -> Pi {
    let begun = Instant::now();
    let mut pi = Pi::boot(&Card::copy_of(installed()));
    wait_for_the_service(&mut pi);
    println!("up with the service in {:.0} s", begun.elapsed().as_secs_f64());
    pi
}

/// The card with the package on it, installed once for all tests.
fn installed() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let begun = Instant::now();
        let card = Card::copy_of(&built().join("virtual-pi/debian.img"));
        let mut pi = Pi::boot(&card);
        let booted = begun.elapsed();
        pi.put("/root/this.deb", &fs::read(package()).unwrap());
        let said = pi.long("dpkg -i /root/this.deb 2>&1", LONG);
        // Started by the package, with the configuration that it brings.
        assert!(!said.contains("did not start"), "{said}");
        wait_for_the_service(&mut pi);
        println!(
            "Debian booted in {:.0} s; package installed, service up after another {:.0} s",
            booted.as_secs_f64(),
            (begun.elapsed() - booted).as_secs_f64()
        );
        pi.shut_down();
        let image = built().join("virtual-pi/installed.img");
        fs::rename(card.image(), &image).unwrap();
        image
    })
}

/// The package for the Pi: `VIRTUAL_PI_PACKAGE`, else what `make deb` leaves.
fn package() -> PathBuf {
    if let Some(path) = std::env::var_os("VIRTUAL_PI_PACKAGE") {
        return path.into();
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/debian");
    let files = fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut ours = files.filter(|path| path.to_string_lossy().ends_with("_arm64.deb"));
    ours.next()
        .unwrap_or_else(|| panic!("no package in {}: `make virtual-pi-systemd` makes it", folder.display()))
}

/// The bridge with a broker, the sensor on i2c-1, and more sensors.
fn config(broker: &Mosquitto, more: &str) -> String {
    format!(
        "device: {{ id: pi }}
log: {{ path: /var/lib/sensor-bridge/bridge.db }}
mqtt:
  url: mqtt://10.0.2.2:{}
  topic: \"t/{{device}}/{{sensor}}/{{quantity}}\"
  qos: 1
  keep_alive: 5s
sensors:
  - {{ id: air, driver: tmp105, bus: i2c-1, address: 0x48, interval: 1s }}
{more}",
        broker.port()
    )
}

/// What systemd says of the service.
fn property(pi: &mut Pi, name: &str) -> String {
    pi.ask(&format!("systemctl show -P {name} sensor-bridge"))
}

#[track_caller]
fn is(pi: &mut Pi, name: &str, value: &str) {
    let actual = property(pi, name);
    assert_eq!(actual, value, "{name}\n{}", pi.last_words());
}

#[track_caller]
fn wait_for_the_service(pi: &mut Pi) {
    let up = holds_within(LONG, || property(pi, "ActiveState") == "active");
    assert!(up, "the service is not up:\n{}", pi.last_words());
}

/// Waits for a message that fits.
#[track_caller]
fn arrives(pi: &mut Pi, subscriber: &Subscriber, what: &str, fits: impl Fn(&Message) -> bool) {
    let arrived = holds_within(LONG, || subscriber.messages().iter().any(&fits));
    assert!(arrived, "waited {LONG:?} in vain: {what}\n{}", pi.last_words());
}

/// Gives the sensor a temperature and waits until a reading says so.
#[track_caller]
fn follows(pi: &mut Pi, subscriber: &Subscriber, celsius: f64) {
    pi.set_temperature(celsius);
    arrives(pi, subscriber, &format!("a reading of {celsius} °C"), |message| {
        message.topic == TEMPERATURE && json(message)["value"] == celsius
    });
}

/// What the service, its check before the start among it, has said since the Pi was switched on, from this
/// priority up.
fn journal(pi: &mut Pi, priority: &str) -> String {
    pi.ask(&format!("journalctl -b -u sensor-bridge -p {priority} -o cat --no-pager"))
}
