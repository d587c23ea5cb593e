//! The platform as its documentation says, without a broker.

use serde_json::json;

use super::*;
use crate::platform::contract::{about, channel, logged, moment, sample};
use crate::platform::{Act, Heard, Order, Outcome, Say, Wish};
use crate::reading::{Clock, Moment, Value as Reading, ValueKind};

const SECOND: i64 = 1_000_000;

fn watson(options: Value) -> Arc<dyn Platform> {
    configure(options.as_object().unwrap(), "greenhouse-pi").unwrap()
}

fn registered(managed: Value) -> Arc<dyn Platform> {
    watson(json!({"organization": "x1y2z3", "device_type": "pi", "managed": managed}))
}

fn dialogue(managed: Value) -> Box<dyn Dialogue> {
    let platform = registered(managed);
    platform.dialogue(&about(&platform.rules())).unwrap()
}

fn problems(options: Value) -> Vec<(String, String)> {
    let problems = configure(options.as_object().unwrap(), "greenhouse pi").unwrap_err();
    problems.into_iter().map(|problem| (problem.key, problem.message)).collect()
}

/// What is said, as topics and payloads; nothing else may have been wanted.
fn said(acts: &[Act]) -> Vec<(&str, Value)> {
    let said = acts.iter().map(|act| match act {
        Act::Say(Say { topic, payload, qos: Qos::AtLeastOnce, retain: false }) => {
            (topic.as_str(), serde_json::from_slice(payload).unwrap())
        }
        other => panic!("{other:?}"),
    });
    said.collect()
}

#[track_caller]
fn one(acts: &[Act]) -> (&str, Value) {
    match &said(acts)[..] {
        [one] => one.clone(),
        other => panic!("{other:?}"),
    }
}

fn notes(acts: &[Act]) -> Vec<&str> {
    let notes = acts.iter().filter_map(|act| match act {
        Act::Note(text) => Some(text.as_str()),
        _ => None,
    });
    notes.collect()
}

fn hear(dialogue: &mut dyn Dialogue, topic: &str, payload: &Value, now: Moment) -> Vec<Act> {
    dialogue.heard(Heard { topic, payload: payload.to_string().as_bytes(), retained: false }, now)
}

/// Asks for a restart, which is acknowledged before it is begun; answers the order.
fn restart(dialogue: &mut dyn Dialogue, request: &Value) -> (u64, Option<String>, Vec<String>) {
    assert!(hear(dialogue, "iotdm-1/mgmt/initiate/device/reboot", request, moment(0)).is_empty());
    assert!(dialogue.due().is_some_and(|due| due <= SECOND));
    let acts = dialogue.tick(moment(SECOND));
    match &acts[..] {
        [Act::Do(Order { tag, id, wish: Wish::Run(program) })] => (*tag, id.clone(), program.clone()),
        other => panic!("{other:?}"),
    }
}

/// Connects, and the platform says yes to `manage`; answers what is said then.
fn managed(dialogue: &mut dyn Dialogue, now: Moment) -> Vec<Act> {
    let acts = dialogue.connected(now);
    let (topic, manage) = one(&acts);
    assert_eq!(topic, "iotdevice-1/mgmt/manage");
    hear(dialogue, "iotdm-1/response", &json!({"rc": 200, "reqId": manage["reqId"]}), now)
}

// "MQTT connectivity": client id, authentication, quality of service, payload limit.
#[test]
fn a_registered_device_and_quickstart_connect_each_in_its_way() {
    let device = watson(json!({"organization": "x1y2z3", "device_type": "pi", "event": "status"})).rules();
    assert_eq!(device.url.unwrap(), "mqtts://x1y2z3.messaging.internetofthings.ibmcloud.com:8883");
    assert_eq!(device.client_id.unwrap(), "d:x1y2z3:pi:greenhouse-pi");
    assert_eq!((device.username.as_deref(), device.password), (Some("use-token-auth"), Some(true)));
    assert_eq!(device.topic.unwrap(), "iot-2/evt/status/fmt/json");
    assert_eq!((device.max_qos, device.max_payload, device.rate), (None, Some(131_072), None));
    assert!(device.no_retain && device.no_status && device.alone && !device.clean && !device.no_commands);
    assert_eq!(registered(json!({})).rules().max_qos, Some(Qos::AtLeastOnce));

    let quickstart = watson(json!({"organization": "quickstart", "device_type": "pi", "device_id": "x"}));
    let rules = quickstart.rules();
    assert_eq!(rules.url.unwrap(), "mqtt://quickstart.messaging.internetofthings.ibmcloud.com:1883");
    assert_eq!(rules.client_id.unwrap(), "d:quickstart:pi:x");
    assert_eq!((rules.username, rules.password), (None, Some(false)));
    assert_eq!(rules.topic.unwrap(), "iot-2/evt/{sensor}/fmt/json");
    assert_eq!((rules.max_qos, rules.rate), (Some(Qos::AtMostOnce), Some(1.0)));
    assert!(rules.clean && rules.no_commands);
    assert!(quickstart.dialogue(&about(&quickstart.rules())).is_none());
}

