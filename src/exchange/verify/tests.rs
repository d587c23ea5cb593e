//! A log that has delivered, and mirrors that received more or less of it.

use super::*;
use crate::exchange::testing::*;
use crate::exchange::{Format, survey::Manner};
use crate::log::{DeliveryUpdate, MirrorBatch, NewMessage, Reader, Urgency};
use crate::payload;
use crate::reading::*;

fn channel(quantity: &str, shape: Shape, publish: bool) -> Channel {
    let topic = match shape {
        Shape::Sample => "castel/pi/both".to_owned(),
        _ => format!("castel/pi/air/{quantity}"),
    };
    Channel {
        device: "pi".into(),
        sensor: "air".into(),
        quantity: quantity.into(),
        unit: "°C".into(),
        kind: ValueKind::Float,
        publish: publish.then_some(Publish {
            topic,
            late_topic: None,
            qos: Qos::AtLeastOnce,
            retain: false,
            shape,
            format: None,
            buffer: true,
        }),
        place: None,
    }
}

/// Twenty samples of three readings, of which one is not published, delivered up to row 48; answers the payloads.
fn delivered(house: &House, shape: Shape) -> Vec<(i64, String, String)> {
    let log = house.open();
    let channels = [channel("in", shape, true), channel("out", shape, true), channel("raw", shape, false)];
    let ids = log.register(&channels).unwrap();
    for turn in 0..20 {
        let at = moment(NOON + turn * 1_000_000);
        let value = |place: i64| Value::Float(turn as f64 + place as f64 / 10.0);
        let sample = (0..3).map(|place| Reading { channel: ids[place as usize], at, value: value(place) });
        log.append(sample.collect()).unwrap();
    }
    log.flush().unwrap();
    let update = DeliveryUpdate { cursor: Some(48), ..DeliveryUpdate::default() };
    log.save_delivery(update, Urgency::Now).unwrap().blocking_recv().unwrap();
    let rows = log.reader().unwrap().outgoing(0, 48, 1_000).unwrap();
    let groups: Vec<Vec<Logged>> = match shape {
        Shape::Sample => rows.chunks(2).map(<[Logged]>::to_vec).collect(),
        _ => rows.into_iter().map(|row| vec![row]).collect(),
    };
    let message = |group: &Vec<Logged>| {
        let text = String::from_utf8(payload::json(group, false)).unwrap();
        (group[0].row, group[0].channel.publish.clone().unwrap().topic, text)
    };
    groups.iter().map(message).collect()
}

fn mirror(messages: &[(i64, String, String)]) -> House {
    let house = House::new();
    let log = house.open();
    let new = |(_, topic, payload): &(i64, String, String)| NewMessage {
        topic: topic.clone(),
        received: moment(NOON),
        qos: Qos::AtLeastOnce,
        retained: false,
        payload: payload.clone().into_bytes(),
        id: None,
        fields: None,
        told: Vec::new(),
    };
    let batch = MirrorBatch {
        mirror: "m".into(),
        messages: messages.iter().map(new).collect(),
        ..MirrorBatch::default()
    };
    log.store(batch).unwrap();
    house
}

fn verify(house: &House, received: Received) -> Report {
    compare(&house.log(), &received, Window::default(), &mut on).unwrap().unwrap()
}

fn figures(report: &Report) -> Vec<(String, [u64; 6])> {
    let one = |channel: &ChannelReport| {
        let ChannelReport { delivered, received, missing, repeated, changed, out_of_order, .. } = channel;
        (channel.quantity.clone(), [*delivered, *received, *missing, *repeated, *changed, *out_of_order])
    };
    report.channels.iter().map(one).collect()
}

