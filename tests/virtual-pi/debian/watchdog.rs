//! A daemon that hangs is killed and replaced by systemd, and what it had under way is not lost.

use std::time::Instant;

use super::{CONFIG, LONG, boot, config, property};
use crate::SOON;
use crate::ledger::audit;
use crate::pi::Pi;
use crate::power::{integrity, published, seen};
use crate::support::{Mosquitto, Subscriber, holds_within};

/// Sensors whose every sample is a new value, at both kinds of delivery; in a calm one reading an hour, so that
/// the log comes to an end.
fn busy(calm: bool) -> String {
    let mut text = String::new();
    for (qos, interval) in [(1, "50ms"), (2, "100ms")] {
        text.push_str(&format!(
            "  - {{ id: q{qos}, driver: sim, scenario: clock, interval: {}, qos: {qos}, \
             quantities: {{ value: {{ change: always }} }} }}\n",
            if calm { "1h" } else { interval }
        ));
    }
    text
}

/// The sensor in question is asleep nearly all of its time.
fn with_a_slow_sensor(config: &str) -> String {
    config.replace("interval: 1s", "interval: 5s")
}

#[test]
#[ignore = "needs an emulator: make virtual-pi-systemd"]
fn a_daemon_that_hangs_is_replaced_and_loses_nothing() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::persistent(broker.port(), "witness", &["t/#"], 2);
    let mut pi = boot();
    pi.put(CONFIG, with_a_slow_sensor(&config(&broker, &busy(false))).as_bytes());
    pi.long("systemctl restart sensor-bridge", LONG);
    subscriber.wait_for(100, LONG);

    replaced(&mut pi, &subscriber, "all of it stopped", |pi, pid| {
        pi.shell(&format!("kill -STOP {pid}"));
    });
    // Its main thread, which feeds the watchdog, goes on: by a timer alone this would never be noticed.
    replaced(&mut pi, &subscriber, "the worker of i2c-1 stopped", |pi, pid| {
        let group = "/sys/fs/cgroup/system.slice/sensor-bridge.service/hung";
        pi.shell(&format!("mkdir {group} && echo threaded >{group}/cgroup.type"));
        let threads = pi.shell(&format!("grep -lx 'bus i2c-1' /proc/{pid}/task/*/comm"));
        let thread = threads.trim().split('/').nth(4).unwrap();
        pi.shell(&format!("echo {thread} >{group}/cgroup.threads && echo 1 >{group}/cgroup.freeze"));
        let before = subscriber.count();
        pi.shell(&format!("kill -USR1 {pid}"));
        pi.wait_until("the other threads go on", |pi| {
            super::journal(pi, "info").contains("sensor air") && subscriber.count() > before + 50
        });
    });

    pi.put(CONFIG, with_a_slow_sensor(&config(&broker, &busy(true))).as_bytes());
    pi.long("systemctl reload sensor-bridge", LONG);
    let mut log = pi.log();
    let arrived = holds_within(SOON * 2, || {
        log = pi.log();
        audit(&published(&log), &seen(&subscriber)).lost.is_empty()
    });
    assert_eq!(integrity(&log), "ok");
    let verdict = audit(&published(&log), &seen(&subscriber));
    println!(
        "{} readings in the log, {} messages seen\n{verdict}",
        published(&log).len(),
        subscriber.count()
    );
    assert!(arrived && verdict.is_clean(), "{verdict}\n{}", pi.last_words());
    // A daemon that is killed cannot know what of its window had arrived: 20 each.
    assert!(verdict.repeats(2) <= 40, "{verdict}");
}

/// Makes it hang, and waits until another process is at work in its place.
fn replaced(pi: &mut Pi, subscriber: &Subscriber, how: &str, hang: impl FnOnce(&mut Pi, &str)) {
    let (pid, restarts) = (property(pi, "MainPID"), restarts(pi));
    let timeouts = |pi: &mut Pi| super::journal(pi, "err").matches("Watchdog timeout").count();
    let before = timeouts(pi);
    let begun = Instant::now();
    hang(pi, &pid);
    let other = holds_within(LONG, || {
        property(pi, "ActiveState") == "active"
            && ![pid.as_str(), "0"].contains(&property(pi, "MainPID").as_str())
    });
    assert!(other, "{how}: no other process\n{}", pi.last_words());
    let after = begun.elapsed().as_secs_f64();
    assert_eq!(self::restarts(pi), restarts + 1, "{how}");
    assert_eq!(timeouts(pi), before + 1, "{how}\n{}", pi.last_words());
    let count = subscriber.count();
    subscriber.wait_for(count + 100, LONG);
    println!(
        "{how}: another process after {after:.0} s, 100 more messages after {:.0} s",
        begun.elapsed().as_secs_f64()
    );
}

fn restarts(pi: &mut Pi) -> u32 {
    property(pi, "NRestarts").parse().unwrap()
}