#[test]
fn options_that_make_no_sense_are_named() {
    for (options, key, part) in [
        (json!({"device_type": "pi", "device_id": "a"}), "organization", "is missing"),
        (json!({"organization": "a:b", "device_type": "pi", "device_id": "a"}), "organization", "\"a:b\""),
        (json!({"organization": "x", "device_type": "", "device_id": "a"}), "device_type", "must be 1 to 36"),
        (json!({"organization": "x", "device_type": "pi"}), "device_id", "device.id cannot take its place"),
        (
            json!({"organization": "x", "device_type": "pi", "device_id": "a", "event": "a/b"}),
            "event",
            "cannot contain '/'",
        ),
        (
            json!({"organization": "x", "device_type": "pi", "device_id": "a", "event": "{place}"}),
            "event",
            "{place}",
        ),
        (
            json!({"organization": "quickstart", "device_type": "pi", "device_id": "a", "managed": {}}),
            "managed",
            "quickstart has no device management",
        ),
        (
            json!({"organization": "x", "device_type": "pi", "device_id": "a", "managed": {"lifetime": "10m"}}),
            "managed.lifetime",
            "between 1h",
        ),
        (
            json!({"organization": "x", "device_type": "pi", "device_id": "a", "managed": {"reboot": ["reboot"]}}),
            "managed.reboot",
            "whole path",
        ),
        (
            json!({"organization": "x", "device_type": "pi", "device_id": "a", "managed": {"reboot": []}}),
            "managed.reboot",
            "whole path",
        ),
        (
            json!({"organization": "x", "device_type": "pi", "device_id": "a", "managed": {"colour": 1}}),
            "managed",
            "colour",
        ),
        (
            json!({"organization": "x", "device_type": "pi", "device_id": "a", "managed": {"metadata": {"a": "b".repeat(9000)}}}),
            "managed.metadata",
            "8192 bytes",
        ),
    ] {
        let problems = problems(options);
        let found = problems.iter().any(|(at, message)| at == key && message.contains(part));
        assert!(found, "{key} {part}: {problems:?}");
    }
}

// "Publishing events": {"d": {…}}.
#[test]
fn readings_stand_in_d() {
    let rules = registered(json!({})).rules();
    let text = |sample: &[crate::reading::Logged], late| {
        let mut buffer = Vec::new();
        payload::write(&mut buffer, "", sample, late);
        String::from_utf8(buffer).unwrap()
    };
    assert_eq!(
        text(&sample(&rules), false),
        r#"{"d":{"id":"3f9c2a1b-7","sensor":"air","temperature":21.4,"count":9223372036854775807,"dark":true,"state":"failed: \"i2c-1\"\n0x76, é=1","units":{"temperature":"°C"},"time":"2026-11-20T07:00:00.123456Z","clock":"synced"}}"#
    );
    let named =
        |name: &str| logged(8, channel(&rules, "air", name, "", ValueKind::Bool), Reading::Bool(true));
    assert_eq!(
        text(&[named("time"), named("time_"), named("times")], true),
        r#"{"d":{"id":"3f9c2a1b-8","sensor":"air","time_":true,"time__":true,"times":true,"time":"2026-11-20T07:00:00.123456Z","clock":"synced","late":true}}"#
    );
}

