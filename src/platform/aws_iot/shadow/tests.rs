//! The shadow, message by message, with documents as the AWS IoT Core Developer Guide shows them.

use super::super::super::Order;
use super::super::super::contract::{about, moment};
use super::super::super::{Rules, Wish};
use super::*;

const TOPICS: &str = "$aws/things/greenhouse-pi/shadow";

fn shadow(restore: bool) -> Shadow {
    let settings = Settings { topics: TOPICS.to_owned(), interval: INTERVAL, readings: true, restore };
    Shadow::new(&settings, about(&Rules::default()))
}

/// Connected, and the shadow answered as this document.
fn known(shadow: &mut Shadow, accepted: Value) -> Vec<Act> {
    shadow.will();
    shadow.connected(moment(0));
    hear(shadow, "get/accepted", accepted)
}

fn hear(shadow: &mut Shadow, verb: &str, document: Value) -> Vec<Act> {
    let (topic, payload) = (format!("{TOPICS}/{verb}"), document.to_string());
    shadow.heard(Heard { topic: &topic, payload: payload.as_bytes(), retained: false }, moment(1_000_000))
}

fn said(act: &Act) -> (&str, Value) {
    let Act::Say(say) = act else { panic!("{act:?}") };
    assert_eq!((say.qos, say.retain), (Qos::AtLeastOnce, false));
    (say.topic.as_str(), serde_json::from_slice(&say.payload).unwrap_or(Value::Null))
}

fn order(acts: &[Act]) -> &Order {
    match acts {
        [Act::Do(order)] => order,
        other => panic!("{other:?}"),
    }
}

fn command(acts: &[Act]) -> Value {
    let Wish::Command(command) = &order(acts).wish else { panic!("{acts:?}") };
    Value::Object(command.clone())
}

/// "Response state documents": `/delta`.
fn delta(version: i64, set: i64, state: Value) -> Value {
    json!({
        "state": state,
        "metadata": {"fan": {"on": {"timestamp": set}}},
        "timestamp": set,
        "clientToken": "token",
        "version": version
    })
}

fn fan(on: bool) -> Value {
    json!({"fan": {"on": on}})
}

#[test]
fn on_each_connection_everything_is_reported_and_the_shadow_asked_for() {
    let mut shadow = shadow(false);
    for _ in 0..2 {
        shadow.will();
        let acts = shadow.connected(moment(0));
        let [update, get] = &acts[..] else { panic!("{acts:?}") };
        let (topic, document) = said(update);
        assert_eq!(topic, "$aws/things/greenhouse-pi/shadow/update");
        assert_eq!(document["state"]["reported"]["air"]["temperature"], json!(21.4));
        assert_eq!(document["state"].as_object().unwrap().len(), 1, "what is desired is not ours");
        assert!(document["clientToken"].as_str().unwrap().len() <= 64);
        assert_eq!(document.get("version"), None);
        let (topic, document) = said(get);
        assert_eq!((topic, document.as_object().unwrap().len()), ("$aws/things/greenhouse-pi/shadow/get", 1));
    }
    let filters = shadow.filters();
    assert!(filters.contains(&"$aws/things/greenhouse-pi/shadow/update/delta".to_owned()));
    assert!(filters.iter().all(|filter| !filter.contains(['+', '#'])));
}

#[test]
fn a_delta_becomes_a_command_once_and_its_outcome_is_reported() {
    let mut shadow = shadow(false);
    assert_eq!(known(&mut shadow, json!({"state": {}, "version": 10})), []);
    let asked = hear(&mut shadow, "update/delta", delta(11, 500, fan(true)));
    assert_eq!(command(&asked), json!({"action": "set", "output": "fan", "value": true}));
    // Every update of ours makes AWS repeat the delta until it is gone.
    assert_eq!(hear(&mut shadow, "update/delta", delta(12, 500, fan(true))), []);
    let outcome = Outcome { rc: 200, message: "fan is on".into(), data: Some(json!({"on": true})) };
    let acts = shadow.done(order(&asked).tag, &outcome, moment(2_000_000));
    let (_, document) = said(&acts[0]);
    let ack = json!({"value": true, "code": 200, "message": "fan is on", "at": 500});
    assert_eq!(document["state"], json!({"reported": {"fan": {"on": true, "ack": ack}}}));
    // Desired again later, though it is the same: the fan may have gone off by itself.
    assert_eq!(hear(&mut shadow, "update/delta", delta(15, 600, fan(true))).len(), 1);
}

