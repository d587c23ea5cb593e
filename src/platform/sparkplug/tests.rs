//! The session of an edge node, watched by a host that shares no code with it. Section numbers are those of the Eclipse
//! Sparkplug specification 3.0.0.

use proptest::prelude::*;
use serde_json::json;

use super::payload::{DataType, MetricValue};
use super::*;
use crate::platform::contract::{about, channel, logged, moment, sample};
use crate::platform::{Act, Heard, Order, Outcome, Say, Wish};
use crate::reading::{self, ValueKind};

/// A second decoder: fields by number, in order, numbers of all widths as u64.
fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in 0.. {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 127) << (7 * shift);
            if byte < 128 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let (number, inside) = match key % 8 {
            0 => (varint(&mut bytes), &[][..]),
            1 => {
                let (number, rest) = bytes.split_at(8);
                bytes = rest;
                (u64::from_le_bytes(number.try_into().unwrap()), &[][..])
            }
            2 => {
                let length = varint(&mut bytes) as usize;
                let (inside, rest) = bytes.split_at(length);
                bytes = rest;
                (0, inside)
            }
            other => panic!("wire type {other}"),
        };
        found.push((key / 8, number, inside));
    }
    found
}

/// A message as a host sees it.
#[derive(Debug, Clone)]
struct Seen {
    topic: String,
    timestamp: Option<u64>,
    seq: Option<u64>,
    /// Name, type, historical, value (`null` or the field's number and what it says), unit.
    metrics: Vec<(String, Option<u64>, bool, String, String)>,
}

fn seen(topic: &str, payload: &[u8]) -> Seen {
    let mut seen = Seen { topic: topic.to_owned(), timestamp: None, seq: None, metrics: Vec::new() };
    for (field, number, inside) in fields(payload) {
        match field {
            1 => seen.timestamp = Some(number),
            2 => {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let mut metric = (String::new(), None, false, String::new(), String::new());
                for (field, number, inside) in fields(inside) {
                    match field {
                        1 => metric.0 = text(inside),
                        4 => metric.1 = Some(number),
                        5 => metric.2 = number == 1,
                        7 => metric.3 = "null".to_owned(),
                        9 => metric.4 = text(fields(fields(inside)[1].2)[1].2),
                        11 => metric.3 = format!("long {}", number as i64),
                        13 => metric.3 = format!("double {}", f64::from_bits(number)),
                        14 => metric.3 = format!("bool {}", number == 1),
                        15 => metric.3 = format!("string {}", text(inside)),
                        3 => assert!(number > 1_700_000_000_000, "ms since 1970: {number}"),
                        other => panic!("field {other} of a metric"),
                    }
                }
                seen.metrics.push(metric);
            }
            3 => seen.seq = Some(number),
            other => panic!("field {other} of a payload"),
        }
    }
    seen
}

fn says(acts: &[Act]) -> Vec<Seen> {
    let say = |act: &Act| match act {
        Act::Say(say) => Some(said(say)),
        _ => None,
    };
    acts.iter().filter_map(say).collect()
}

fn said(say: &Say) -> Seen {
    let seen = seen(&say.topic, &say.payload);
    let death = say.topic.contains("/NDEATH/");
    assert_eq!((say.qos, say.retain), (if death { Qos::AtLeastOnce } else { Qos::AtMostOnce }, false));
    seen
}

fn topics(seen: &[Seen]) -> Vec<&str> {
    seen.iter().map(|seen| seen.topic.strip_prefix("spBv1.0/G/").unwrap()).collect()
}

fn metric<'a>(seen: &'a Seen, name: &str) -> &'a (String, Option<u64>, bool, String, String) {
    seen.metrics.iter().find(|metric| metric.0 == name).unwrap()
}

struct Bench {
    rules: Rules,
    dialogue: Box<dyn Dialogue>,
}

impl Bench {
    fn new(options: Value) -> Self {
        let platform = configure(options.as_object().unwrap(), "pi").unwrap();
        let rules = platform.rules();
        let dialogue = platform.dialogue(&about(&rules)).unwrap();
        Self { rules, dialogue }
    }