#[test]
fn commands_become_ours_and_are_answered_by_an_event() {
    let platform = watson(json!({"organization": "x1y2z3", "device_type": "pi"}));
    let mut dialogue = platform.dialogue(&about(&platform.rules())).unwrap();
    assert_eq!(dialogue.filters(), ["iot-2/cmd/+/fmt/+"]);
    assert!(dialogue.connected(moment(0)).is_empty() && dialogue.due().is_none());
    let command = json!({"d": {"id": 7, "output": "fan", "value": true, "expires": "2026-11-20T07:00:05Z"}});
    let acts = hear(&mut *dialogue, "iot-2/cmd/set/fmt/json", &command, moment(SECOND));
    let [Act::Do(Order { tag, id: Some(id), wish: Wish::Command(ours) })] = &acts[..] else {
        panic!("{acts:?}")
    };
    assert_eq!(Value::Object(ours.clone()), json!({"action": "set", "output": "fan", "value": true}));
    assert_eq!(id, "7");
    let outcome = Outcome { rc: 200, message: "fan is on".to_owned(), data: Some(json!({"on": true})) };
    let acts = dialogue.done(*tag, &outcome, moment(2 * SECOND));
    assert_eq!(
        one(&acts),
        (
            "iot-2/evt/answer/fmt/json",
            json!({"d": {"id": "7", "command": "set", "rc": 200, "message": "fan is on", "data": {"on": true}, "time": "2026-11-20T07:00:02.000000Z"}})
        )
    );
    assert!(dialogue.done(*tag, &outcome, moment(2 * SECOND)).is_empty(), "once");
    // Without `d`, without anything.
    for (topic, payload, expected) in [
        ("iot-2/cmd/read/fmt/json", &b"{\"sensor\":\"air\"}"[..], json!({"action": "read", "sensor": "air"})),
        ("iot-2/cmd/status/fmt/json", b"", json!({"action": "status"})),
    ] {
        let acts = dialogue.heard(Heard { topic, payload, retained: false }, moment(0));
        let [Act::Do(Order { id: None, wish: Wish::Command(ours), .. })] = &acts[..] else {
            panic!("{acts:?}")
        };
        assert_eq!(Value::Object(ours.clone()), expected);
    }
}

#[test]
fn commands_that_cannot_be_obeyed_are_refused_and_noted() {
    let platform = watson(json!({"organization": "x1y2z3", "device_type": "pi"}));
    let mut dialogue = platform.dialogue(&about(&platform.rules())).unwrap();
    let large = format!("{{\"d\":{{\"x\":\"{}\"}}}}", "y".repeat(9000));
    let at = "iot-2/cmd/set/fmt/json";
    let unsynced = Moment { clock: Clock::Unsynced, ..moment(0) };
    let long_id = format!("{{\"d\":{{\"id\":\"{}\"}}}}", "y".repeat(65));
    for (topic, payload, retained, now, rc) in [
        (at, "{\"d\":{}}", true, moment(0), 410),
        ("iot-2/cmd/set/fmt/xml", "{}", false, moment(0), 400),
        ("iot-2/cmd/set", "{}", false, moment(0), 400),
        (at, "on", false, moment(0), 400),
        (at, "[]", false, moment(0), 400),
        (at, "{\"d\":7}", false, moment(0), 400),
        (at, &large, false, moment(0), 413),
        (at, "{\"d\":{\"id\":[]}}", false, moment(0), 400),
        (at, &long_id, false, moment(0), 400),
        (at, "{\"d\":{\"action\":\"read\"}}", false, moment(0), 400),
        (at, "{\"d\":{\"expires\":\"soon\"}}", false, moment(0), 400),
        (at, "{\"d\":{\"expires\":1e999}}", false, moment(0), 400),
        (at, "{\"d\":{\"expires\":\"2026-11-20T06:59:59Z\"}}", false, moment(0), 408),
        (at, "{\"d\":{\"expires\":1795157999}}", false, moment(0), 408),
        (at, "{\"d\":{\"expires\":\"2026-11-20T07:10:00Z\"}}", false, unsynced, 503),
    ] {
        let acts = dialogue.heard(Heard { topic, payload: payload.as_bytes(), retained }, now);
        assert_eq!(notes(&acts).len(), 1, "{payload}: {acts:?}");
        let answer = one(&acts[1..]);
        assert_eq!((answer.0, &answer.1["d"]["rc"]), ("iot-2/evt/answer/fmt/json", &json!(rc)), "{payload}");
    }
    let mut orders = 0;
    let busy = (0..200).find_map(|_| {
        let acts = hear(&mut *dialogue, at, &json!({}), moment(0));
        orders += acts.iter().filter(|act| matches!(act, Act::Do(_))).count();
        acts.iter().all(|act| matches!(act, Act::Say(_))).then_some(acts)
    });
    assert_eq!((one(&busy.unwrap()).1["d"]["rc"].clone(), orders), (json!(503), 100));
}