#[test]
fn what_was_refused_is_said_and_not_tried_for_ever() {
    let mut shadow = shadow(false);
    known(&mut shadow, json!({"state": {}, "version": 10}));
    let asked = hear(&mut shadow, "update/delta", delta(11, 500, fan(true)));
    let outcome = Outcome { rc: 403, message: "not allowed here: set fan on".into(), data: None };
    let acts = shadow.done(order(&asked).tag, &outcome, moment(2_000_000));
    let (_, document) = said(&acts[0]);
    assert_eq!(document["state"]["reported"]["fan"]["ack"]["code"], json!(403));
    assert_eq!(document["state"]["reported"]["fan"].get("on"), None);
    assert_eq!(hear(&mut shadow, "update/delta", delta(12, 500, fan(true))), []);
}

#[test]
fn old_versions_and_what_waited_in_the_session_are_passed_over() {
    let mut shadow = shadow(false);
    // Before the connection has begun, and before the shadow is known.
    assert_eq!(hear(&mut shadow, "update/delta", delta(9, 400, fan(true))), []);
    shadow.will();
    shadow.connected(moment(0));
    assert_eq!(hear(&mut shadow, "update/delta", delta(9, 400, fan(true))), []);
    hear(&mut shadow, "get/accepted", json!({"state": {}, "version": 10}));
    assert_eq!(hear(&mut shadow, "update/delta", delta(9, 400, fan(true))), []);
    assert_eq!(hear(&mut shadow, "update/delta", delta(12, 500, fan(false))).len(), 1);
    assert_eq!(hear(&mut shadow, "update/delta", delta(11, 450, fan(true))), [], "overtaken");
    shadow.will();
    assert_eq!(hear(&mut shadow, "update/delta", delta(13, 600, fan(true))), []);
    // A shadow that was deleted begins again at a low version.
    shadow.connected(moment(0));
    hear(&mut shadow, "get/accepted", json!({"state": {}, "version": 1}));
    assert_eq!(hear(&mut shadow, "update/delta", delta(2, 700, fan(true))).len(), 1);
}

/// "Response state documents": `/accepted` of a get.
fn accepted(set: i64, ack: Value) -> Value {
    json!({
        "state": {
            "desired": {"fan": {"on": true}},
            "reported": {"fan": {"on": false, "ack": ack}, "air": {"temperature": 21.4}},
            "delta": {"fan": {"on": true}}
        },
        "metadata": {"desired": {"fan": {"on": {"timestamp": set}}}, "reported": {}},
        "timestamp": 900,
        "version": 10
    })
}

#[test]
fn what_was_desired_while_we_were_away_is_done_at_the_connection() {
    let ack = json!({"value": true, "code": 200, "at": 500});
    for (restore, set, asked) in [(false, 500, 0), (false, 800, 1), (true, 500, 1)] {
        let mut shadow = shadow(restore);
        assert_eq!(known(&mut shadow, accepted(set, ack.clone())).len(), asked, "{restore} {set}");
        // A connection later it is known.
        assert_eq!(known(&mut shadow, accepted(set, ack.clone())), []);
    }
    let mut shadow = shadow(false);
    assert_eq!(known(&mut shadow, accepted(500, Value::Null)).len(), 1, "never answered");
}

