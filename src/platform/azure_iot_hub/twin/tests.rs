//! The twin and direct methods, message by message, with topics and bodies as "Communicate with an IoT hub using the MQTT
//! protocol" shows them.

use serde_json::json;

use super::super::super::Order;
use super::super::super::contract::{about, moment};
use super::super::super::{Rules, Wish};
use super::*;

fn twin() -> Twin {
    Twin::new(about(&Rules::default()), false)
}

fn hear(twin: &mut Twin, topic: &str, payload: &str) -> Vec<Act> {
    let message = Heard { topic, payload: payload.as_bytes(), retained: false };
    twin.heard(message, moment(1_000_000))
}

fn said(act: &Act) -> (String, Value) {
    let Act::Say(say) = act else { panic!("{act:?}") };
    assert_eq!((say.qos, say.retain), (Qos::AtLeastOnce, false));
    (say.topic.clone(), serde_json::from_slice(&say.payload).unwrap_or(Value::Null))
}

fn rid(act: &Act) -> String {
    said(act).0.rsplit_once("$rid=").unwrap().1.to_owned()
}

fn order(acts: &[Act]) -> (u64, Value) {
    match acts {
        [Act::Do(Order { tag, wish: Wish::Command(command), .. })] => (*tag, Value::Object(command.clone())),
        other => panic!("{other:?}"),
    }
}

/// Connected, and the twin answered as this.
fn known(twin: &mut Twin, properties: Value) -> Vec<Act> {
    twin.will();
    let acts = twin.connected(moment(0));
    let topic = format!("$iothub/twin/res/200/?$rid={}", rid(&acts[1]));
    hear(twin, &topic, &properties.to_string())
}

fn properties(desired: Value, version: i64, reported: Value) -> Value {
    let mut properties = json!({"desired": desired, "reported": reported});
    properties["desired"]["$version"] = json!(version);
    properties["reported"]["$version"] = json!(123);
    properties
}

fn change(twin: &mut Twin, version: i64, desired: Value) -> Vec<Act> {
    let mut desired = desired;
    desired["$version"] = json!(version);
    let topic = format!("$iothub/twin/PATCH/properties/desired/?$version={version}");
    hear(twin, &topic, &desired.to_string())
}

#[test]
fn on_each_connection_states_are_reported_and_the_twin_asked_for() {
    let mut twin = twin();
    let mut rids = Vec::new();
    for _ in 0..2 {
        twin.will();
        let acts = twin.connected(moment(0));
        let (topic, body) = said(&acts[0]);
        assert!(topic.starts_with("$iothub/twin/PATCH/properties/reported/?$rid="), "{topic}");
        assert_eq!(body["bridge"]["version"], "0.1.0");
        assert_eq!(body["air"]["temperature"], Value::Null, "readings are messages");
        let (topic, body) = said(&acts[1]);
        assert!(topic.starts_with("$iothub/twin/GET/?$rid=") && body.is_null(), "{topic}");
        rids.extend([rid(&acts[0]), rid(&acts[1])]);
    }
    rids.dedup();
    assert_eq!(rids.len(), 4, "each request has a number of its own");
    assert!(twin.filters().len() <= 5, "\"A device can only subscribe to five topics at a time.\"");
}

#[test]
fn what_the_twin_desires_is_done_and_reported() {
    let mut twin = twin();
    let desired = json!({"fan": {"on": true}, "telemetrySendFrequency": "5m"});
    let asked = known(&mut twin, properties(json!({"fan": {"on": true}}), 12, json!({"fan": {"on": false}})));
    let (tag, command) = order(&asked);
    assert_eq!(command, json!({"action": "set", "output": "fan", "value": true}));
    let outcome = Outcome { rc: 200, message: "fan is on".into(), data: Some(json!({"on": true})) };
    let (topic, body) = said(&twin.done(tag, &outcome, moment(2))[0]);
    assert!(topic.starts_with("$iothub/twin/PATCH/properties/reported/?$rid="), "{topic}");
    let ack = json!({"value": true, "code": 200, "message": "fan is on"});
    assert_eq!(body, json!({"fan": {"on": true, "ack": ack}}));
    let noted = change(&mut twin, 13, desired);
    assert!(
        noted.iter().any(|act| matches!(act, Act::Note(note) if note.contains("telemetrySendFrequency")))
    );
}

#[test]
fn changes_count_once_and_after_the_twin_is_known() {
    let mut twin = twin();
    let fan = |on: bool| json!({"fan": {"on": on}});
    assert_eq!(change(&mut twin, 9, fan(true)), [], "before the connection has begun");
    twin.will();
    twin.connected(moment(0));
    assert_eq!(change(&mut twin, 9, fan(true)), []);
    assert_eq!(known(&mut twin, properties(json!({}), 12, json!({}))), []);
    for (version, on, asked) in [(12, true, 0), (13, true, 1), (13, true, 0), (14, true, 1), (11, false, 0)] {
        assert_eq!(change(&mut twin, version, fan(on)).len(), asked, "version {version}");
    }
    assert_eq!(change(&mut twin, 15, json!({"fan": null})), [], "desired no more");
    // A connection later nothing has changed.
    assert_eq!(known(&mut twin, properties(json!({"fan": {"on": true}}), 14, json!({}))).len(), 1);
    assert_eq!(known(&mut twin, properties(json!({"fan": {"on": true}}), 14, json!({}))), []);
}