// "Manage device requests": metadata, lifetime, supports, deviceInfo; repeated within the lifetime.
#[test]
fn manage_is_said_after_each_connection_and_within_the_lifetime() {
    let mut dialogue = dialogue(json!({
        "lifetime": "2h", "diagnostics": false, "metadata": {"room": 4}, "reboot": ["/bin/true"],
        "device_info": {"serial_number": "0042", "device_class": "pi"},
    }));
    assert_eq!(dialogue.filters(), ["iot-2/cmd/+/fmt/+", "iotdm-1/#"]);
    let acts = dialogue.connected(moment(0));
    let (topic, manage) = one(&acts);
    assert_eq!(topic, "iotdevice-1/mgmt/manage");
    assert_eq!(
        manage["d"],
        json!({
            "metadata": {"room": 4}, "lifetime": 7200,
            "supports": {"deviceActions": true, "firmwareActions": false},
            "deviceInfo": {"serialNumber": "0042", "deviceClass": "pi", "fwVersion": "sensor-bridge 0.1.0", "descriptiveLocation": "Greenhouse 2"},
        })
    );
    let yes = json!({"rc": 200, "reqId": manage["reqId"]});
    let acts = hear(&mut *dialogue, "iotdm-1/response", &yes, moment(SECOND));
    let (topic, location) = one(&acts);
    assert_eq!(topic, "iotdevice-1/device/update/location");
    assert_eq!(location["d"], json!({"latitude": 47.59, "longitude": 0.91}));
    assert_ne!(location["reqId"], manage["reqId"]);
    hear(&mut *dialogue, "iotdm-1/response", &json!({"rc": 200, "reqId": location["reqId"]}), moment(SECOND));
    let due = dialogue.due().unwrap();
    assert_eq!(due, 3601 * SECOND, "half of the lifetime");
    assert!(dialogue.tick(moment(due - 1)).is_empty());
    let acts = dialogue.tick(moment(due));
    let (topic, again) = one(&acts);
    assert_eq!((topic, &again["d"]), ("iotdevice-1/mgmt/manage", &manage["d"]));
    assert!(
        hear(&mut *dialogue, "iotdm-1/response", &json!({"rc": 200, "reqId": again["reqId"]}), moment(due))
            .is_empty()
    );
    assert_eq!(dialogue.due(), Some(due + 3600 * SECOND));
    assert!(dialogue.leaving(moment(due)).is_empty(), "not unless it is wanted");
    managed(&mut *dialogue, moment(due + SECOND));
}

