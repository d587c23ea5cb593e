//! The power is cut, again and again, at random moments: what a subscriber has seen is in the log, what is in the
//! log arrives, and what was acknowledged for the mirror is there once.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::card::Card;
use crate::ledger::{Missing, Row, Seen, Verdict, audit, exactly_once};
use crate::pi::Pi;
use crate::support::{AckedPublisher, Mosquitto, Seed, Subscriber, holds_within};

/// As many cuts in the short form; `VIRTUAL_PI_CUTS` asks for another number.
const CUTS: usize = 20;

/// Cuts of the control: each loses everything of some seconds.
const CUTS_OF_THE_CONTROL: usize = 3;

/// The real sensor and four simulated ones, whose every sample is a new value (`clock`), at QoS 1 and 2. In a
/// calm they take one reading an hour, so that the log comes to an end and delivery can reach it.
fn config(broker: &Mosquitto, sync: &str, calm: bool) -> String {
    let interval = |busy| if calm { "1h" } else { busy };
    let mut text = format!(
        "device: {{ id: pi }}
log: {{ path: /card/data/bridge.db, sync: {sync} }}
mqtt:
  url: mqtt://10.0.2.2:{}
  topic: \"t/{{device}}/{{sensor}}/{{quantity}}\"
  qos: 1
  keep_alive: 5s
mirror:
  - {{ topics: [\"outside/#\"], qos: 2, to: sqlite }}
sensors:
  - {{ id: air, driver: tmp105, bus: i2c-1, interval: {}, quantities: {{ temperature: {{ change: always }} }} }}
",
        broker.port(),
        interval("100ms")
    );
    for (qos, busy) in [(1, "50ms"), (2, "100ms")] {
        for number in 1..=2 {
            text.push_str(&format!(
                "  - {{ id: q{qos}-{number}, driver: sim, scenario: clock, interval: {}, qos: {qos}, \
                 quantities: {{ value: {{ change: always }} }} }}\n",
                interval(busy)
            ));
        }
    }
    text
}

/// What came of it.
struct Outcome {
    /// The log against the subscriber.
    readings: Verdict,
    /// The mirror's table against what was acknowledged.
    mirrored: Missing,
    rows: usize,
    seen: usize,
    acknowledged: usize,
}

/// When the power is cut.
enum When {
    /// So long after the daemon was started.
    Started(Duration),
    /// So long after so many of its messages were seen, however long an emulated Pi takes for that.
    Seen(usize, Duration),
}

/// Longest wait for messages of a daemon that was just started.
const PATIENCE: Duration = Duration::from_secs(120);

/// The end is awaited as long as something moves at least this often.
const STANDSTILL: Duration = Duration::from_secs(120);

/// Cuts the power this often; `when` says at which moments.
fn cut(sync: &str, cuts: usize, mut when: impl FnMut() -> When) -> Outcome {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::persistent(broker.port(), "witness", &["t/#"], 2);
    let (busy, calm) = (config(&broker, sync, false), config(&broker, sync, true));
    let card = Card::new(&[("config.yaml", &busy), ("calm.yaml", &calm)]);

    // The broker queues for the mirror from its first subscription on, which must outlast every cut.
    let mut pi = Pi::boot(&card);
    pi.start("calm.yaml");
    pi.wait_until("the mirror subscribes", |pi| {
        pi.one("SELECT count(*) AS one FROM subscription").is_some_and(|count| count == 1)
    });
    pi.stop();
    pi.shell("sync");
    pi.cut_power();
    // Seldom enough that what comes in during all the boots can be stored within minutes at the end.
    let publisher =
        AckedPublisher::start(broker.port(), "outside", 2, Duration::from_millis(150), |number| {
            (format!("outside/{}", number % 3), format!(r#"{{"n":{number}}}"#))
        });

    let begun = Instant::now();
    for number in 1..=cuts {
        let mut pi = Pi::boot(&card);
        check(&mut pi, &subscriber, sync, number);
        let before = subscriber.count();
        let when = when();
        pi.start("config.yaml");
        let started = Instant::now();
        match when {
            When::Started(moment) => std::thread::sleep(moment),
            When::Seen(count, moment) => {
                let seen = holds_within(PATIENCE, || subscriber.count() - before >= count);
                assert!(seen, "{count} messages were not seen after cut {}", number - 1);
                std::thread::sleep(moment);
            }
        }
        pi.cut_power();
        println!(
            "cut {number} of {cuts}, {:.1} s after the daemon's start: {} messages seen meanwhile; {:.0} s in all",
            started.elapsed().as_secs_f64(),
            subscriber.count() - before,
            begun.elapsed().as_secs_f64()
        );
    }

    let acknowledged = publisher.finish(Duration::from_secs(30));
    let acknowledged: Vec<Seen> =
        acknowledged.into_iter().map(|sent| Seen { topic: sent.topic, payload: sent.payload }).collect();
    let mut pi = Pi::boot(&card);
    check(&mut pi, &subscriber, sync, cuts + 1);
    pi.start("calm.yaml");
    let (mut left, mut moved) = (usize::MAX, Instant::now());
    while left > 0 && moved.elapsed() < STANDSTILL {
        let now = pi.log();
        let mirrored =
            if sync == "full" { exactly_once(&acknowledged, &mirrored(&now)).lost.len() } else { 0 };
        let still = audit(&published(&now), &seen(&subscriber)).lost.len() + mirrored;
        if still < left {
            (left, moved) = (still, Instant::now());
        }
    }
    if left == 0 {
        pi.wait_until("nothing waits for delivery", |pi| {
            pi.bridge("buffer status --config calm.yaml").contains("waiting    nothing")
        });
    }
    // What comes twice would come now.
    pi.stop();
    let log = pi.log();
    assert_eq!(integrity(&log), "ok");
    let (rows, messages, table) = (published(&log), seen(&subscriber), mirrored(&log));
    Outcome {
        readings: audit(&rows, &messages),
        mirrored: exactly_once(&acknowledged, &table),
        rows: rows.len(),
        seen: messages.len(),
        acknowledged: acknowledged.len(),
    }
}

/// After a cut, before the daemon runs again: the database is whole, and with `sync: full` nothing that was seen is
/// missing in it.
fn check(pi: &mut Pi, subscriber: &Subscriber, sync: &str, number: usize) {
    let log = pi.log();
    assert_eq!(integrity(&log), "ok", "after cut {}", number - 1);
    if sync == "full" {
        let missing = audit(&published(&log), &seen(subscriber)).unknown;
        assert!(missing.is_empty(), "after cut {}: seen and not in the log: {missing:?}", number - 1);
    }
}

/// What SQLite says of the file: `ok`.
pub fn integrity(log: &Connection) -> String {
    log.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
}

/// Every published row of the log, for the account. A row's epoch is the last one that begins at or before it.
pub fn published(log: &Connection) -> Vec<Row> {
    let mut query = log
        .prepare(
            "SELECT reading.id, (SELECT epoch FROM epoch WHERE first_row <= reading.id ORDER BY id DESC LIMIT 1), \
             topic, qos, value \
             FROM reading JOIN channel ON channel.id = reading.channel WHERE topic IS NOT NULL ORDER BY reading.id",
        )
        .unwrap();
    let rows = query.query_map([], |row| {
        let number: i64 = row.get(0)?;
        let epoch: String = row.get(1)?;
        let id = format!("{epoch}-{number}");
        Ok(Row { row: number, id, topic: row.get(2)?, qos: row.get(3)?, value: row.get(4)? })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn mirrored(log: &Connection) -> Vec<Seen> {
    let mut query = log.prepare("SELECT topic, payload FROM messages ORDER BY id").unwrap();
    let rows = query.query_map([], |row| Ok(Seen { topic: row.get(0)?, payload: row.get(1)? }));
    rows.unwrap().map(Result::unwrap).collect()
}

/// The readings that a subscriber has seen, for the account.
pub fn seen(subscriber: &Subscriber) -> Vec<Seen> {
    let all = subscriber.messages().into_iter();
    // The bridge's own `online` and `offline`, and its facts, are not readings.
    let readings = all.filter(|message| !message.topic.contains("/status"));
    readings.map(|message| Seen { topic: message.topic, payload: message.payload }).collect()
}

#[test]
#[ignore = "needs an emulator: make virtual-pi"]
fn nothing_is_lost_when_the_power_is_cut() {
    let cuts = std::env::var("VIRTUAL_PI_CUTS")
        .map_or(CUTS, |text| text.parse().expect("VIRTUAL_PI_CUTS is a number"));
    let mut seed = Seed::from_environment();
    // From before the log is open to well into the steady state; half of the moments are in the latter for certain.
    let mut early = false;
    let outcome = cut("full", cuts, || {
        early = !early;
        match early {
            true => When::Started(seed.millis(0, 6_000)),
            false => When::Seen(1, seed.millis(0, 3_000)),
        }
    });
    println!(
        "{cuts} cuts: {} readings in the log, {} messages seen, {} messages for the mirror\n{}",
        outcome.rows, outcome.seen, outcome.acknowledged, outcome.readings
    );
    assert!(outcome.readings.is_clean(), "{}", outcome.readings);
    assert_eq!(outcome.mirrored, Missing::default());
    // Cut between the broker's PUBCOMP and the commit that says so, the bridge cannot know: the window of 20 each.
    assert!(outcome.readings.repeats(2) <= 20 * cuts, "{}", outcome.readings);
    assert!(outcome.rows > 20 * cuts, "too few readings to tell");
}

/// The control: the same cuts, without waiting for the disk, must be seen to lose.
#[test]
#[ignore = "needs an emulator: make virtual-pi"]
fn without_waiting_for_the_disk_a_cut_loses_what_was_seen() {
    let outcome = cut("normal", CUTS_OF_THE_CONTROL, || When::Seen(50, Duration::ZERO));
    let (readings, mirrored) = (outcome.readings.unknown.len(), outcome.mirrored.lost.len());
    println!(
        "sync: normal: {readings} of {} readings seen are not in the log, {mirrored} of {} messages not in the mirror",
        outcome.seen, outcome.acknowledged
    );
    assert!(readings > 0 && mirrored > 0, "nothing was lost: the cuts of this test cut nothing");
}
