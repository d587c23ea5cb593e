//! Readings in bad weather: what is in the log reaches the broker, once or with the same id, in order.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::handshakes;
use crate::ledger::{Row, Seen, Verdict, audit};
use crate::support::{Bridge, Mosquitto, Proxy, Seed, Subscriber, holds_within, wait_until};
use crate::weather::{Scene, Witness, events_wanted};

/// Client id.
const WITNESS: &str = "witness";

/// Most repeats at QoS 2 after so many kills of the daemon: it dies between the broker's PUBCOMP and its own
/// commit and cannot know that it was done. One kill can hit a whole window, many cannot (measured: 0.7 each).
fn unavoidable(daemon_kills: usize) -> usize {
    match daemon_kills {
        0 => 0,
        many => 20 + 2 * (many - 1),
    }
}

const SENSORS_OF_EACH_QOS: usize = 5;

/// Most messages for one `mosquitto_sub`. From one packet id to the same one again are 65,535 messages, and
/// libmosquitto (2.0.11) keeps a message that it was sent twice before its PUBREL for ever: when its packet id
/// comes round, it hands out that one and swallows the new one (47 "lost" in 80,731 rows, old ones in their place).
const MOST_MESSAGES: usize = 60_000;

/// Rows for each event at full speed, about.
const ROWS_PER_EVENT: usize = 500;

/// Ten sensors whose every sample is a new value (`clock`); in a calm they take one reading an hour, so
/// that the log comes to an end and delivery can reach it. Many events: the slower.
fn config(url: &str, folder: &Path, calm: bool) -> String {
    let mut text = format!(
        "device: {{ id: chaos }}\n\
         mqtt:\n  url: {url}\n  topic: \"chaos/{{device}}/{{sensor}}/{{quantity}}\"\n  qos: 1\n  keep_alive: 5s\n\
         log: {{ path: {}/bridge.db }}\n\
         sensors:\n",
        folder.display()
    );
    let slower = events_wanted() * ROWS_PER_EVENT * 3 / 2 / MOST_MESSAGES + 1;
    for (qos, busy) in [(1, 20), (2, 50)] {
        let interval = if calm { "1h".to_owned() } else { format!("{}ms", busy * slower) };
        for number in 1..=SENSORS_OF_EACH_QOS {
            text.push_str(&format!(
                "  - {{ id: q{qos}-{number}, driver: sim, interval: {interval}, scenario: clock, qos: {qos}, \
                 quantities: {{ value: {{ change: always }} }} }}\n"
            ));
        }
    }
    text
}

impl Witness for Subscriber {
    fn arrived(&self) -> usize {
        self.count()
    }
}

/// Every published row of the log. A row's epoch is the last one that begins at or before it.
fn published(bridge: &Bridge) -> Vec<Row> {
    let database = bridge.database();
    let mut query = database
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

fn seen(subscriber: &Subscriber) -> Vec<Seen> {
    let all = subscriber.messages().into_iter();
    // The bridge's own `online` and `offline`, and its facts, are not readings.
    let readings = all.filter(|message| !message.topic.contains("/status"));
    readings.map(|message| Seen { topic: message.topic, payload: message.payload }).collect()
}

fn number(bridge: &Bridge, sql: &str) -> i64 {
    bridge.database().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Waits until everything is delivered. Answers no when nothing was for so long that every back-off and
/// time-out of a last outage is over.
fn goes_on_to_the_end(bridge: &Bridge) -> bool {
    let last = number(bridge, "SELECT coalesce(max(id), 0) FROM reading");
    let cursor = || number(bridge, "SELECT cursor FROM progress");
    let mut before = cursor();
    while before < last {
        if !holds_within(Duration::from_secs(90), || cursor() > before) {
            return false;
        }
        before = cursor();
    }
    true
}

#[test]
fn nothing_is_lost_on_the_way_out() {
    let seed = Seed::from_environment();
    // With its own window of 20, which the bridge must not overrun.
    let broker = Mosquitto::with("log_type all");
    let proxy = Proxy::start(broker.port());
    let mut subscriber = Subscriber::persistent(broker.port(), WITNESS, &["chaos/#"], 2);
    let url = proxy.url();
    let bridge = Bridge::start(|folder| config(&url, folder, false));
    let mut scene = Scene { seed, broker, proxy, bridge, daemon_kills: 0, broker_kills: 0 };
    if !holds_within(Duration::from_secs(20), || subscriber.count() > 100) {
        panic!("no readings in good weather:\n{}", scene.bridge.last_words());
    }
    scene.play(&mut subscriber);

    let status = scene.bridge.terminate();
    assert!(status.success(), "left with {status}:\n{}", scene.bridge.last_words());
    scene.bridge.configure(&config(&url, scene.bridge.folder(), true));
    scene.bridge.resume();
    // mosquitto saves after each message, on a busy machine 100 a second: what matters is that it goes on.
    let begun = Instant::now();
    let in_time = goes_on_to_the_end(&scene.bridge);
    let rest = begun.elapsed().as_secs_f64();
    let mut verdict = Verdict::default();
    holds_within(Duration::from_secs(30), || {
        verdict = audit(&published(&scene.bridge), &seen(&subscriber));
        verdict.lost.is_empty()
    });
    let status = scene.bridge.terminate();
    assert!(status.success(), "left with {status}:\n{}", scene.bridge.last_words());
    let log = published(&scene.bridge);
    wait_until(Duration::from_secs(10), "nothing more arrives", || {
        let before = subscriber.count();
        std::thread::sleep(Duration::from_millis(300));
        subscriber.count() == before
    });
    let verdict = audit(&log, &seen(&subscriber));
    let by_broker = handshakes::broken(&scene.broker.log(), WITNESS);
    println!(
        "{} rows, {} messages, {} daemon kills, {} broker kills, {by_broker} hand-shakes broken by the broker, \
         the last of it delivered after {rest:.1} s\n{verdict}",
        log.len(),
        subscriber.count(),
        scene.daemon_kills,
        scene.broker_kills
    );
    let count = subscriber.count();
    assert!(count < MOST_MESSAGES, "{count} messages are too many for this witness: slow the sensors down");
    assert!(in_time, "delivery stands still:\n{verdict}\n{}", scene.bridge.last_words());
    assert!(verdict.is_clean(), "{verdict}\n{}", scene.bridge.last_words());
    assert_eq!(number(&scene.bridge, "SELECT count(*) FROM gaps"), 0, "readings were given up");
    assert_eq!(number(&scene.bridge, "SELECT count(*) FROM refused"), 0, "the broker refused readings");
    // The way from mosquitto to the witness is mosquitto's.
    let excused = unavoidable(scene.daemon_kills) + by_broker;
    assert!(verdict.repeats(2) <= excused, "more than {excused} repeats at QoS 2: {verdict}");
    for qos in [1, 2] {
        assert!(log.iter().filter(|row| row.qos == qos).count() > 100, "too few rows to tell at QoS {qos}");
    }
}