// Response codes of the platform: 409 conflict, retry later.
#[test]
fn what_is_not_answered_or_in_conflict_is_said_again() {
    let mut dialogue = dialogue(json!({"diagnostics": false}));
    let acts = dialogue.connected(moment(0));
    let manage = one(&acts).1;
    let conflict = json!({"rc": 409, "message": "busy", "reqId": manage["reqId"]});
    assert!(hear(&mut *dialogue, "iotdm-1/response", &conflict, moment(0)).is_empty());
    assert_eq!(dialogue.due(), Some(2 * SECOND));
    let acts = dialogue.tick(moment(2 * SECOND));
    assert_eq!(one(&acts), ("iotdevice-1/mgmt/manage", manage.clone()));
    // No answer at all: ever less often, but for ever.
    let mut pauses = Vec::new();
    let mut now = 2 * SECOND;
    for _ in 0..14 {
        let due = dialogue.due().unwrap();
        pauses.push((due - now) / SECOND);
        now = due;
        assert_eq!(said(&dialogue.tick(moment(now))).len(), 1);
    }
    assert_eq!(pauses[..3], [30, 30, 30]);
    assert_eq!(pauses[13], 600);
    let acts = hear(&mut *dialogue, "iotdm-1/response", &conflict, moment(now));
    assert_eq!(notes(&acts), ["the platform answered 409 to iotdevice-1/mgmt/manage: busy"]);
    // The device is not known: only a person can help, so seldom.
    let unknown = json!({"rc": 404, "reqId": manage["reqId"]});
    hear(&mut *dialogue, "iotdm-1/response", &unknown, moment(now));
    assert_eq!(dialogue.due(), Some(now + 600 * SECOND));
    // Whatever else is refused for good is given up.
    let acts =
        hear(&mut *dialogue, "iotdm-1/response", &json!({"rc": 200, "reqId": manage["reqId"]}), moment(now));
    let location = one(&acts).1;
    let acts = hear(
        &mut *dialogue,
        "iotdm-1/response",
        &json!({"rc": 400, "reqId": location["reqId"]}),
        moment(now),
    );
    assert_eq!(notes(&acts).len(), 1);
    assert_eq!(dialogue.due(), None, "and without a lifetime nothing is to be repeated");
    assert!(
        hear(&mut *dialogue, "iotdm-1/response", &json!({"rc": 409, "reqId": "nobody's"}), moment(now))
            .is_empty()
    );
}

// "Device action requests": 202, 500, 501.
#[test]
fn a_restart_is_answered_as_the_configuration_allows() {
    let mut dialogue = dialogue(json!({"diagnostics": false, "reboot": ["/sbin/reboot", "now"]}));
    managed(&mut *dialogue, moment(0));
    let reboot = "iotdm-1/mgmt/initiate/device/reboot";
    let request = json!({"reqId": "r-1"});
    let (tag, id, program) = restart(&mut *dialogue, &request);
    assert_eq!(
        (id.as_deref(), &program[..]),
        (Some("r-1"), &["/sbin/reboot".to_owned(), "now".to_owned()][..])
    );
    assert!(hear(&mut *dialogue, reboot, &request, moment(0)).is_empty(), "the same, sent again");
    let acts2 = hear(&mut *dialogue, reboot, &json!({"reqId": "r-2"}), moment(0));
    assert_eq!(one(&acts2).1["rc"], 500, "one at a time");
    let ran = |rc| Outcome { rc, message: "exit status 1".to_owned(), data: None };
    let done = dialogue.done(tag, &ran(200), moment(0));
    assert_eq!(one(&done), ("iotdevice-1/response", json!({"rc": 202, "reqId": "r-1"})));
    // The machine has not gone down: it is as it was before.
    let acts = dialogue.tick(moment(300 * SECOND));
    assert!(said(&acts).iter().any(|(topic, _)| *topic == "iotdevice-1/mgmt/manage"), "{acts:?}");

    let (tag, ..) = restart(&mut *dialogue, &json!({"reqId": "r-3"}));
    let failed = dialogue.done(tag, &ran(500), moment(0));
    assert_eq!(
        one(&failed[..1]),
        ("iotdevice-1/response", json!({"rc": 500, "message": "exit status 1", "reqId": "r-3"}))
    );
    assert_eq!(notes(&failed).len(), 1);
    // Without a reqId it is done, and no answer is owed.
    let (tag, id, _) = restart(&mut *dialogue, &json!({}));
    assert_eq!(id, None);
    assert!(dialogue.done(tag, &ran(200), moment(0)).is_empty());

    for topic in [
        "iotdm-1/mgmt/initiate/device/factory_reset",
        "iotdm-1/mgmt/initiate/firmware/download",
        "iotdm-1/mgmt/initiate/firmware/update",
        "iotdm-1/mgmt/custom/a/b",
    ] {
        let acts = hear(&mut *dialogue, topic, &json!({"reqId": "r-4"}), moment(0));
        let (to, answer) = one(&acts);
        assert_eq!(
            (to, &answer["rc"], &answer["reqId"]),
            ("iotdevice-1/response", &json!(501), &json!("r-4"))
        );
    }
}

