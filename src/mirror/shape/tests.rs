//! One suite over all shapes, and what each makes of the messages in its program's own documentation.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::mirror::fake::message;
use crate::reading::Qos;

/// chirpstack.io, "Integrations", "Event types", `up`; with the object of a codec.
const UP: &str = r#"{"deduplicationId":"3ac7e3c4-4401-4b8d-9386-a5c902f9202d","time":"2022-07-18T09:34:15.775023242+00:00",
"deviceInfo":{"tenantId":"52f14cd4-c6f1-4fbd-8f87-4025e1d49242","tenantName":"ChirpStack",
"applicationId":"17c82e96-be03-4f38-aef3-f83d48582d97","applicationName":"Test application",
"deviceProfileId":"14855bf7-d10d-4aee-b618-ebfcb64dc7ad","deviceProfileName":"Test device-profile",
"deviceName":"Test device","devEui":"0101010101010101","tags":{"key":"value"}},
"devAddr":"00189440","dr":1,"fPort":1,"data":"qg==",OBJECT
"rxInfo":[{"gatewayId":"0016c001f153a14c","uplinkId":4217106255,"rssi":-36,"snr":10.5,"context":"E3OWOQ==",
"metadata":{"region_name":"eu868","region_common_name":"EU868"}}],
"txInfo":{"frequency":867100000,"modulation":{"lora":{"bandwidth":125000,"spreadingFactor":11,"codeRate":"CR_4_5"}}}}"#;

fn shape(kind: PayloadKind, zone: Option<&str>) -> Shape {
    let zone = zone.map(|name| TimeZone::get(name).unwrap_or_else(|error| panic!("{error}")));
    Shape::new(&Payload { kind, zone })
}

fn read(kind: PayloadKind, topic: &str, payload: &str) -> (Seen, Tally) {
    let mut tally = Tally::default();
    let seen = shape(kind, None).read(&message(topic, payload.as_bytes(), Qos::AtLeastOnce), &mut tally);
    (seen, tally)
}

/// `device sensor quantity value unit`, as a person would write it.
fn lines(seen: &Seen) -> Vec<String> {
    let line = |row: &Told| {
        let value = match &row.value {
            Sql::Integer(number) => number.to_string(),
            Sql::Real(number) => number.to_string(),
            Sql::Text(text) => format!("'{text}'"),
            Sql::Null | Sql::Blob(_) => "NULL".to_owned(),
        };
        let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        [or(&row.device), or(&row.sensor), row.quantity.clone(), value, or(&row.unit)].join(" ")
    };
    seen.rows.iter().map(line).collect()
}

fn taken(seen: &Seen) -> Option<String> {
    seen.rows[0].taken.map(|taken| taken.to_string())
}

const EVENT: &str = "application/17c82e96-be03-4f38-aef3-f83d48582d97/device/0101010101010101/event/up";

#[test]
fn chirpstack_uplink() {
    let object = r#""object":{"temperature":21.4,"door":true,"state":"ok","battery":null,
        "temperatureSensor":{"1":25,"2":26.5},"gps":{"1":{"latitude":47.59}},"air":{"co2":812},"list":[7,8]},"#;
    let (seen, tally) = read(PayloadKind::ChirpStack, EVENT, &UP.replace("OBJECT", object));
    let d = "0101010101010101";
    let mut found = lines(&seen);
    found.sort();
    let mut expected = [
        "- temperature 21.4 -",
        "- door 1 -",
        "- state 'ok' -",
        "- battery NULL -",
        "1 temperatureSensor 25 -",
        "2 temperatureSensor 26.5 -",
        "gps.1 latitude 47.59 -",
        "air co2 812 -",
        "0 list 7 -",
        "1 list 8 -",
        "0016c001f153a14c rssi -36 dBm",
        "0016c001f153a14c snr 10.5 dB",
    ]
    .map(|line| format!("{d} {line}"));
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(taken(&seen).as_deref(), Some("2022-07-18T09:34:15.775023Z"));
    assert_eq!(seen.id, Some(("3ac7e3c4-4401-4b8d-9386-a5c902f9202d".to_owned(), 0)));
    assert_eq!((tally.missing, tally.refused, tally.bad_json), (1, 0, 0), "{tally:?}");
}

