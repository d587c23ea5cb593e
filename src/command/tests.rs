//! Commands through the sink, over simulated pins and a real log, as the subscriber would hand them over.

use serde_json::Value as Json;

use super::*;
use crate::bus::Buses;
use crate::config::{Action, Permission};
use crate::integrity::{Integrity, Key};
use crate::mirror::{Batch, Incoming, Reply, Response, fingerprint};
use crate::output::tests::House;
use crate::platform::{Order, Wish};
use crate::reading::{Clock, Qos};

const FAN: &str = "  - {id: fan, driver: digital-output, bus: gpio-sim, pin: 22}\n  \
                   - {id: pump, driver: digital-output, bus: gpio-sim, pin: 23}\n";
const TOPIC: &str = "castel/pi/command";
const KEYED: &str = "castel/pi/signed";
const KEY: &[u8] = b"0123456789abcdef";

/// A clock that is right, whatever this machine's is.
fn synced() -> Moment {
    Moment { clock: Clock::Synced, ..crate::enrich::clock::now() }
}

fn commander(house: &House) -> Commander {
    let source = |topic: &str, key| CommandSource {
        topic: topic.into(),
        qos: Qos::AtLeastOnce,
        allow: vec![
            Permission::Output("fan".into()),
            Permission::Action { action: Action::Status, sensor: None },
            Permission::Action { action: Action::Read, sensor: None },
        ],
        key,
        reply: Some("castel/pi/reply".into()),
        obey_unsynced: false,
    };
    let sources = vec![source(TOPIC, None), source(KEYED, Some(Key::new(KEY)))];
    let terms = Terms { device: "pi".into(), sources: sources.into_iter().map(Arc::new).collect() };
    let means = Means {
        log: house.log.clone(),
        outputs: house.outputs(),
        control: Control::default(),
        board: house.board.clone(),
        clock: synced,
        reload: Reload::default(),
    };
    Commander::new(means, terms)
}

fn message(topic: &str, payload: &str) -> Incoming {
    Incoming {
        topic: topic.into(),
        payload: payload.into(),
        qos: Qos::AtLeastOnce,
        retained: false,
        received: synced(),
        packet_id: 1,
        dup: false,
        hash: fingerprint(topic, payload.as_bytes()),
        response: None,
    }
}

