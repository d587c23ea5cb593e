//! Attributes and RPC, message by message, with topics and bodies as the "MQTT Device API Reference" shows them.

use super::super::super::Order;
use super::super::super::contract::{about, moment};
use super::super::super::{Rules, Wish};
use super::super::KEYS;
use super::*;

fn talk(restore: bool) -> Talk {
    Talk::new(about(&Rules::default()), KEYS.to_owned(), restore)
}

fn hear(talk: &mut Talk, topic: &str, payload: Value) -> Vec<Act> {
    let payload = payload.to_string();
    talk.heard(Heard { topic, payload: payload.as_bytes(), retained: false }, moment(1))
}

fn said(act: &Act) -> (&str, Value) {
    let Act::Say(say) = act else { panic!("{act:?}") };
    assert_eq!((say.qos, say.retain), (Qos::AtLeastOnce, false));
    (say.topic.as_str(), serde_json::from_slice(&say.payload).unwrap())
}

fn order(acts: &[Act]) -> (u64, Value) {
    match acts {
        [Act::Do(Order { tag, wish: Wish::Command(command), .. })] => (*tag, Value::Object(command.clone())),
        other => panic!("{other:?}"),
    }
}

fn done(rc: u16, message: &str, data: Option<Value>) -> Outcome {
    Outcome { rc, message: message.to_owned(), data }
}

#[test]
fn at_a_connection_the_bridge_says_what_it_is_and_asks_what_is_desired() {
    let mut talk = talk(false);
    for number in ["1", "2"] {
        let acts = talk.connected(moment(0));
        let attributes = json!({"device": "greenhouse-pi", "version": "0.1.0", "place": "Greenhouse 2",
            "latitude": 47.59, "longitude": 0.91});
        assert_eq!(said(&acts[0]), ("v1/devices/me/attributes", attributes));
        let (topic, wanted) = said(&acts[1]);
        assert_eq!(topic, format!("v1/devices/me/attributes/request/{number}"));
        assert_eq!(wanted, json!({"clientKeys": "fan.ack,vent.ack", "sharedKeys": "fan.on,vent.level"}));
    }
}

#[test]
fn rpc_is_carried_out_and_answered() {
    let mut talk = talk(false);
    talk.connected(moment(0));
    for (number, call, expected) in [
        (
            1,
            json!({"method": "set:fan", "params": true}),
            json!({"action": "set", "output": "fan", "value": true}),
        ),
        (
            2,
            json!({"method": "set", "params": {"output": "vent", "value": 40, "for": "10m"}}),
            json!({"action": "set", "output": "vent", "value": 40, "for": "10m"}),
        ),
        (3, json!({"method": "read:air", "params": {}}), json!({"action": "read", "sensor": "air"})),
        (4, json!({"method": "status"}), json!({"action": "status"})),
    ] {
        let (tag, command) = order(&hear(&mut talk, &format!("v1/devices/me/rpc/request/{number}"), call));
        assert_eq!(command, expected);
        let answers = talk.done(tag, &done(200, "done", None), moment(2));
        let topic = format!("v1/devices/me/rpc/response/{number}");
        assert_eq!(said(&answers[0]), (topic.as_str(), json!({"rc": 200, "message": "done"})));
    }
}

#[test]
fn what_is_no_call_is_answered_too() {
    let mut talk = talk(false);
    let answered = hear(&mut talk, "v1/devices/me/rpc/request/7", json!({"params": 1}));
    assert_eq!(said(&answered[0]).1["rc"], 400);
    for topic in ["v1/devices/me/rpc/request/a", "v1/devices/me/rpc/request/"] {
        assert!(matches!(&hear(&mut talk, topic, json!({"method": "status"}))[..], [Act::Note(_)]));
    }
}

/// Switches of a dashboard ask for the value, and expect it bare.
#[test]
fn values_are_answered_bare() {
    let mut talk = talk(false);
    for (asked, value) in
        [("air.temperature", json!(21.4)), ("air.dark", json!(true)), ("nothing", Value::Null)]
    {
        let call = json!({"method": format!("get:{asked}"), "params": {}});
        let answered = hear(&mut talk, "v1/devices/me/rpc/request/7", call);
        assert_eq!(said(&answered[0]), ("v1/devices/me/rpc/response/7", value));
    }
}

#[test]
fn shared_attributes_set_outputs() {
    let mut talk = talk(false);
    // "the client will receive the following update"
    let update = json!({"fan.on": true, "fw_title": "x", "uploadFrequency": 60});
    let (tag, command) = order(&hear(&mut talk, "v1/devices/me/attributes", update.clone()));
    assert_eq!(command, json!({"action": "set", "output": "fan", "value": true}));
    let acts = talk.done(tag, &done(200, "fan is on", Some(json!({"on": true}))), moment(2));
    let ack = json!({"fan.ack": {"value": true, "code": 200, "message": "fan is on"}});
    assert_eq!(said(&acts[0]), ("v1/devices/me/attributes", ack));
    assert_eq!(hear(&mut talk, "v1/devices/me/attributes", update).len(), 1, "set again");
    assert_eq!(hear(&mut talk, "v1/devices/me/attributes", json!({"deleted": ["fan.on"]})), []);
    let noted = hear(&mut talk, "v1/devices/me/attributes", json!({"fan.on": "yes"}));
    assert!(matches!(&noted[..], [Act::Note(note)] if note.contains("of \"fan\", only {\"on\": true}")));
}

/// "deleted" lists the attributes that are gone.
#[test]
fn an_attribute_that_was_deleted_and_is_set_again_while_we_are_away_is_new() {
    let mut talk = talk(false);
    talk.connected(moment(0));
    let on = || json!({"shared": {"fan.on": true}});
    let (tag, _) = order(&hear(&mut talk, "v1/devices/me/attributes/response/1", on()));
    talk.done(tag, &done(200, "fan is on", None), moment(1));
    assert_eq!(hear(&mut talk, "v1/devices/me/attributes", json!({"deleted": ["fan.on", "x"]})), []);
    talk.connected(moment(2));
    order(&hear(&mut talk, "v1/devices/me/attributes/response/2", on()));
}

#[test]
fn what_was_set_while_we_were_away_is_done_at_the_connection() {
    let response = |ack: Value| json!({"client": {"fan.ack": ack}, "shared": {"fan.on": true}});
    let answered = json!({"value": true, "code": 200});
    for (restore, ack, asked) in
        [(false, answered.clone(), 0), (false, json!({"value": false}), 1), (true, answered, 1)]
    {
        let mut talk = talk(restore);
        talk.connected(moment(0));
        assert_eq!(
            hear(&mut talk, "v1/devices/me/attributes/response/9", response(ack.clone())),
            [],
            "not asked"
        );
        assert_eq!(
            hear(&mut talk, "v1/devices/me/attributes/response/1", response(ack.clone())).len(),
            asked
        );
        assert_eq!(talk.due(), None);
        talk.connected(moment(0));
        assert_eq!(hear(&mut talk, "v1/devices/me/attributes/response/2", response(ack)), [], "known");
    }
}

#[test]
fn attributes_that_do_not_come_are_asked_for_again() {
    let mut talk = talk(false);
    talk.connected(moment(0));
    assert_eq!(talk.due(), Some(PATIENCE));
    let acts = talk.tick(moment(PATIENCE));
    assert_eq!(said(&acts[0]).0, "v1/devices/me/attributes/request/2");
}