#[test]
fn chirpstack_without_a_codec_and_its_other_events() {
    let (seen, tally) = read(PayloadKind::ChirpStack, EVENT, &UP.replace("OBJECT", ""));
    assert_eq!(lines(&seen).len(), 2, "how it was heard");
    assert_eq!(tally.missing, 1, "the object");

    // The same page, `status` and `join`.
    let info = r#""time":"2022-07-18T09:34:15+00:00","deviceInfo":{"devEui":"0101010101010101"}"#;
    let status = format!(
        r#"{{"deduplicationId":"a0047d3f-b432-4400-8ef8-ed8fad4c9025",{info},"margin":10,"externalPowerSource":false,
            "batteryLevelUnavailable":false,"batteryLevel":75.5}}"#
    );
    let (seen, _) = read(PayloadKind::ChirpStack, "application/1/device/1/event/status", &status);
    assert_eq!(lines(&seen), ["0101010101010101 - margin 10 dB", "0101010101010101 - batteryLevel 75.5 %"]);
    // Its network server writes 0 where there is no level to tell of.
    for (external, unavailable) in [(true, false), (false, true)] {
        let status = format!(
            r#"{{{info},"margin":10,"externalPowerSource":{external},"batteryLevelUnavailable":{unavailable},
                "batteryLevel":0.0}}"#
        );
        let (seen, tally) = read(PayloadKind::ChirpStack, "application/1/device/1/event/status", &status);
        assert_eq!(
            lines(&seen),
            ["0101010101010101 - margin 10 dB", "0101010101010101 - batteryLevel NULL %"]
        );
        assert_eq!(tally.missing, 1);
    }
    let join = format!(r#"{{{info},"devAddr":"00189440"}}"#);
    let (seen, tally) = read(PayloadKind::ChirpStack, "application/1/device/1/event/join", &join);
    assert!(seen.rows.is_empty() && tally == Tally::default(), "{tally:?}");

    let (seen, tally) = read(PayloadKind::ChirpStack, EVENT, r#"{"devEUI":"AgICAgICAgI="}"#);
    assert!(seen.rows.is_empty() && tally.refused == 1);
    let last = tally.last.unwrap();
    assert!(last.contains("no message of ChirpStack: deviceInfo.devEui is missing"), "{last}");
}

#[test]
fn tasmota_sensors() {
    let payload = r#"{"Time":"2026-11-20T07:00:00","Switch1":"OFF",
        "BME280":{"Temperature":21.4,"Humidity":45.5,"DewPoint":9.1,"Pressure":1006.2},
        "DS18B20-1":{"Id":"000008BD38BF","Temperature":null},"PressureUnit":"hPa","TempUnit":"C"}"#;
    let (seen, tally) = read(PayloadKind::Tasmota, "tele/shed/SENSOR", payload);
    let mut found = lines(&seen);
    found.sort();
    assert_eq!(
        found,
        [
            "shed - Switch1 'OFF' -",
            "shed BME280 DewPoint 9.1 °C",
            "shed BME280 Humidity 45.5 %",
            "shed BME280 Pressure 1006.2 hPa",
            "shed BME280 Temperature 21.4 °C",
            "shed DS18B20-1 Temperature NULL °C",
        ]
    );
    assert_eq!(taken(&seen), None, "nobody knows the zone");
    assert_eq!((tally.missing, tally.refused), (1, 0));
    assert_eq!(seen.id, None, "it has none");

    // Energy monitoring, here of three phases.
    let energy = r#"{"Time":"2018-12-03T13:45:20+01:00","ENERGY":{"TotalStartTime":"2018-11-20T00:00:51","Total":0.10263,
        "Period":0,"Power":[10,20],"Factor":0.00,"Voltage":234,"Current":0.5},"TempUnit":"F"}"#;
    let (seen, _) = read(PayloadKind::Tasmota, "home/plug/tele/SENSOR", energy);
    let mut found = lines(&seen);
    found.sort();
    assert_eq!(
        found,
        [
            "home/plug ENERGY Current 0.5 A",
            "home/plug ENERGY Factor 0 -",
            "home/plug ENERGY Period 0 Wh",
            "home/plug ENERGY Total 0.10263 kWh",
            "home/plug ENERGY Voltage 234 V",
            "home/plug ENERGY.0 Power 10 W",
            "home/plug ENERGY.1 Power 20 W",
        ]
    );
    assert_eq!(taken(&seen).as_deref(), Some("2018-12-03T12:45:20.000000Z"), "SetOption52");

    let status =
        r#"{"StatusSNS":{"Time":"2020-01-26T01:24:16","BMP280":{"Temperature":50.1},"TempUnit":"F"}}"#;
    let (seen, _) = read(PayloadKind::Tasmota, "stat/shed/STATUS8", status);
    assert_eq!(lines(&seen), ["shed BMP280 Temperature 50.1 °F"]);
    let (_, tally) = read(PayloadKind::Tasmota, "tele/shed/INFO1", r#"{"Info1":{"Module":"Generic"}}"#);
    assert!(tally.last.unwrap().contains("Time is missing"));
}