fn set(id: &str, output: &str, on: bool) -> String {
    let expires = synced().wall.0 / 1_000_000 + 60;
    format!(r#"{{"id":"{id}","expires":{expires},"action":"set","output":"{output}","value":{on}}}"#)
}

fn batch(messages: Vec<Incoming>) -> Batch {
    Batch { messages, ..Batch::default() }
}

fn codes(replies: &[Reply]) -> Vec<(String, u64, bool)> {
    let code = |reply: &Reply| {
        let body: Json = serde_json::from_slice(&reply.payload).unwrap();
        let repeated = body["repeated"].as_bool().unwrap_or(false);
        (body["id"].as_str().unwrap_or("").to_owned(), body["rc"].as_u64().unwrap(), repeated)
    };
    replies.iter().map(code).collect()
}

fn expected(codes: &[(&str, u64, bool)]) -> Vec<(String, u64, bool)> {
    codes.iter().map(|(id, rc, repeated)| ((*id).to_owned(), *rc, *repeated)).collect()
}

const ROWS: &str = "SELECT ifnull(command, '-') || ' ' || outcome || ' ' || rc FROM commands ORDER BY id";

#[test]
fn a_command_is_done_once_answered_always_and_logged() {
    let house = House::start(Buses::new(), FAN);
    let commander = commander(&house);
    let mut sink = commander.sink();
    assert_eq!(sink.open().unwrap(), crate::mirror::Session::default());
    let on = || message(TOPIC, &set("a", "fan", true));
    let messages = vec![on(), on(), message(TOPIC, &set("b", "pump", true)), message(TOPIC, "{}")];
    let stored = sink.store(&batch(messages)).unwrap();
    let answers = [("a", 200, false), ("a", 200, true), ("b", 403, false), ("", 400, false)];
    assert_eq!(codes(&stored.replies), expected(&answers));
    assert!(stored.replies.iter().all(|reply| reply.topic == "castel/pi/reply"));
    assert_eq!((house.driven(22), house.driven(23)), (Some(1.0), Some(0.0)));
    commander
        .submit("ada", Request::Set { output: "fan".into(), level: crate::output::Level::Off, hold: None })
        .unwrap();
    let again = sink.store(&batch(vec![on()])).unwrap();
    assert_eq!(codes(&again.replies), expected(&[("a", 200, true)]));
    assert_eq!(house.driven(22), Some(0.0), "answered, not done again");
    let rows = house.query(ROWS);
    let start: Vec<&str> = rows.iter().map(|row| row.split_once(' ').unwrap().1).collect();
    assert_eq!(start, ["done 200", "repeat 200", "refused 403", "refused 400", "done 200", "repeat 200"]);
    let local = house.query("SELECT source || ': ' || payload FROM commands WHERE source LIKE 'local%'");
    assert_eq!(local, ["local:ada: set fan off"]);
}

#[test]
fn answers_wait_for_their_acknowledgement_over_a_restart() {
    let house = House::start(Buses::new(), FAN);
    let mut sink = commander(&house).sink();
    sink.open().unwrap();
    let stored =
        sink.store(&batch(vec![message(TOPIC, &set("a", "fan", true)), message(TOPIC, "x")])).unwrap();
    let mut sink = commander(&house).sink();
    let session = sink.open().unwrap();
    assert_eq!(session.replies, stored.replies);
    let answered = Batch { answered: vec![stored.replies[0].number], ..Batch::default() };
    sink.store(&answered).unwrap();
    assert_eq!(commander(&house).sink().open().unwrap().replies, stored.replies[1..]);
}

#[test]
fn what_a_crash_interrupted_is_answered_and_not_done() {
    let house = House::start(Buses::new(), FAN);
    // As the sink writes it before it carries it out.
    let taken = CommandStep::Begin(NewCommand {
        received: synced(),
        source: TOPIC.into(),
        command: Some("a".into()),
        expires: None,
        payload: String::new(),
        reply: Some(crate::log::ReplyTo { topic: "castel/pi/reply".into(), correlation: None }),
        refused: None,
    });
    house.log.note_commands(vec![taken]).unwrap();
    let mut sink = commander(&house).sink();
    assert_eq!(codes(&sink.open().unwrap().replies), expected(&[("a", 500, false)]));
    let again = sink.store(&batch(vec![message(TOPIC, &set("a", "fan", true))])).unwrap();
    assert_eq!(codes(&again.replies), expected(&[("a", 500, true)]));
    assert_eq!(house.driven(22), Some(0.0));
}

#[test]
fn the_sender_of_mqtt_5_says_where_the_answer_goes_within_reason() {
    let house = House::start(Buses::new(), FAN);
    let mut sink = commander(&house).sink();
    sink.open().unwrap();
    for (wanted, expected) in [
        ("me/answers", "me/answers"),
        ("me/#", "castel/pi/reply"),
        ("$SYS/x", "castel/pi/reply"),
        (KEYED, "castel/pi/reply"),
    ] {
        let correlation = Some(vec![0, 255, 7]);
        let response = Some(Response { topic: wanted.into(), correlation: correlation.clone() });
        let asked = Incoming { response, ..message(TOPIC, &set(wanted, "fan", true)) };
        let stored = sink.store(&batch(vec![asked])).unwrap();
        assert_eq!(stored.replies.len(), 1);
        assert_eq!(
            (stored.replies[0].topic.as_str(), &stored.replies[0].correlation),
            (expected, &correlation)
        );
    }
}

/// As the subscriber does it: another sink, and what was not acknowledged comes again.
#[test]
fn what_a_panic_interrupted_is_answered_and_not_done() {
    let house = House::start(Buses::new(), FAN);
    let mut commander = commander(&house);
    let reload = Reload::by(|| panic!("in the midst of it"));
    commander.means = Arc::new(Means { reload, ..Means::clone(&commander.means) });
    let allow = vec![Permission::Action { action: Action::Reload, sensor: None }];
    let source = CommandSource { allow, ..CommandSource::clone(&commander.terms().sources[0]) };
    commander.change(Terms { device: "pi".into(), sources: vec![Arc::new(source)] });
    let mut sink = commander.sink();
    sink.open().unwrap();
    let expires = synced().wall.0 / 1_000_000 + 60;
    let reload = message(TOPIC, &format!(r#"{{"id":"a","expires":{expires},"action":"reload"}}"#));
    let again = batch(vec![reload]);
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sink.store(&again))).unwrap_err();
    let mut sink = commander.sink();
    assert_eq!(codes(&sink.open().unwrap().replies), expected(&[("a", 500, false)]));
    assert_eq!(codes(&sink.store(&again).unwrap().replies), expected(&[("a", 500, true)]));
}

/// The disk may be full, or the log closed, just when it is done.
#[test]
fn what_was_done_is_answered_as_done_though_the_log_cannot_take_that() {
    for by_platform in [false, true] {
        let house = House::start(Buses::new(), FAN);
        let log = house.log.clone();
        let reload = Reload::by(move || {
            log.close().unwrap();
            Ok("nothing".to_owned())
        });
        let mut commander = commander(&house);
        commander.means = Arc::new(Means { reload, ..Means::clone(&commander.means) });
        let (rc, message) = if by_platform {
            let allow = vec![Permission::Action { action: Action::Reload, sensor: None }];
            let source = CommandSource { allow, ..CommandSource::clone(&commander.terms().sources[0]) };
            let (take, mut outcomes) = desk::open(commander, Some(source)).unwrap();
            let body = serde_json::Map::from_iter([("action".to_owned(), json!("reload"))]);
            take(Order { tag: 7, id: None, wish: Wish::Command(body) }).unwrap();
            let (tag, outcome) = outcomes.blocking_recv().unwrap();
            assert_eq!(tag, 7);
            (outcome.rc, outcome.message)
        } else {
            let answer = commander.submit("ada", Request::Reload).unwrap();
            (answer.rc, answer.message)
        };
        assert_eq!((rc, message.as_str()), (200, "reloaded: nothing"));
    }
}

fn signed(key: &[u8], text: &str) -> String {
    let mut payload = text.as_bytes().to_vec();
    Integrity::Hmac(vec![Key::new(key)]).seal(KEYED, &mut payload);
    String::from_utf8(payload).unwrap()
}

#[test]
fn a_wrong_key_neither_switches_nor_takes_the_id_from_who_has_the_right_one() {
    let house = House::start(Buses::new(), FAN);
    let mut sink = commander(&house).sink();
    sink.open().unwrap();
    let text = set("a", "fan", true);
    let forged = message(KEYED, &signed(b"not the right key", &text));
    let good = message(KEYED, &signed(KEY, &text));
    let stored = sink.store(&batch(vec![message(KEYED, &text), forged])).unwrap();
    assert_eq!(codes(&stored.replies), expected(&[("a", 401, false), ("a", 401, false)]));
    assert_eq!(house.driven(22), Some(0.0));
    let stored = sink.store(&batch(vec![good])).unwrap();
    assert_eq!(codes(&stored.replies), expected(&[("a", 200, false)]));
    assert_eq!(house.driven(22), Some(1.0));
}

#[test]
fn retained_commands_are_refused_and_status_tells_of_everything() {
    let house = House::start(Buses::new(), FAN);
    let commander = commander(&house);
    let mut sink = commander.sink();
    sink.open().unwrap();
    let retained = Incoming { retained: true, ..message(TOPIC, &set("a", "fan", true)) };
    let stored = sink.store(&batch(vec![retained])).unwrap();
    assert_eq!(codes(&stored.replies), expected(&[("a", 410, false)]));
    assert_eq!(house.driven(22), Some(0.0));
    let answer = commander.submit("ada", Request::Status).unwrap();
    let data = answer.data.unwrap();
    assert_eq!(data["outputs"]["fan"]["on"], Json::Bool(false));
    assert!(data["parts"]["log"].is_string(), "{data}");
    let missing = commander.submit("ada", Request::Read { sensor: "air".into() }).unwrap();
    assert_eq!((missing.rc, missing.is_done()), (404, false));
    assert_eq!(commander.outputs().len(), 2);
}