#[test]
fn after_a_start_what_was_answered_is_not_done_again() {
    let reported = json!({"fan": {"on": false, "ack": {"value": true, "code": 200}}});
    let twin_of = properties(json!({"fan": {"on": true}}), 12, reported);
    assert_eq!(known(&mut twin(), twin_of.clone()), []);
    assert_eq!(known(&mut Twin::new(about(&Rules::default()), true), twin_of).len(), 1, "restore");
}

#[test]
fn methods_are_carried_out_and_answered() {
    let mut twin = twin();
    known(&mut twin, properties(json!({}), 1, json!({})));
    let body = r#"{"output":"fan","value":true}"#;
    let (tag, command) = order(&hear(&mut twin, "$iothub/methods/POST/set/?$rid=1", body));
    assert_eq!(command, json!({"action": "set", "output": "fan", "value": true}));
    let outcome = Outcome { rc: 200, message: "fan is on".into(), data: Some(json!({"on": true})) };
    let (topic, body) = said(&twin.done(tag, &outcome, moment(2))[0]);
    assert_eq!(topic, "$iothub/methods/res/200/?$rid=1");
    assert_eq!(body, json!({"rc": 200, "message": "fan is on", "data": {"on": true}}));
    // "with either a valid JSON or an empty body"
    let (_, command) = order(&hear(&mut twin, "$iothub/methods/POST/status/?$rid=2", ""));
    assert_eq!(command, json!({"action": "status"}));
    let (topic, body) = said(&hear(&mut twin, "$iothub/methods/POST/set/?$rid=3", "{")[0]);
    assert_eq!((topic.as_str(), &body["rc"]), ("$iothub/methods/res/400/?$rid=3", &json!(400)));
    for topic in
        ["$iothub/methods/POST/set/", "$iothub/methods/POST/set/?$rid=a/b", "$iothub/methods/POST/set/?$rid="]
    {
        assert!(matches!(&hear(&mut twin, topic, "")[..], [Act::Note(_)]), "{topic}");
    }
}

#[test]
fn statuses_of_the_hub_are_heeded() {
    let mut twin = twin();
    twin.will();
    let acts = twin.connected(moment(0));
    // 204 success, 400 malformed, 429 throttled, 5** server errors.
    let answer = |twin: &mut Twin, status: u16, act: &Act| {
        hear(twin, &format!("$iothub/twin/res/{status}/?$rid={}&$version=6", rid(act)), "")
    };
    assert_eq!(answer(&mut twin, 204, &acts[0]), []);
    let noted = answer(&mut twin, 429, &acts[1]);
    assert_eq!(noted, [Act::Note("the twin cannot be read: 429".to_owned())]);
    assert_eq!(twin.due(), Some(31_000_000));
    let again = twin.tick(moment(31_000_000));
    assert!(said(&again[0]).0.starts_with("$iothub/twin/GET/"));
    assert_eq!(answer(&mut twin, 200, &acts[1]), [], "the answer to an old request");
    let acts = twin.connected(moment(40_000_000));
    assert_eq!(answer(&mut twin, 400, &acts[0]), [Act::Note("the twin was not updated: 400".to_owned())]);
    let acts = twin.connected(moment(50_000_000));
    answer(&mut twin, 503, &acts[0]);
    assert_eq!(twin.due(), Some(31_000_000), "everything again");
}

/// What came of a desired level is said while the report of everything is not answered yet.
#[test]
fn each_report_that_is_not_taken_is_heeded() {
    let mut twin = twin();
    twin.will();
    let acts = twin.connected(moment(0));
    let desired = properties(json!({"fan": {"on": true}}), 12, json!({}));
    let topic = format!("$iothub/twin/res/200/?$rid={}", rid(&acts[1]));
    let (tag, _) = order(&hear(&mut twin, &topic, &desired.to_string()));
    let outcome = Outcome { rc: 200, message: "fan is on".into(), data: Some(json!({"on": true})) };
    let ack = twin.done(tag, &outcome, moment(1));
    let answer = |twin: &mut Twin, status: u16, act: &Act| {
        hear(twin, &format!("$iothub/twin/res/{status}/?$rid={}", rid(act)), "")
    };
    let noted = answer(&mut twin, 429, &acts[0]);
    assert_eq!(noted, [Act::Note("the twin was not updated: 429".to_owned())]);
    assert_eq!(twin.due(), Some(31_000_000), "everything again");
    assert_eq!(answer(&mut twin, 204, &ack[0]), []);
    let again = twin.tick(moment(31_000_000));
    assert_eq!(said(&again[0]).1["bridge"]["version"], "0.1.0");
}

/// "Tags and properties format".
#[test]
fn keys_are_what_the_twin_takes() {
    for (name, expected) in
        [("air", "air"), ("air 2.temp", "air_2_temp"), ("a$b\u{7}", "a_b_"), ("Küche", "Küche")]
    {
        assert_eq!(key(name), expected);
    }
}