#[test]
fn local_times_are_put_right_where_the_zone_says_how() {
    let berlin = shape(PayloadKind::Tasmota, Some("Europe/Berlin"));
    for (local, expected) in [
        ("2026-11-20T07:00:00", Some("2026-11-20T06:00:00.000000Z")),
        ("2026-07-20T07:00:00", Some("2026-07-20T05:00:00.000000Z")),
        // Twice that night, and never that morning.
        ("2026-10-25T02:30:00", None),
        ("2026-03-29T02:30:00", None),
        ("2026-11-20T07:00:00Z", Some("2026-11-20T07:00:00.000000Z")),
        ("2018.02.15 01:00:50", None),
    ] {
        let payload = format!(r#"{{"Time":"{local}","A0":1}}"#);
        let message = message("tele/x/SENSOR", payload.as_bytes(), Qos::AtLeastOnce);
        let seen = berlin.read(&message, &mut Tally::default());
        assert_eq!(taken(&seen).as_deref(), expected, "{local}");
    }
}

#[test]
fn zigbee2mqtt_devices() {
    // zigbee2mqtt.io, "MQTT Topics and Messages", "zigbee2mqtt/FRIENDLY_NAME".
    let payload = r#"{"temperature":27.34,"humidity":44.72,"battery":91,"voltage":3005,"contact":false,"linkquality":120,
        "color":{"x":0.7006},"last_seen":"2026-11-20T08:00:00+01:00","update":{"state":"idle"}}"#;
    let (seen, tally) = read(PayloadKind::Zigbee2Mqtt, "zigbee2mqtt/attic/window", payload);
    let mut found = lines(&seen);
    found.sort();
    assert_eq!(
        found,
        [
            "attic/window - battery 91 %",
            "attic/window - contact 0 -",
            "attic/window - humidity 44.72 %",
            "attic/window - linkquality 120 lqi",
            "attic/window - temperature 27.34 °C",
            "attic/window - voltage 3005 -",
            "attic/window color x 0.7006 -",
        ]
    );
    assert_eq!(taken(&seen).as_deref(), Some("2026-11-20T07:00:00.000000Z"));
    assert_eq!(tally, Tally::default());
    let epoch = r#"{"power":1.5,"last_seen":1795158000123}"#;
    let (seen, _) = read(PayloadKind::Zigbee2Mqtt, "zigbee2mqtt/plug", epoch);
    assert_eq!(taken(&seen).as_deref(), Some("2026-11-20T07:00:00.123000Z"));
    for topic in ["zigbee2mqtt/bridge/state", "zigbee2mqtt/plug/availability", "zigbee2mqtt/plug/set"] {
        let (seen, tally) = read(PayloadKind::Zigbee2Mqtt, topic, r#"{"state":"online"}"#);
        assert!(seen.rows.is_empty() && tally == Tally::default(), "{topic}");
    }
}

const ALL: [PayloadKind; 3] = [PayloadKind::ChirpStack, PayloadKind::Tasmota, PayloadKind::Zigbee2Mqtt];

#[test]
fn what_cannot_be_read_is_counted_and_has_no_rows() {
    for kind in ALL {
        for (payload, bad_json) in
            [("", 1), ("Online", 1), ("{\"a\":", 1), ("[1]", 0), ("null", 0), ("21.4", 0)]
        {
            let (seen, tally) = read(kind, "a/b/c", payload);
            assert!(seen.rows.is_empty() && seen.id.is_none());
            assert_eq!((tally.bad_json, tally.refused), (bad_json, 1 - bad_json), "{kind:?}: {payload}");
            assert!(tally.last.is_some());
        }
        // Our own messages keep their identity, whatever mirror they come to.
        let (seen, _) = read(kind, "a/b/c", r#"{"id":"3f9c2a1b-7","value":21.5}"#);
        assert_eq!(seen.id(), Some("3f9c2a1b-7".to_owned()));
    }
}

#[test]
fn a_message_without_end_has_no_rows_rather_than_some() {
    let many: Vec<String> = (0..3_000).map(|number| format!("\"q{number}\":1")).collect();
    let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
    for body in [many.join(","), format!("\"before\":1,\"deep\":{deep},\"last\":1")] {
        let (seen, tally) = read(PayloadKind::Zigbee2Mqtt, "zigbee2mqtt/x", &format!("{{{body}}}"));
        // In a CSV file only a message without rows is kept whole.
        assert!(seen.rows.is_empty(), "{} rows", seen.rows.len());
        assert_eq!(tally.refused, 1);
        assert!(tally.last.unwrap().contains("more fields"));
    }
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map("[a-zA-Z0-9.]{0,6}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_borne(topic in "[a-z/]{1,20}", tree in tree(), within in 0..3_usize) {
        let body = match within {
            0 => tree,
            1 => json!({"Time": "2026-11-20T07:00:00", "deviceInfo": {"devEui": "01"}, "object": tree}),
            _ => json!({"time": tree, "Time": tree, "last_seen": tree, "rxInfo": tree, "deduplicationId": tree,
                        "deviceInfo": {"devEui": "01"}}),
        };
        for kind in ALL {
            let (seen, _) = read(kind, &topic, &body.to_string());
            prop_assert!(seen.rows.len() <= MOST);
            for row in &seen.rows {
                prop_assert!(row.value != Sql::Real(f64::INFINITY));
            }
        }
    }

    #[test]
    fn any_bytes_are_borne(payload in prop::collection::vec(any::<u8>(), 0..64)) {
        for kind in ALL {
            let message = message("a/b/c", &payload, Qos::AtLeastOnce);
            shape(kind, None).read(&message, &mut Tally::default());
        }
    }
}
