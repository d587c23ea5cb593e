//! Mirrors of other programs' messages: what a ChirpStack and a Tasmota publish is queried as readings, and as CSV.

use std::fs;
use std::time::Duration;

use rusqlite::types::Value as Sql;

use crate::support::{Bridge, Mosquitto, Publisher, wait_until};

const SOON: Duration = Duration::from_secs(30);

/// chirpstack.io, "Integrations", "Event types", `up`, with the object of a codec.
fn uplink(id: &str, temperature: f64) -> String {
    format!(
        r#"{{"deduplicationId":"{id}","time":"2022-07-18T09:34:15.775023242+00:00","deviceInfo":{{"tenantName":"ChirpStack","deviceName":"Test device","devEui":"0101010101010101"}},"fPort":1,"data":"qg==","object":{{"temperature":{temperature}}},"rxInfo":[{{"gatewayId":"0016c001f153a14c","rssi":-36,"snr":10.5}}]}}"#
    )
}

const TASMOTA: &str = r#"{"Time":"2026-11-20T08:00:00","BME280":{"Temperature":21.4,"Humidity":45.5,"Pressure":1006.2},"PressureUnit":"hPa","TempUnit":"C"}"#;

const UP: &str = "application/17c8/device/0101010101010101/event/up";

fn send(broker: &Mosquitto, topic: &str, payload: &str) {
    Publisher::once(broker.port(), topic, &["-q", "1", "-m", payload]);
}

fn rows(bridge: &Bridge, sql: &str) -> Vec<String> {
    if !bridge.database_path().exists() {
        return Vec::new();
    }
    let database = bridge.database();
    let Ok(mut query) = database.prepare(sql) else { return Vec::new() };
    let columns = query.column_count();
    let line = |row: &rusqlite::Row<'_>| {
        let text = |at| match row.get::<_, Sql>(at).unwrap() {
            Sql::Null => "-".to_owned(),
            Sql::Integer(number) => number.to_string(),
            Sql::Real(number) => number.to_string(),
            Sql::Text(text) => text,
            Sql::Blob(_) => "blob".to_owned(),
        };
        Ok((0..columns).map(text).collect::<Vec<_>>().join(" "))
    };
    query.query_map([], line).unwrap().map(Result::unwrap).collect()
}

#[test]
fn messages_of_other_programs_are_readings() {
    let broker = Mosquitto::start();
    let mut bridge = Bridge::start(|folder| {
        format!(
            "device: {{ id: pi }}
log: {{ path: {folder}/bridge.db }}
mqtt: {{ url: \"{url}\" }}
mirror:
  - {{ topics: [\"application/+/device/+/event/+\"], payload: chirpstack, to: sqlite }}
  - {{ topics: [\"tele/+/SENSOR\"], payload: tasmota, time_zone: Europe/Berlin, to: sqlite, table: plugs }}
  - {{ id: file, topics: [\"tele/+/SENSOR\"], payload: tasmota, to: csv, path: \"{folder}/x.csv\" }}
  - {{ id: lora, topics: [\"application/+/device/+/event/up\"], payload: chirpstack, to: csv, path: \"{folder}/lora.csv\" }}
",
            folder = folder.display(),
            url = broker.url()
        )
    });
    // What comes before the subscriptions is nobody's.
    let csv = bridge.folder().join("x.csv");
    wait_until(SOON, "all four mirrors listen", || {
        send(&broker, "tele/probe/SENSOR", "{\"Time\":\"\",\"A0\":1}");
        send(&broker, UP, &uplink("00000000", 0.0));
        !rows(&bridge, "SELECT 1 FROM plugs").is_empty()
            && !rows(&bridge, "SELECT 1 FROM chirpstack").is_empty()
            && fs::read_to_string(&csv).is_ok_and(|text| text.contains("probe"))
            && fs::read_to_string(bridge.folder().join("lora.csv"))
                .is_ok_and(|text| text.contains("00000000"))
    });
    send(&broker, UP, &uplink("3ac7e3c4-4401-4b8d-9386-a5c902f9202d", 21.4));
    // The same uplink again: the network server resends what nobody acknowledged.
    send(&broker, UP, &uplink("3ac7e3c4-4401-4b8d-9386-a5c902f9202d", 21.4));
    send(&broker, UP, &uplink("3ac7e3c4-4401-4b8d-9386-a5c902f92030", 21.5));
    send(&broker, UP, "no JSON");
    send(&broker, "tele/shed/SENSOR", TASMOTA);

    let sql = "SELECT device, sensor, quantity, value, unit, taken FROM chirpstack
               WHERE value <> 0 AND quantity <> 'snr' ORDER BY id";
    let uplinks = |value| {
        [
            format!("0101010101010101 - temperature {value} - 2022-07-18T09:34:15.775023Z"),
            "0101010101010101 0016c001f153a14c rssi -36 dBm 2022-07-18T09:34:15.775023Z".to_owned(),
        ]
    };
    let wanted = [uplinks(21.4), uplinks(21.5)].concat();
    wait_until(SOON, "two uplinks", || {
        let found = rows(&bridge, sql);
        // The probe has been heard as well, and only its temperature was left out.
        found.iter().skip(1).eq(wanted.iter())
    });
    assert_eq!(
        rows(&bridge, "SELECT count(*) FROM messages WHERE payload = 'no JSON'"),
        ["1"],
        "kept as it came"
    );
    let sql = "SELECT device, sensor, quantity, value, unit, taken FROM plugs WHERE device = 'shed' ORDER BY quantity";
    wait_until(SOON, "a plug", || rows(&bridge, sql).len() == 3);
    assert_eq!(
        rows(&bridge, sql),
        [
            "shed BME280 Humidity 45.5 % 2026-11-20T07:00:00.000000Z",
            "shed BME280 Pressure 1006.2 hPa 2026-11-20T07:00:00.000000Z",
            "shed BME280 Temperature 21.4 °C 2026-11-20T07:00:00.000000Z",
        ]
    );
    wait_until(SOON, "three lines", || fs::read_to_string(&csv).unwrap().matches("shed,BME280").count() == 3);
    let lora = bridge.folder().join("lora.csv");
    wait_until(SOON, "no JSON is a line", || fs::read_to_string(&lora).unwrap().contains("no JSON"));
    assert!(bridge.terminate().success(), "{}", bridge.last_words());

    let text = fs::read_to_string(&csv).unwrap();
    assert!(text.starts_with("time,topic,device,sensor,quantity,value,unit,taken,id,payload\r\n"), "{text}");
    assert!(
        text.contains(",tele/shed/SENSOR,shed,BME280,Temperature,21.4,°C,,,\r\n"),
        "no zone, no time: {text}"
    );
    let text = fs::read_to_string(&lora).unwrap();
    assert_eq!(text.matches("-a5c902f9202d,").count(), 3, "once, three readings: {text}");
    assert!(text.contains(&format!(",{UP},,,,,,,,no JSON\r\n")), "{text}");
    // With the message its readings go; the table is as tidy as the log.
    let database = rusqlite::Connection::open(bridge.database_path()).unwrap();
    database.pragma_update(None, "foreign_keys", true).unwrap();
    database.execute("DELETE FROM message", []).unwrap();
    assert_eq!(rows(&bridge, "SELECT count(*) FROM plugs"), ["0"]);
}
