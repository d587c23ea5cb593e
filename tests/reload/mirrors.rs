//! Mirrors: topics come and go on the connection that there is, or when there is one again.

use std::path::Path;
use std::time::Duration;

use crate::support::{AckedPublisher, Bridge, Mosquitto, Publisher, wait_until};
use crate::{QUIET, SOON, assert_goes_on, counter, head, mqtt, reload};

#[test]
fn topics_are_added_and_dropped_on_the_connection_that_there_is() {
    let broker = Mosquitto::with("log_type subscribe\nlog_type unsubscribe");
    let config = |folder: &Path, topics: &str| {
        let mirror = format!(
            "mirror:\n  - {{ id: back, topics: [{topics}], to: sqlite }}\n  - {{ id: other, topics: [\"o/#\"], to: sqlite }}\n"
        );
        format!("{}sensors:\n{QUIET}{mirror}", head(folder, &mqtt(&broker)))
    };
    let mut bridge = Bridge::start(|folder| config(folder, "\"a/#\", \"b/#\""));
    let said = |what: &str| broker.log().lines().filter(|line| line.ends_with(what)).count();
    let client = {
        wait_until(SOON, "it has subscribed", || said("-back 1 a/#") == 1 && said("-back 1 b/#") == 1);
        let log = broker.log();
        let line = log.lines().find(|line| line.ends_with("-back 1 a/#")).unwrap();
        line.split_whitespace().find(|word| word.ends_with("-back")).unwrap().to_owned()
    };
    let connections = || broker.log().matches(&format!(" as {client} ")).count();
    assert_eq!(connections(), 1);
    let stored = |bridge: &Bridge, topic: &str| -> Vec<String> {
        let database = bridge.database();
        let mut rows = database.prepare("SELECT payload FROM messages WHERE topic = ?1 ORDER BY id").unwrap();
        rows.query_map([topic], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let kept = AckedPublisher::start(broker.port(), "sender", 1, Duration::from_millis(1), |number| {
        ("a/kept".to_owned(), number.to_string())
    });
    wait_until(SOON, "messages come", || stored(&bridge, "a/kept").len() > 20);
    for round in 1..=5 {
        let said_so = reload(&bridge, &config(bridge.folder(), "\"a/#\", \"c/#\""));
        assert_eq!(said_so, "mirror back subscribed to c/#, no longer to b/#");
        wait_until(SOON, "SUBSCRIBE and UNSUBSCRIBE", || {
            said("-back 1 c/#") == round && said("-back b/#") == round
        });
        Publisher::once(broker.port(), "c/new", &["-q", "1", "-m", &round.to_string()]);
        Publisher::once(broker.port(), "b/gone", &["-q", "1", "-m", "nobody listens"]);
        wait_until(SOON, "the new topic is mirrored", || stored(&bridge, "c/new").len() == round);
        reload(&bridge, &config(bridge.folder(), "\"b/#\", \"a/#\""));
        wait_until(SOON, "back again", || said("-back 1 b/#") == round + 1 && said("-back c/#") == round);
    }
    let sent = kept.finish(SOON);
    wait_until(SOON, "the last one", || stored(&bridge, "a/kept").len() >= sent.len());
    let sent: Vec<String> = sent.into_iter().map(|sent| sent.payload).collect();
    assert_eq!(stored(&bridge, "a/kept"), sent, "each once, in order");
    assert_eq!(said("-back 1 a/#"), 1, "it was subscribed to all the time");
    assert_eq!(said("-back a/#"), 0);
    assert!(stored(&bridge, "b/gone").is_empty());
    assert_eq!(connections(), 1, "{}", broker.log());
    // Taken away for good, it leaves its topics, so that the broker keeps nothing for it; the other one stays.
    let all = config(bridge.folder(), "\"a/#\"");
    let line = all.lines().find(|line| line.contains("id: back")).unwrap();
    assert_eq!(reload(&bridge, &all.replace(&format!("{line}\n"), "")), "mirror back removed");
    assert_eq!((said("-back a/#"), said("-back b/#")), (1, 6));
    assert_eq!((said("-other 1 o/#"), said("-other o/#")), (1, 0));
    assert!(bridge.terminate().success());
}

#[test]
fn a_broker_that_is_away_delays_nothing_for_long() {
    let mut broker = Mosquitto::start();
    let mirror = "mirror:\n  - { id: back, topics: [\"a/#\"], to: sqlite }\n";
    let config = |folder: &Path, interval: &str, mirror: &str| {
        format!("{}sensors:\n{}{mirror}", head(folder, &mqtt(&broker)), counter("steady", interval, ""))
    };
    let [first, other, without] = [("10ms", mirror), ("11ms", &mirror.replace("a/#", "b/#")), ("10ms", "")]
        .map(|(interval, mirror)| {
            let mirror = mirror.to_owned();
            move |folder: &Path| config(folder, interval, &mirror)
        });
    let mut bridge = Bridge::start(&first);
    wait_until(SOON, "it mirrors", || bridge.stderr().contains("mirror back: ok"));
    let (other, without) = (other(bridge.folder()), without(bridge.folder()));
    broker.stop();
    wait_until(SOON, "it notices", || bridge.stderr().contains("publisher: failed"));
    let said = reload(&bridge, &other);
    assert_eq!(said, "sensor steady adjusted; mirror back subscribed to b/#, no longer to a/#");
    broker.resume();
    // It follows when there is a connection.
    wait_until(Duration::from_secs(120), "the other topic is mirrored", || {
        Publisher::once(broker.port(), "b/x", &["-q", "1", "-m", "hello"]);
        let sql = "SELECT count(*) FROM messages WHERE topic = 'b/x'";
        bridge.database().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() > 0
    });
    broker.stop();
    let said = reload(&bridge, &without);
    assert_eq!(said, "sensor steady adjusted; mirror back removed");
    assert!(bridge.terminate().success());
    assert_goes_on(&bridge, "steady");
}