// "Observation requests", "Update requests", "Notify".
#[test]
fn fields_are_observed_and_set() {
    let mut dialogue = dialogue(json!({"diagnostics": false, "metadata": {"room": 4}}));
    managed(&mut *dialogue, moment(0));
    let fields = |names: &[&str]| {
        let fields: Vec<Value> = names.iter().map(|name| json!({"field": name})).collect();
        json!({"d": {"fields": fields}, "reqId": "q"})
    };
    let acts = hear(&mut *dialogue, "iotdm-1/observe", &fields(&["metadata", "location"]), moment(0));
    let expected = json!({"rc": 200, "reqId": "q", "d": {"fields": [
        {"field": "metadata", "value": {"room": 4}},
        {"field": "location", "value": {"latitude": 47.59, "longitude": 0.91}},
    ]}});
    assert_eq!(one(&acts), ("iotdevice-1/response", expected));
    let set = |field: &str, value: Value| json!({"d": {"fields": [{"field": field, "value": value}]}, "reqId": "u"});
    let update = "iotdm-1/device/update";
    let acts = hear(&mut *dialogue, update, &set("metadata", json!({"room": 5})), moment(0));
    let all = said(&acts);
    assert_eq!(all[0], ("iotdevice-1/response", json!({"rc": 204, "reqId": "u"})));
    assert_eq!(all[1].0, "iotdevice-1/notify");
    assert_eq!(all[1].1["d"], json!({"fields": [{"field": "metadata", "value": {"room": 5}}]}));
    assert!(all[1].1["reqId"].is_string());
    let acts = hear(&mut *dialogue, update, &set("metadata", json!({"room": 5})), moment(0));
    assert_eq!(said(&acts).len(), 1, "nothing has changed");
    // A location that a user sets needs no answer; it is observed.
    let place = json!({"latitude": 48.5, "longitude": -1, "elevation": 12, "measuredDateTime": "2026-11-20T07:00:00Z", "source": "map"});
    let mut silent = set("location", place);
    silent.as_object_mut().unwrap().remove("reqId");
    let acts = hear(&mut *dialogue, update, &silent, moment(0));
    let (topic, notice) = one(&acts);
    let value = json!({"latitude": 48.5, "longitude": -1.0, "elevation": 12, "measuredDateTime": "2026-11-20T07:00:00Z"});
    assert_eq!((topic, &notice["d"]["fields"][0]["value"]), ("iotdevice-1/notify", &value));
    let acts = hear(&mut *dialogue, "iotdm-1/cancel", &fields(&["location"]), moment(0));
    assert_eq!(one(&acts).1["rc"], 200);
    let acts =
        hear(&mut *dialogue, update, &set("location", json!({"latitude": 1, "longitude": 2})), moment(0));
    assert_eq!(said(&acts).len(), 1, "not observed any more");
    let acts = hear(&mut *dialogue, update, &set("deviceInfo", json!({"model": "Pi 5"})), moment(0));
    assert_eq!(one(&acts).1["rc"], 204);
    let acts = hear(&mut *dialogue, "iotdm-1/observe", &fields(&["deviceInfo"]), moment(0));
    let info = &one(&acts).1["d"]["fields"][0]["value"];
    assert_eq!((&info["model"], &info["fwVersion"]), (&json!("Pi 5"), &json!("sensor-bridge 0.1.0")));
    for (field, value, rc) in [
        ("mgmt.firmware", json!({"state": 0}), 404),
        ("colour", json!("red"), 404),
        ("location", json!({"latitude": 48.5}), 400),
        ("location", json!({"latitude": 91, "longitude": 0}), 400),
        ("location", json!({"latitude": 1, "longitude": 2, "elevation": "high"}), 400),
        ("location", json!({"latitude": 1, "longitude": 2, "updatedDateTime": "today"}), 400),
        ("metadata", json!("x"), 400),
        ("metadata", json!({"x": "y".repeat(9000)}), 500),
        ("deviceInfo", json!({"model": 5}), 400),
        ("deviceInfo", json!({"colour": "red"}), 404),
    ] {
        let acts = hear(&mut *dialogue, update, &set(field, value.clone()), moment(0));
        assert_eq!(one(&acts).1["rc"], rc, "{field} {value}");
    }
    let both = json!({"d": {"fields": [{"field": "metadata", "value": {"room": 6}}, {"field": "colour"}]}, "reqId": "u"});
    assert_eq!(one(&hear(&mut *dialogue, update, &both, moment(0))).1["rc"], 404);
    let acts = hear(&mut *dialogue, "iotdm-1/observe", &fields(&["metadata"]), moment(0));
    assert_eq!(one(&acts).1["d"]["fields"][0]["value"], json!({"room": 5}), "all or nothing");
}