#[test]
fn every_kind_of_trouble_is_found_in_a_mirror() {
    let house = House::new();
    let mut messages = delivered(&house, Shape::Quantity);
    let all = verify(&house, Received::Database((&mirror(&messages).log()).into()));
    assert_eq!(figures(&all), [("in".into(), [16, 16, 0, 0, 0, 0]), ("out".into(), [16, 16, 0, 0, 0, 0])]);
    assert_eq!(all.as_json()["complete"], true);

    // Of "out": 5 and 6 lost, 9 changed, 12 twice. Of "in": 3 and 2 swapped. And what nobody knows.
    let place = |messages: &[(i64, String, String)], quantity: &str, turn: i64| {
        let row = turn * 3 + if quantity == "in" { 1 } else { 2 };
        messages.iter().position(|(known, ..)| *known == row).unwrap()
    };
    let nine = place(&messages, "out", 9);
    messages[nine].2 = messages[nine].2.replace("\"value\":9.1", "\"value\":9.2");
    let twelve = messages[place(&messages, "out", 12)].clone();
    messages.push(twelve);
    let (two, three) = (place(&messages, "in", 2), place(&messages, "in", 3));
    messages.swap(two, three);
    for turn in [5, 6] {
        messages.remove(place(&messages, "out", turn));
    }
    messages.push((0, "x".into(), "no JSON".into()));
    messages.push((0, "x".into(), "{\"id\":\"00000000-3\",\"value\":1}".into()));
    messages.push((0, "x".into(), "{\"id\":\"00000000-999\",\"value\":1}".into()));
    let report = verify(&house, Received::Database((&mirror(&messages).log()).into()));
    assert_eq!(figures(&report), [("in".into(), [16, 16, 0, 0, 0, 1]), ("out".into(), [16, 14, 2, 1, 1, 0])]);
    let [gap] = report.channels[1].gaps[..] else { panic!("{:?}", report.channels[1].gaps) };
    assert_eq!((gap.first_row, gap.last_row, gap.count), (17, 20, 2));
    assert_eq!((gap.from.0, gap.to.0), (NOON + 5_000_000, NOON + 6_000_000));
    assert_eq!((report.without_identity, report.unknown, report.gone), (1, 1, 1));
    assert_eq!(report.as_json()["complete"], false);

    // A part of it: only what lies in it is missing.
    let selection =
        crate::log::query::Selection { since: Some(Timestamp(NOON + 6_000_000)), ..Default::default() };
    let window = Window { selection, topics: Some("castel/+/air/out".into()) };
    let mirrored = mirror(&messages);
    let received = Received::Database((&mirrored.log()).into());
    let part = compare(&house.log(), &received, window, &mut on).unwrap().unwrap();
    assert_eq!(figures(&part), [("out".into(), [10, 9, 1, 1, 1, 0])]);
}

#[test]
fn whole_samples_and_files_of_payloads_are_read() {
    let house = House::new();
    let messages = delivered(&house, Shape::Sample);
    let report = verify(&house, Received::Database((&mirror(&messages[1..]).log()).into()));
    assert_eq!(figures(&report), [("in".into(), [16, 15, 1, 0, 0, 0]), ("out".into(), [16, 15, 1, 0, 0, 0])]);

    let lines: Vec<String> = messages.iter().map(|(_, _, payload)| format!("{payload}\n")).collect();
    // As `mosquitto_sub -t 'castel/#'` has it: the retained messages of the status come first.
    let file = house.file("received.jsonl", &format!("online\n{{\"time\":\"x\"}}\n{}", lines[..15].concat()));
    let report = verify(&house, Received::File(file, Box::new(manner(Format::Jsonl))));
    assert_eq!((report.missing(), report.without_identity), (2, 2));
    assert!(report.by_id);

    let mut csv = "time,topic,payload\n".to_owned();
    for (_, topic, payload) in &messages {
        csv.push_str(&format!("2026-11-20T07:00:00Z,{topic},\"{}\"\n", payload.replace('"', "\"\"")));
    }
    let file = house.file("mirror.csv", &csv);
    assert_eq!(verify(&house, Received::File(file, Box::new(manner(Format::Csv)))).missing(), 0);
    // Of whole samples the identity says enough.
    let ids = messages.iter().skip(1).map(|(_, topic, payload)| {
        let id = payload.split('"').nth(3).unwrap();
        format!("2026-11-20T07:00:00Z,{topic},{id}\n")
    });
    let file = house.file("ids.csv", &format!("time,topic,id\n{}", ids.collect::<String>()));
    let report = verify(&house, Received::File(file, Box::new(manner(Format::Csv))));
    assert_eq!(figures(&report), [("in".into(), [16, 15, 1, 0, 0, 0]), ("out".into(), [16, 15, 1, 0, 0, 0])]);
    let bare = house.file("bare.csv", "time,topic\n");
    let error = compare(
        &house.log(),
        &Received::File(bare, Box::new(manner(Format::Csv))),
        Window::default(),
        &mut on,
    );
    assert!(error.unwrap_err().to_string().contains("add id to the columns"));
}

