//! The real daemon and a broker that means it harm, or is not one: nonsense, endless and oversize packets, wrong packet
//! ids, floods, silence, hanging up at every step. The daemon must not die, not spin, not grow, and lose nothing: when
//! a real mosquitto takes the place of the hostile one, everything that was logged is there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod broker;
mod misdeeds;
#[path = "../support/mod.rs"]
mod support;
mod visit;

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use broker::HostileBroker;
use misdeeds::{MISDEEDS, Misdeed};
use support::{Bridge, Mosquitto, Publisher, Subscriber, holds_within};

/// Bridges beside each other: most of their time is waiting.
const AT_ONCE: usize = 8;

/// A misdeed that takes no end is looked at for so long.
const LOOKED_AT: Duration = Duration::from_secs(3);

const SOON: Duration = Duration::from_secs(60);

/// Most memory that the daemon ever had, KiB: it rests at some 15 MiB, one packet may have 1 MiB (as configured below),
/// and a mirror takes 8 MiB together before it stops to read, of which some are under way at a time.
const MOST_MEMORY: u64 = 96 * 1024;

/// A connection of each of publisher and mirror at the beginning, and one a second afterwards at the most; the waits are
/// jittered by half.
fn most_connections(lived: Duration) -> usize {
    2 * (2 + (lived.as_secs_f64() / 0.5) as usize)
}