/// What was asked for on a connection that broke waits in the session, and may come late.
#[test]
fn an_answer_to_an_earlier_question_is_passed_over() {
    let mut shadow = shadow(false);
    let asked = |shadow: &mut Shadow| {
        shadow.will();
        let token = said(&shadow.connected(moment(0))[1]).1["clientToken"].clone();
        assert!(token.as_str().is_some_and(|token| token.len() <= 64), "{token}");
        token
    };
    let old = asked(&mut shadow);
    let new = asked(&mut shadow);
    assert_ne!(old, new);
    let answer = |token: &Value, version: i64, on: bool| json!({"state": {"desired": fan(on), "reported": fan(!on)}, "version": version, "clientToken": token});
    assert_eq!(hear(&mut shadow, "get/accepted", answer(&old, 10, true)), []);
    let rejected = json!({"code": 404, "message": "No shadow exists", "clientToken": old});
    assert_eq!(hear(&mut shadow, "get/rejected", rejected), []);
    let command = command(&hear(&mut shadow, "get/accepted", answer(&new, 12, false)));
    assert_eq!(command["value"], false);
}

/// "Error response document" with the codes of "Device Shadow error messages".
#[test]
fn rejections_are_noted_and_what_may_pass_is_tried_again() {
    let mut shadow = shadow(false);
    shadow.will();
    let acts = shadow.connected(moment(0));
    let token = said(&acts[0]).1["clientToken"].clone();
    // No shadow exists with name: 'greenhouse-pi'.
    assert_eq!(hear(&mut shadow, "get/rejected", json!({"code": 404, "message": "No shadow exists"})), []);
    assert_eq!(shadow.due(), None);
    let rejected = |code: i64, token: &Value| json!({"code": code, "message": "m", "timestamp": 1, "clientToken": token});
    assert_eq!(hear(&mut shadow, "update/rejected", rejected(413, &json!("another"))), [], "another's");
    let noted = hear(&mut shadow, "update/rejected", rejected(413, &token));
    assert_eq!(noted, [Act::Note("the shadow was not updated: 413 m".to_owned())]);
    assert_eq!(shadow.due(), None, "the same again would not help");
    hear(&mut shadow, "update/rejected", rejected(429, &token));
    assert_eq!(shadow.due(), Some(31_000_000));
    let again = shadow.tick(moment(31_000_000));
    assert_eq!(said(&again[0]).1["state"], said(&acts[0]).1["state"]);
}

#[test]
fn a_get_without_an_answer_is_repeated() {
    let mut shadow = shadow(false);
    shadow.will();
    shadow.connected(moment(0));
    assert_eq!(shadow.due(), Some(PATIENCE));
    let acts = shadow.tick(moment(PATIENCE));
    assert_eq!(said(&acts[0]).0, "$aws/things/greenhouse-pi/shadow/get");
    let noted = hear(&mut shadow, "get/rejected", json!({"code": 500, "message": "Internal"}));
    assert!(matches!(&noted[..], [Act::Note(note)] if note.contains("500 Internal")));
    assert!(shadow.due().is_some());
}

#[test]
fn readings_are_reported_when_they_have_changed_and_not_too_often() {
    let mut shadow = shadow(false);
    known(&mut shadow, json!({"state": {}, "version": 10}));
    assert_eq!(shadow.due(), None);
    shadow.seal("sensors/greenhouse-pi/air/temperature", &mut Vec::new(), moment(0));
    assert_eq!(shadow.due(), Some(10_000_000));
    assert_eq!(shadow.tick(moment(10_000_000)), [], "the same values");
    assert_eq!(shadow.due(), None);
}

#[test]
fn nonsense_is_noted() {
    let mut shadow = shadow(false);
    known(&mut shadow, json!({"state": {}, "version": 10}));
    for (verb, payload) in
        [("update/delta", "["), ("update/delta", "{\"state\": 7}"), ("update/rejected", "null x")]
    {
        let topic = format!("{TOPICS}/{verb}");
        let acts =
            shadow.heard(Heard { topic: &topic, payload: payload.as_bytes(), retained: false }, moment(1));
        assert!(matches!(&acts[..], [Act::Note(_)]), "{payload}: {acts:?}");
    }
    assert_eq!(hear(&mut shadow, "name/other/update/delta", delta(20, 1, fan(true))), []);
}