// "Diagnostic requests": error codes and log.
#[test]
fn failures_are_told_as_codes_and_log() {
    let platform = registered(json!({}));
    let rules = platform.rules();
    let state = Arc::new(std::sync::Mutex::new("failed: no answer"));
    let shown = Arc::clone(&state);
    let at = rules.clone();
    let mut about = Arc::into_inner(about(&rules)).unwrap();
    about.latest = Box::new(move || {
        let text = Reading::Text((*shown.lock().unwrap()).into());
        vec![logged(9, channel(&at, "air", "state", "", ValueKind::Text), text)]
    });
    let mut dialogue = platform.dialogue(&Arc::new(about)).unwrap();
    let acts = managed(&mut *dialogue, moment(0));
    let topics: Vec<&str> = said(&acts).iter().map(|(topic, _)| *topic).collect();
    assert_eq!(
        topics,
        [
            "iotdevice-1/device/update/location",
            "iotdevice-1/clear/diag/errorCodes",
            "iotdevice-1/add/diag/log",
            "iotdevice-1/add/diag/errorCodes"
        ]
    );
    let all = said(&acts);
    assert_eq!(
        all[2].1["d"],
        json!({"message": "air: failed: no answer", "timestamp": "2026-11-20T07:00:00.123456Z", "severity": 2})
    );
    assert_eq!(all[3].1["d"], json!({"errorCode": 1}));
    for (_, request) in all {
        hear(&mut *dialogue, "iotdm-1/response", &json!({"rc": 200, "reqId": request["reqId"]}), moment(0));
    }
    assert_eq!(dialogue.due(), None, "it is looked when a state goes out");
    dialogue.seal("", &mut b"{\"d\":{\"temperature\":21.4}}".to_vec(), moment(0));
    assert_eq!(dialogue.due(), None);
    dialogue.seal("", &mut b"{\"d\":{\"state\":\"ok\"}}".to_vec(), moment(0));
    assert_eq!(dialogue.due(), Some(SECOND));
    assert!(dialogue.tick(moment(10 * SECOND)).is_empty(), "nothing new");
    dialogue.seal("", &mut b"{\"d\":{\"state\":\"ok\"}}".to_vec(), moment(0));
    *state.lock().unwrap() = "ok";
    let acts = dialogue.tick(moment(20 * SECOND));
    let all = said(&acts);
    assert_eq!((all[0].0, &all[0].1["d"]["severity"]), ("iotdevice-1/add/diag/log", &json!(0)));
    assert_eq!((all[1].0, all.len()), ("iotdevice-1/clear/diag/errorCodes", 2));
}

#[test]
fn a_device_that_leaves_for_good_says_so() {
    let mut dialogue = dialogue(json!({"unmanage_on_exit": true}));
    dialogue.connected(moment(0));
    assert!(dialogue.leaving(moment(0)).is_empty(), "it is not managed");
    managed(&mut *dialogue, moment(0));
    let words = dialogue.leaving(moment(0));
    assert_eq!((words.len(), words[0].topic.as_str()), (1, "iotdevice-1/mgmt/unmanage"));
}

#[test]
fn nonsense_and_retained_requests_are_refused_and_noted() {
    let mut dialogue = dialogue(json!({"reboot": ["/sbin/reboot"]}));
    managed(&mut *dialogue, moment(0));
    let reboot = "iotdm-1/mgmt/initiate/device/reboot";
    for (topic, payload, retained) in [
        (reboot, "{\"reqId\":\"r\"}", true),
        (reboot, "now", false),
        (reboot, "[]", false),
        (reboot, "{\"reqId\":7}", false),
        ("castel/command", "{}", false),
    ] {
        let acts = dialogue.heard(Heard { topic, payload: payload.as_bytes(), retained }, moment(0));
        assert_eq!((notes(&acts).len(), acts.len()), (1, 1), "{topic} {payload}");
    }
}