#[test]
fn whatever_a_broker_does_the_daemon_lives_and_loses_nothing() {
    let real = Mosquitto::with("max_inflight_messages 60000\nmax_packet_size 4000000\n");
    let cases: Vec<(&Misdeed, u8)> = MISDEEDS
        .iter()
        .flat_map(|misdeed| misdeed.versions.iter().map(move |version| (misdeed, *version)))
        .filter(|(misdeed, _)| chosen(misdeed.name))
        .collect();
    let next = AtomicUsize::new(0);
    let faults: Mutex<Vec<String>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((misdeed, version)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(fault) = suffer(misdeed, *version, &real) {
                        faults.lock().unwrap().push(format!("{} (MQTT {version}): {fault}", misdeed.name));
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

/// `HOSTILE=flood` runs those whose names have the word in them.
fn chosen(name: &str) -> bool {
    std::env::var("HOSTILE").map_or(true, |word| name.contains(&word))
}

/// One bridge and one misdeed; then mosquitto.
fn suffer(misdeed: &'static Misdeed, version: u8, real: &Mosquitto) -> Result<(), String> {
    let device = format!("{}-{version}", misdeed.name.replace(' ', "-"));
    let witness = Subscriber::persistent(real.port(), &format!("w-{device}"), &[&format!("t/{device}/#")], 2);
    let broker = HostileBroker::start(misdeed, version);
    let began = Instant::now();
    let mut bridge = start(&device, version, &broker);
    // Both have met it, and have come back if they were thrown out; or it keeps them waiting.
    let enough = || broker.met() >= 4;
    holds_within(LOOKED_AT, || enough() || began.elapsed() > LOOKED_AT);
    let check = |bridge: &mut Bridge, when: &str| -> Result<(), String> {
        if let Some(status) = bridge.ended() {
            return Err(format!("ended {when} with {status}:\n{}", bridge.last_words()));
        }
        let most = status_of(bridge, "VmHWM:");
        if most > MOST_MEMORY {
            return Err(format!("{most} KiB of memory {when}"));
        }
        let (lived, connections) = (began.elapsed(), broker.connections());
        if connections > most_connections(lived) {
            return Err(format!("{connections} connections in {lived:?} {when}"));
        }
        Ok(())
    };
    check(&mut bridge, "while it went on")?;
    if broker.met() == 0 {
        return Err(format!("it was never met:\n{}", bridge.last_words()));
    }
    let before = busy(&bridge);
    let turned = Instant::now();
    broker.become_harmless(real.port());
    arrives(&bridge, &witness, misdeed)?;
    mirrored(&bridge, real, &device)?;
    check(&mut bridge, "after it")?;
    let (worked, time) = (busy(&bridge) - before, turned.elapsed());
    if worked > time.mul_f64(0.8) + Duration::from_secs(2) {
        return Err(format!("{worked:?} of processor time in {time:?}"));
    }
    if bridge.stderr().contains("panicked") {
        return Err(format!("it panicked:\n{}", bridge.last_words()));
    }
    let status = bridge.terminate();
    if status.success() { Ok(()) } else { Err(format!("left with {status}:\n{}", bridge.last_words())) }
}

fn start(device: &str, version: u8, broker: &HostileBroker) -> Bridge {
    let word = if version == 4 { "3.1.1" } else { "5" };
    Bridge::start(|folder| {
        format!(
            "device: {{ id: {device} }}
log: {{ path: {}/bridge.db }}
mqtt: {{ url: \"mqtt://127.0.0.1:{}\", version: \"{word}\", keep_alive: 5s, max_packet_size: 1MB, topic: \"t/{{device}}/{{sensor}}/{{quantity}}\" }}
sensors:
  - {{ id: one, driver: sim, scenario: sine, min: 0, max: 100, period: 10s, interval: 100ms, qos: 1 }}
  - {{ id: two, driver: sim, scenario: sine, min: 0, max: 100, period: 7s, interval: 100ms, qos: 2 }}
mirror: [{{ topics: [\"in/{device}/#\"], qos: 2, to: sqlite }}]
",
            folder.display(),
            broker.port(),
        )
    })
}

/// Every row that is in the log now reaches mosquitto, but for those that the hostile broker has acknowledged (it is
/// believed, as any broker must be) or refused.
fn arrives(bridge: &Bridge, witness: &Subscriber, misdeed: &Misdeed) -> Result<(), String> {
    let rows = |sql: &str| -> HashSet<String> {
        let database = bridge.database();
        let mut statement = database.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let mut owed = rows(
        "SELECT epoch || '-' || reading.id FROM reading JOIN channel ON channel.id = reading.channel, epoch
         WHERE topic IS NOT NULL AND epoch.first_row <= reading.id",
    );
    if misdeed.acknowledges {
        owed.clear();
    }
    let later = rows("SELECT CAST(max(id) AS TEXT) FROM reading");
    let passed = || -> bool {
        let cursor = rows("SELECT CAST(cursor AS TEXT) FROM progress");
        let number = |set: &HashSet<String>| set.iter().next().and_then(|text| text.parse::<i64>().ok());
        number(&cursor) >= number(&later)
    };
    if !holds_within(SOON, passed) {
        return Err(format!("delivery does not go on:\n{}", bridge.last_words()));
    }
    let mut missing = HashSet::new();
    let arrived = || {
        let messages = witness.messages();
        let seen: HashSet<String> = messages.iter().filter_map(|message| id(&message.payload)).collect();
        let refused = rows(
            "SELECT epoch || '-' || refusal.row FROM refusal, epoch WHERE epoch.first_row <= refusal.row",
        );
        missing = owed.iter().filter(|id| !seen.contains(*id) && !refused.contains(*id)).cloned().collect();
        missing.is_empty() && !seen.is_empty()
    };
    if !holds_within(SOON, arrived) {
        return Err(format!("{} of {} are missing:\n{}", missing.len(), owed.len(), bridge.last_words()));
    }
    Ok(())
}

fn id(payload: &str) -> Option<String> {
    payload.strip_prefix("{\"id\":\"")?.split('"').next().map(str::to_owned)
}

/// What is published now is mirrored.
fn mirrored(bridge: &Bridge, real: &Mosquitto, device: &str) -> Result<(), String> {
    let topic = format!("in/{device}/after");
    let there = || {
        Publisher::once(real.port(), &topic, &["-q", "1", "-m", "x"]);
        let count: i64 = bridge
            .database()
            .query_row("SELECT count(*) FROM messages WHERE topic = ?1", [&topic], |row| row.get(0))
            .unwrap();
        count > 0
    };
    let said = || format!("the mirror does not go on:\n{}", bridge.last_words());
    if holds_within(SOON, there) { Ok(()) } else { Err(said()) }
}

/// A figure of `/proc/PID/status`, KiB.
fn status_of(bridge: &Bridge, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", bridge.pid().unwrap())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Processor time so far (proc(5), utime and stime in hundredths).
fn busy(bridge: &Bridge) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", bridge.pid().unwrap())).unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(10 * ticks)
}
