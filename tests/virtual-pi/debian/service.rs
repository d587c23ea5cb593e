//! The service comes up with the Pi, reads the sensor, and reaches a broker that asks for a password.

use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;

use super::{
    CONFIG, LONG, TEMPERATURE, arrives, config, follows, installed, is, journal, property,
    wait_for_the_service,
};
use crate::card::Card;
use crate::pi::Pi;
use crate::support::{Mosquitto, Subscriber, find};
use crate::{SOON, json};

/// A broker that knows the bridge by its password, and lets in whoever says no name.
fn broker_with_a_password() -> (Mosquitto, TempDir) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("passwords");
    let mut make = Command::new(find("mosquitto_passwd"));
    let made = make.args(["-c", "-b"]).arg(&file).args(["bridge", "geheim"]).status().unwrap();
    assert!(made.success(), "mosquitto_passwd: {made}");
    (Mosquitto::with(&format!("password_file {}", file.display())), folder)
}

#[test]
#[ignore = "needs an emulator: make virtual-pi-systemd"]
fn the_service_comes_up_with_the_pi_and_reads_the_sensor() {
    let (broker, _passwords) = broker_with_a_password();
    let subscriber = Subscriber::start(broker.port(), &["t/#"], 1);
    let card = Card::copy_of(installed());
    let mut pi = Pi::boot(&card);
    wait_for_the_service(&mut pi);
    let door = "  - { id: door, driver: digital-input, pin: 17, pull: down, interval: 1s }\n";
    let login = "mqtt:\n  username: bridge\n  password_file: mqtt.password\n";
    pi.put(CONFIG, config(&broker, door).replace("mqtt:\n", login).as_bytes());

    // The wrong password first, so that the right one can be seen to be what lets it in.
    pi.shell("umask 077; echo wrong >/etc/sensor-bridge/mqtt.password");
    pi.long("systemctl restart sensor-bridge", LONG);
    pi.wait_until("the broker refuses it", |pi| journal(pi, "warning").contains("publisher: failed"));
    assert_eq!(subscriber.count(), 0);
    pi.shell("echo geheim >/etc/sensor-bridge/mqtt.password");
    assert_eq!(pi.shell("stat -c '%U %a' /etc/sensor-bridge/mqtt.password").trim(), "root 600");
    pi.shell("sync");
    pi.cut_power();

    let begun = Instant::now();
    let mut pi = Pi::boot(&card);
    arrives(&mut pi, &subscriber, "a reading", |message| message.topic == TEMPERATURE);
    println!("a reading arrived {:.0} s after the power came", begun.elapsed().as_secs_f64());
    wait_for_the_service(&mut pi);
    comes_up_in_order(&mut pi);
    assert!(broker.log().contains("u'bridge'"), "by name: {}", broker.log());

    for celsius in [21.5, -5.0, 30.5625] {
        follows(&mut pi, &subscriber, celsius);
    }
    for high in [true, false] {
        pi.set_level(17, high);
        pi.wait_until("the pin's new level arrives", |_| {
            let messages = subscriber.messages();
            let last = messages.iter().rfind(|message| message.topic == "t/pi/door/active");
            last.is_some_and(|message| json(message)["value"] == high)
        });
    }
    let rows =
        pi.query("SELECT value FROM readings WHERE sensor = 'air' AND quantity = 'temperature' ORDER BY id");
    let logged: Vec<f64> = rows.iter().map(|row| row["value"].as_f64().unwrap()).collect();
    assert!(logged.ends_with(&[21.5, -5.0, 30.5625]), "{logged:?}");

    levels_are_the_journals(&mut pi);
    pi.shut_down();
    // It leaves in order, and says so.
    subscriber.wait_for_one(SOON, |message| message.topic == "t/pi/status" && message.payload == "offline");
}

/// As systemd sees it, and as the kernel sees its process.
fn comes_up_in_order(pi: &mut Pi) {
    for (name, value) in
        [("Type", "notify"), ("SubState", "running"), ("UnitFileState", "enabled"), ("NRestarts", "0")]
    {
        is(pi, name, value);
    }
    println!(
        "active {} µs after the kernel's start, on a Pi that was up {}",
        property(pi, "ActiveEnterTimestampMonotonic"),
        pi.ask("systemd-analyze time | head -n 1")
    );
    let pid = property(pi, "MainPID");
    let user = pi.shell("id -u sensor-bridge").trim().to_owned();
    assert_ne!(user, "0");
    let uids = pi.shell(&format!("grep ^Uid: /proc/{pid}/status"));
    assert_eq!(uids.split_whitespace().skip(1).collect::<Vec<_>>(), [user.as_str(); 4], "the process");
    // Those of the package, by the numbers that sysusers has given them here.
    let mut groups: Vec<String> = Vec::new();
    for group in ["i2c", "spi", "gpio", "video", "dialout"] {
        groups.push(pi.shell(&format!("getent group {group} | cut -d : -f 3")).trim().to_owned());
    }
    let held = pi.shell(&format!("grep ^Groups: /proc/{pid}/status"));
    let held: Vec<&str> = held.split_whitespace().skip(1).collect();
    assert!(groups.iter().all(|group| held.contains(&group.as_str())), "{groups:?} in {held:?}");
    assert_eq!(pi.shell("stat -c '%U:%G %a' /dev/i2c-1").trim(), "root:i2c 660");
    assert_eq!(
        pi.shell("stat -c '%U:%G %a' /var/lib/sensor-bridge").trim(),
        "sensor-bridge:sensor-bridge 750"
    );
    // What `ExecStartPre` has printed.
    let said = journal(pi, "debug");
    assert!(said.contains(&format!("{CONFIG} is good.")) && said.contains("i2c-1"), "{said}");
}

/// What should be looked at is a warning, what goes well is not.
fn levels_are_the_journals(pi: &mut Pi) {
    pi.unplug();
    pi.wait_until("a warning that names the address", |pi| journal(pi, "warning").contains("0x48"));
    pi.plug_in();
    let (warnings, all) = (journal(pi, "warning"), journal(pi, "info"));
    assert!(all.contains("starts as pi") && !warnings.contains("starts as pi"), "{warnings}");
    assert!(!all.contains("<6>") && !all.contains("<4>"), "the prefixes are the journal's: {all}");
}