    /// A message of readings, as it goes out, and what goes before it.
    fn send(&mut self, sample: &[Logged], late: bool, at: i64) -> Vec<Seen> {
        let mut payload = Vec::new();
        crate::platform::write(&mut payload, sample, late);
        let topic = &sample[0].channel.publish.as_ref().unwrap().topic;
        let mut all: Vec<Seen> =
            self.dialogue.seal(topic, &mut payload, moment(at)).iter().map(said).collect();
        all.push(seen(topic, &payload));
        all
    }

    fn reading(&self, row: i64, sensor: &str, quantity: &str, value: reading::Value) -> Logged {
        let unit = if quantity == "temperature" { "°C" } else { "" };
        self.reading_in(unit, row, sensor, quantity, value)
    }

    fn reading_in(
        &self,
        unit: &str,
        row: i64,
        sensor: &str,
        quantity: &str,
        value: reading::Value,
    ) -> Logged {
        logged(row, channel(&self.rules, sensor, quantity, unit, value.kind()), value)
    }

    fn heard(&mut self, topic: &str, payload: &[u8], at: i64) -> Vec<Act> {
        self.dialogue.heard(Heard { topic, payload, retained: false }, moment(at))
    }
}

fn command(name: &str, value: MetricValue) -> Vec<u8> {
    let metric = Metric { name: name.to_owned(), timestamp: Some(1), value, ..Metric::default() };
    let mut bytes = Vec::new();
    Payload { timestamp: Some(1), metrics: vec![metric], ..Payload::default() }.encode(&mut bytes);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Written by Google's implementation from the `sparkplug_b.proto` of section 6.4.
#[test]
fn golden_bytes() {
    let metric = |name: &str, value| Metric { name: name.to_owned(), value, ..Metric::default() };
    let timestamp = Some(1_795_158_000_123);
    let payload = Payload {
        timestamp: Some(1_486_144_502_122),
        metrics: vec![
            Metric {
                timestamp,
                datatype: Some(DataType::Double),
                unit: Some("°C".to_owned()),
                ..metric("temperature", MetricValue::Double(21.4))
            },
            Metric { timestamp, historical: true, ..metric("count", MetricValue::Long(-2_i64 as u64)) },
            Metric { datatype: Some(DataType::Boolean), ..metric("dark", MetricValue::Null) },
            metric("on", MetricValue::Bool(false)),
            metric("state", MetricValue::Text("ok".to_owned())),
        ],
        seq: Some(255),
        uuid: None,
    };
    let mut bytes = Vec::new();
    payload.encode(&mut bytes);
    assert_eq!(
        hex(&bytes),
        "08eaf2f5a8a02b12330a0b74656d706572617475726518fb8385be9f34200a4a120a07656e67556e69741207080c4203c2b0436966\
         66666666663540121b0a05636f756e7418fb8385be9f34280158feffffffffffffffff01120a0a046461726b200b380112060a026f\
         6e7000120b0a0573746174657a026f6b18ff01"
    );
    let mut read = Payload::decode(&bytes).unwrap();
    // Types are for births, which nobody sends to us.
    read.metrics[0].datatype = Some(DataType::Double);
    read.metrics[2].datatype = Some(DataType::Boolean);
    assert_eq!(read, payload);
    for cut in 1..bytes.len() {
        // A cut at the end of a field is a shorter message; any other is none.
        if let Ok(short) = Payload::decode(&bytes[..cut]) {
            assert!(short.metrics.len() < 5 || short.seq.is_none());
        }
    }
    assert!(Payload::decode(&[0x12, 0].repeat(1_001)).is_err(), "more metrics than anybody needs");
}

#[test]
fn births_say_everything_that_will_ever_be_said() {
    let mut bench = Bench::new(json!({"group": "G"}));
    let will = said(&bench.dialogue.will().unwrap());
    // 4.1.6: one metric, no seq.
    assert_eq!(topics(std::slice::from_ref(&will)), ["NDEATH/pi"]);
    assert_eq!((will.seq, will.metrics.len()), (None, 1));
    assert_eq!(will.metrics[0], ("bdSeq".into(), Some(4), false, "long 0".into(), String::new()));

    assert_eq!(
        bench.dialogue.filters(),
        ["spBv1.0/G/NCMD/pi", "spBv1.0/G/DCMD/pi/fan", "spBv1.0/G/DCMD/pi/vent"]
    );
    let births = says(&bench.dialogue.connected(moment(0)));
    assert_eq!(topics(&births), ["NBIRTH/pi", "DBIRTH/pi/air", "DBIRTH/pi/fan", "DBIRTH/pi/vent"]);
    assert_eq!(
        births.iter().map(|birth| birth.seq).collect::<Vec<_>>(),
        [Some(0), Some(1), Some(2), Some(3)]
    );
    let node = &births[0];
    assert_eq!(metric(node, "bdSeq").3, "long 0");
    assert_eq!(
        (metric(node, "Node Control/Rebirth").1, &*metric(node, "Node Control/Rebirth").3),
        (Some(11), "bool false")
    );
    assert_eq!(metric(node, "Properties/Location").3, "string Greenhouse 2");
    let air = &births[1];
    let expected = [
        ("temperature", Some(10), false, "double 21.4", "°C"),
        ("count", Some(4), false, "long 9223372036854775807", ""),
        ("dark", Some(11), false, "bool true", ""),
        ("state", Some(12), false, "string failed: \"i2c-1\"\n0x76, é=1", ""),
        ("Properties/Driver", Some(12), false, "string bme280", ""),
    ]
    .map(|(name, datatype, historical, value, unit)| {
        (name.into(), datatype, historical, value.into(), unit.into())
    });
    assert_eq!(air.metrics, expected);
    assert_eq!(births[3].metrics[0], ("level".into(), Some(10), false, "null".into(), "%".into()));
    assert!(births.iter().all(|birth| birth.timestamp == Some(1_795_158_000_000)));
}

#[test]
fn every_message_has_the_next_number() {
    let mut bench = Bench::new(json!({"group": "G", "node": "N"}));
    bench.dialogue.will();
    let births = says(&bench.dialogue.connected(moment(0)));
    let mut last = births.last().unwrap().seq.unwrap();
    for row in 100..700 {
        let one = bench.reading(row, "fan", "on", reading::Value::Bool(true));
        let data = bench.send(&[one], false, row);
        assert_eq!(data.len(), 1);
        assert_eq!(data[0].seq, Some((last + 1) % 256), "row {row}");
        // 6.4.6: no type in data.
        assert_eq!(data[0].metrics, [("on".into(), None, false, "bool true".into(), String::new())]);
        last = data[0].seq.unwrap();
    }
    // Only what is ours counts.
    let mut other = b"{}".to_vec();
    assert_eq!(bench.dialogue.seal("spBv1.0/old/DDATA/N/fan", &mut other, moment(0)), []);
    assert_eq!(other, b"{}");
}

#[test]
fn the_number_of_the_connection_ties_births_to_deaths() {
    let mut bench = Bench::new(json!({"group": "G"}));
    let mut numbers = Vec::new();
    for round in 0..258 {
        let death = said(&bench.dialogue.will().unwrap());
        let births = says(&bench.dialogue.connected(moment(round)));
        assert_eq!(metric(&births[0], "bdSeq").3, death.metrics[0].3);
        assert_eq!(births[0].seq, Some(0));
        numbers.push(death.metrics[0].3.clone());
    }
    assert_eq!((&*numbers[0], &*numbers[255], &*numbers[256]), ("long 0", "long 255", "long 0"));
    let farewell: Vec<Seen> = bench.dialogue.leaving(moment(999)).iter().map(said).collect();
    assert_eq!((topics(&farewell), &*farewell[0].metrics[0].3), (vec!["NDEATH/pi"], "long 1"));
    assert!(bench.dialogue.holds());
}

#[test]
fn what_the_birth_has_told_or_is_late_is_history() {
    let mut bench = Bench::new(json!({"group": "G"}));
    bench.dialogue.will();
    bench.dialogue.connected(moment(0));
    // The birth told rows 7 to 10.
    let old = bench.reading(3, "air", "temperature", reading::Value::Float(1.0));
    let told = sample(&bench.rules);
    let new = bench.reading(11, "air", "temperature", reading::Value::Float(2.0));
    assert!(bench.send(&[old], false, 1)[0].metrics[0].2);
    assert!(bench.send(&told, false, 2)[0].metrics.iter().all(|metric| metric.2));
    assert!(!bench.send(std::slice::from_ref(&new), false, 3)[0].metrics[0].2);
    assert!(bench.send(&[new], true, 4)[0].metrics[0].2, "late");
    // Nothing was told of this.
    let first = bench.reading(2, "fan", "on", reading::Value::Bool(true));
    assert!(!bench.send(&[first], false, 5)[0].metrics[0].2);
}

/// The unit of a metric stands in its birth alone: a backlog of before a change must not be taken for values of now.
#[test]
fn what_was_measured_in_another_unit_is_history() {
    let mut bench = Bench::new(json!({"group": "G"}));
    bench.dialogue.will();
    bench.dialogue.connected(moment(0));
    for (unit, historical) in [("°F", true), ("", true), ("°C", false)] {
        let one = bench.reading_in(unit, 100, "air", "temperature", reading::Value::Float(70.0));
        let said = bench.send(&[one], false, 1);
        let expected = ("temperature".into(), None, historical, "double 70".into(), String::new());
        assert_eq!(said[0].metrics, [expected], "{unit}");
    }
    // Of what no configuration names, nobody knows better.
    let gone = bench.reading_in("bar", 101, "cellar", "level", reading::Value::Float(0.5));
    let said = bench.send(&[gone], false, 2);
    assert_eq!((said.len(), &said[1].metrics[0].4, said[1].metrics[0].2), (2, &String::new(), false));
}

#[test]
fn what_no_birth_has_named_is_named_before_it_is_said() {
    let mut bench = Bench::new(json!({"group": "G"}));
    bench.dialogue.will();
    bench.dialogue.connected(moment(0));
    let gone = bench.reading(5, "cellar", "level", reading::Value::Float(0.5));
    let said = bench.send(std::slice::from_ref(&gone), false, 1);
    assert_eq!(topics(&said), ["DBIRTH/pi/cellar", "DDATA/pi/cellar"]);
    assert_eq!((said[0].seq, said[1].seq), (Some(4), Some(5)));
    assert_eq!(said[0].metrics, [("level".into(), Some(10), false, "null".into(), String::new())]);
    assert_eq!(bench.send(&[gone], false, 2).len(), 1, "once");
    let quantity = bench.reading(6, "air", "pm10", reading::Value::Integer(4));
    let said = bench.send(&[quantity], false, 3);
    assert_eq!(topics(&said), ["DBIRTH/pi/air", "DDATA/pi/air"]);
    assert_eq!(said[0].metrics.len(), 6);
    // And in every birth from then on.
    bench.dialogue.will();
    let births = says(&bench.dialogue.connected(moment(10)));
    assert_eq!(
        topics(&births)[1..],
        ["DBIRTH/pi/air", "DBIRTH/pi/cellar", "DBIRTH/pi/fan", "DBIRTH/pi/vent"]
    );
}

#[test]
fn a_sensor_that_fails_dies_and_is_born_when_it_works_again() {
    let mut bench = Bench::new(json!({"group": "G"}));
    bench.dialogue.will();
    bench.dialogue.connected(moment(0));
    // It had failed before the connection: dead when it has nothing more to say.
    assert_eq!(bench.dialogue.due(), Some(1_000_000));
    let old = bench.reading(5, "air", "temperature", reading::Value::Float(0.5));
    assert_eq!(bench.send(&[old], false, 600_000).len(), 1);
    assert_eq!(bench.dialogue.due(), Some(1_600_000));
    let dead = says(&bench.dialogue.tick(moment(1_600_000)));
    assert_eq!((topics(&dead), dead[0].seq, dead[0].metrics.len()), (vec!["DDEATH/pi/air"], Some(5), 0));
    assert_eq!(bench.dialogue.due(), None);
    let ok = bench.reading(20, "air", "state", reading::Value::Text("ok".into()));
    let born = bench.send(&[ok], false, 2_000_000);
    assert_eq!(topics(&born), ["DBIRTH/pi/air", "DDATA/pi/air"]);
    assert_eq!((born[1].seq, bench.dialogue.due()), (Some(7), None));
    let failed = bench.reading(21, "air", "state", reading::Value::Text("failed: gone".into()));
    assert_eq!(bench.send(&[failed], false, 3_000_000).len(), 1);
    assert_eq!(bench.dialogue.due(), Some(4_000_000));
}

#[test]
fn a_host_that_missed_something_has_it_all_said_again() {
    let mut bench = Bench::new(json!({"group": "G"}));
    bench.dialogue.will();
    bench.dialogue.will();
    bench.dialogue.connected(moment(0));
    let rebirth = command("Node Control/Rebirth", MetricValue::Bool(true));
    let births = says(&bench.heard("spBv1.0/G/NCMD/pi", &rebirth, 1_000_000));
    assert_eq!(births.len(), 4);
    // 5.17: the number of the connection is the same, the sequence begins anew.
    assert_eq!((&*metric(&births[0], "bdSeq").3, births[0].seq), ("long 1", Some(0)));
    // More of them at once make one more.
    for at in 1..100 {
        assert_eq!(bench.heard("spBv1.0/G/NCMD/pi", &rebirth, 1_000_000 + at), []);
    }
    assert_eq!(bench.dialogue.due(), Some(2_000_000));
    assert_eq!(says(&bench.dialogue.tick(moment(2_000_000))).len(), 4);
    for nothing in [MetricValue::Bool(false), MetricValue::Text("true".into())] {
        assert_eq!(
            bench.heard("spBv1.0/G/NCMD/pi", &command("Node Control/Rebirth", nothing), 9_000_000),
            []
        );
    }
    let strange =
        bench.heard("spBv1.0/G/NCMD/pi", &command("Node Control/Reboot", MetricValue::Bool(true)), 9_000_000);
    assert!(matches!(&strange[..], [Act::Note(note)] if note.contains("more of the node")));
    let retained = Heard { topic: "spBv1.0/G/NCMD/pi", payload: &rebirth, retained: true };
    assert!(matches!(&bench.dialogue.heard(retained, moment(9_000_000))[..], [Act::Note(_)]));
}

#[test]
fn outputs_are_written() {
    let mut bench = Bench::new(json!({"group": "G"}));
    bench.dialogue.will();
    bench.dialogue.connected(moment(0));
    for (device, name, value, expected) in [
        ("fan", "on", MetricValue::Bool(true), Some(json!(true))),
        ("fan", "on", MetricValue::Int(0), Some(json!(false))),
        ("fan", "on", MetricValue::Long(2), None),
        ("fan", "on", MetricValue::Null, None),
        ("fan", "state", MetricValue::Text("on".into()), None),
        ("vent", "level", MetricValue::Double(42.5), Some(json!(42.5))),
        ("vent", "level", MetricValue::Float(f32::NAN), None),
        ("vent", "level", MetricValue::Bool(true), None),
        ("air", "temperature", MetricValue::Double(1.0), None),
        ("nobody", "on", MetricValue::Bool(true), None),
    ] {
        let topic = format!("spBv1.0/G/DCMD/pi/{device}");
        let acts = bench.heard(&topic, &command(name, value.clone()), 1);
        match (expected, &acts[..]) {
            (Some(expected), [Act::Do(Order { wish: Wish::Command(wish), id: None, .. })]) => {
                let whole = json!({"action": "set", "output": device, "value": expected});
                assert_eq!(Value::Object(wish.clone()), whole);
            }
            (None, [Act::Note(_)]) => {}
            other => panic!("{device} {name} {value:?}: {other:?}"),
        }
    }
    let refused = Outcome { rc: 403, message: "not allowed".to_owned(), data: None };
    assert!(
        matches!(&bench.dialogue.done(0, &refused, moment(2))[..], [Act::Note(note)] if note.contains("not allowed"))
    );
    let done = Outcome { rc: 200, ..refused };
    assert_eq!(bench.dialogue.done(1, &done, moment(2)), []);
}

/// Hosts write several metrics at once, also such as cannot be written.
#[test]
fn what_cannot_be_written_does_not_stand_in_the_way_of_what_can() {
    let mut bench = Bench::new(json!({"group": "G"}));
    bench.dialogue.will();
    bench.dialogue.connected(moment(0));
    let text = || MetricValue::Text("x".into());
    let mut bytes = command("state", text());
    bytes.extend(command("nothing of ours", text()));
    bytes.extend(command("on", MetricValue::Bool(true)));
    let acts = bench.heard("spBv1.0/G/DCMD/pi/fan", &bytes, 1);
    let [Act::Note(note), Act::Do(Order { wish: Wish::Command(wish), .. })] = &acts[..] else {
        panic!("{acts:?}")
    };
    assert!(note.contains("\"state\" of fan"), "{note}");
    assert_eq!(Value::Object(wish.clone()), json!({"action": "set", "output": "fan", "value": true}));
}

#[test]
fn nothing_is_said_while_the_primary_host_is_away() {
    let mut bench = Bench::new(json!({"group": "G", "primary_host": "scada"}));
    let state = "spBv1.0/STATE/scada";
    assert!(bench.dialogue.filters().contains(&state.to_owned()));
    bench.dialogue.will();
    // The broker may be quicker with what it retains than with its last SUBACK.
    assert_eq!(bench.heard(state, br#"{"online":true,"timestamp":5}"#, 0), []);
    assert_eq!(says(&bench.dialogue.connected(moment(1))).len(), 4);
    assert!(!bench.dialogue.holds());
    assert_eq!(bench.heard(state, br#"{"online":false,"timestamp":4}"#, 2), [], "an old will");
    assert_eq!(bench.heard(state, br#"{"online":false,"timestamp":5}"#, 3), [Act::Renew]);
    assert!(bench.dialogue.holds());
    bench.dialogue.will();
    assert_eq!(bench.dialogue.connected(moment(4)), []);
    assert_eq!(bench.heard(state, br#"{"online":false,"timestamp":5}"#, 5), []);
    assert!(bench.dialogue.holds());
    let rebirth = command("Node Control/Rebirth", MetricValue::Bool(true));
    assert_eq!(bench.heard("spBv1.0/G/NCMD/pi", &rebirth, 6), []);
    let births = says(&bench.heard(state, br#"{"online":true,"timestamp":6}"#, 7));
    assert_eq!((births.len(), &*metric(&births[0], "bdSeq").3), (4, "long 1"));
    assert!(matches!(&bench.heard(state, b"ONLINE", 8)[..], [Act::Note(_)]));
}

#[test]
fn what_cannot_be_is_an_error_of_the_configuration() {
    for (options, key, words) in [
        (json!({}), "group", "is missing"),
        (json!({"group": "a/b"}), "group", "cannot contain '/'"),
        (json!({"group": "G", "node": "+"}), "node", "cannot contain '+'"),
        (json!({"group": "G", "primary_host": ""}), "primary_host", "is empty"),
        (json!({"gruop": "G"}), "gruop", "did you mean \"group\"?"),
    ] {
        let problems = configure(options.as_object().unwrap(), "pi").unwrap_err();
        let found = problems.iter().any(|problem| problem.key == key && problem.message.contains(words));
        assert!(found, "{options}: {problems:?}");
    }
    assert_eq!(DataType::of(ValueKind::Image), None);
}

proptest! {
    /// Whatever bytes come in, and whatever comes out of them goes in again as it was.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..96)) {
        if let Ok(payload) = Payload::decode(&bytes) {
            let mut again = Vec::new();
            payload.encode(&mut again);
            // Other kinds of values, and NaN, do not stay what they were.
            let plain = |metric: &Metric| match metric.value {
                MetricValue::Other => false,
                MetricValue::Float(number) => !number.is_nan(),
                MetricValue::Double(number) => !number.is_nan(),
                _ => true,
            };
            if payload.metrics.iter().all(plain) {
                prop_assert_eq!(Payload::decode(&again), Ok(payload));
            }
        }
    }

    /// Commands that are nearly right neither panic nor order more than there is.
    #[test]
    fn bent_commands_are_borne(at in 0_usize..200, byte: u8, name in "on|level|state|Node Control/Rebirth|.{0,8}", number: u64) {
        let mut bench = Bench::new(json!({"group": "G"}));
        bench.dialogue.will();
        bench.dialogue.connected(moment(0));
        let mut bytes = command(&name, MetricValue::Long(number));
        bytes.extend(command(&name, MetricValue::Bool(true)));
        let at = at % bytes.len();
        bytes[at] = byte;
        for topic in ["spBv1.0/G/NCMD/pi", "spBv1.0/G/DCMD/pi/fan", "spBv1.0/G/DCMD/pi/vent", "spBv1.0/G/DCMD/pi/"] {
            prop_assert!(bench.heard(topic, &bytes, 2_000_000).len() <= 16);
        }
    }
}