#[test]
fn an_export_and_another_log_are_compared_by_time_and_value() {
    let house = House::new();
    delivered(&house, Shape::Quantity);
    let export = |change: &dyn Fn(usize, String) -> Option<String>| {
        let mut text = "time,device,sensor,quantity,value,unit\n".to_owned();
        for (place, line) in house.readings().iter().enumerate() {
            let words: Vec<&str> = line.split(' ').collect();
            let record = words[..6].join(",");
            text.extend(change(place, record).map(|record| record + "\n"));
        }
        house.file("export.csv", &text)
    };
    let manner = || Box::<Manner>::new(manner(Format::Csv));
    let all = verify(&house, Received::File(export(&|_, record| Some(record)), manner()));
    assert_eq!(figures(&all), [("in".into(), [16, 16, 0, 0, 0, 0]), ("out".into(), [16, 16, 0, 0, 0, 0])]);
    assert_eq!((all.not_published, all.early, all.unknown), (20, 8, 0));
    assert_eq!(all.as_json()["out_of_order"], serde_json::Value::Null);
    let some = verify(
        &house,
        Received::File(
            export(&|place, record| match place {
                0 => None,
                4 => Some(record.replace(",1.1,", ",7,")),
                6 => Some(format!("{record}\n{record}")),
                _ => Some(record),
            }),
            manner(),
        ),
    );
    assert_eq!(figures(&some), [("in".into(), [16, 15, 1, 1, 0, 0]), ("out".into(), [16, 16, 0, 0, 1, 0])]);

    // Another log, into which the first was imported.
    let other = House::new();
    let file = other.file("x.csv", &std::fs::read_to_string(export(&|_, record| Some(record))).unwrap());
    other.import(&file, &manner());
    assert_eq!(verify(&house, Received::Database((&other.log()).into())).missing(), 0);
    let reader = Reader::open(&house.log()).unwrap();
    assert_eq!(reader.delivery().unwrap().cursor, 48, "nothing was changed");
}

#[test]
fn a_log_is_not_compared_with_itself() {
    let house = House::new();
    let messages = delivered(&house, Shape::Quantity);
    let own = Received::Database((&house.log()).into());
    let none = compare(&house.log(), &own, Window::default(), &mut on);
    assert!(none.unwrap_err().to_string().contains("mirrors nothing of its own"));

    let log = house.open();
    let (_, topic, payload) = messages[0].clone();
    let first = NewMessage {
        topic,
        received: moment(NOON),
        qos: Qos::AtLeastOnce,
        retained: false,
        payload: payload.into_bytes(),
        id: None,
        fields: None,
        told: Vec::new(),
    };
    let batch = MirrorBatch { mirror: "m".into(), messages: vec![first], ..MirrorBatch::default() };
    log.store(batch).unwrap();
    log.close().unwrap();
    assert_eq!(verify(&house, own.clone()).missing(), 31);
    // What it mirrors is outside this time: nothing was delivered in it, and nothing is missing.
    let selection = crate::log::query::Selection { since: Some(Timestamp(i64::MAX)), ..Default::default() };
    let window = Window { selection, topics: None };
    let later = compare(&house.log(), &own, window, &mut on).unwrap().unwrap();
    assert_eq!((later.missing(), later.channels.len()), (0, 0));
}
