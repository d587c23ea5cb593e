//! A Sparkplug host as small as can be: it believes nothing that a birth has not said, and notes every break of the
//! rules (Eclipse Sparkplug 3.0.0). Its decoder is its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::support::wire::{Packet, Wire};

/// What a metric says.
#[derive(Debug, Clone, PartialEq)]
pub enum Says {
    Null,
    Number(f64),
    Truth(bool),
    Text(String),
}

/// One metric of one DDATA.
#[derive(Debug, Clone)]
pub struct Datum {
    pub device: String,
    pub name: String,
    pub historical: bool,
    pub says: Says,
}

/// What the host knows of the node.
pub struct Host {
    wire: Wire,
    /// Topics in the order of arrival.
    pub topics: Vec<String>,
    /// bdSeq of each NBIRTH and each NDEATH.
    pub births: Vec<u64>,
    pub deaths: Vec<u64>,
    pub online: bool,
    /// Metrics that a DBIRTH has named, with what they said last (history not counted).
    pub devices: BTreeMap<String, BTreeMap<String, Says>>,
    pub data: Vec<Datum>,
    /// What was against the rules.
    pub faults: Vec<String>,
    seq: u64,
}

impl Host {
    pub fn connect(port: u16) -> Self {
        let (mut wire, _) = Wire::connect(port, "host", true).unwrap();
        wire.subscribe("spBv1.0/G/#", 0).unwrap();
        Self {
            wire,
            topics: Vec::new(),
            births: Vec::new(),
            deaths: Vec::new(),
            online: false,
            devices: BTreeMap::new(),
            data: Vec::new(),
            faults: Vec::new(),
            seq: 0,
        }
    }

    /// The broker has died: a new connection, with all that is known.
    pub fn reconnect(&mut self, port: u16) {
        self.wire = Self::connect(port).wire;
        self.online = false;
    }

    /// Listens until this is so.
    #[track_caller]
    pub fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let end = Instant::now() + crate::SOON;
        while !holds(self) {
            assert!(Instant::now() < end, "waited in vain: {what}; {:?}\n{:?}", self.faults, self.topics);
            self.listen(Duration::from_millis(200));
        }
    }

    /// Takes what comes until nothing has come for so long.
    pub fn listen(&mut self, limit: Duration) {
        while let Some(packet) = self.wire.receive(limit).unwrap() {
            if let Packet::Publish { topic, payload, retain, .. } = packet {
                assert!(!retain, "{topic} was retained");
                self.heard(topic, &payload);
            }
            if limit > Duration::from_millis(100) {
                return;
            }
        }
    }

    /// Writes a metric: 14 is the field of truth values, 11 of whole numbers (section 6.4.6).
    pub fn write(&mut self, topic: &str, metric: &str, field: u8, value: u8) {
        let mut inside = vec![0x0a, u8::try_from(metric.len()).unwrap()];
        inside.extend(metric.as_bytes());
        inside.extend([field << 3, value]);
        let mut payload = vec![0x08, 1, 0x12, u8::try_from(inside.len()).unwrap()];
        payload.extend(inside);
        self.wire.publish(topic, &payload, 0, 0, false);
        self.wire.flush().unwrap();
    }

    fn fault(&mut self, what: String) {
        self.faults.push(what);
    }

    fn heard(&mut self, topic: String, payload: &[u8]) {
        let levels: Vec<&str> = topic.split('/').collect();
        let (kind, device) = (levels[2], levels.get(4).map_or("", |device| *device));
        if kind.ends_with("CMD") {
            return;
        }
        assert_eq!(levels[3], "pi", "{topic}");
        let message = Message::of(payload);
        let bd_seq = message.metrics.iter().find(|metric| metric.name == "bdSeq").map(|metric| metric.whole);
        match kind {
            "NDEATH" => {
                if message.seq.is_some() || message.metrics.len() != 1 {
                    self.fault(format!("an NDEATH says more than bdSeq: {message:?}"));
                }
                let bd_seq = bd_seq.expect("a bdSeq in the NDEATH");
                self.deaths.push(bd_seq);
                // A death of an earlier session does not count.
                self.online &= self.births.last() != Some(&bd_seq);
            }
            "NBIRTH" => {
                if message.seq != Some(0) {
                    self.fault(format!("an NBIRTH with the number {:?}", message.seq));
                }
                self.births.push(bd_seq.expect("a bdSeq in the NBIRTH"));
                (self.seq, self.online) = (0, true);
                self.devices.clear();
            }
            _ => {
                self.seq = (self.seq + 1) % 256;
                if message.seq != Some(self.seq) {
                    self.fault(format!("{topic}: the number {:?} instead of {}", message.seq, self.seq));
                    self.seq = message.seq.unwrap_or(0);
                }
                if !self.online {
                    self.fault(format!("{topic} while the node is dead"));
                }
                self.of_device(kind, device, message);
            }
        }
        self.topics.push(topic);
    }

    fn of_device(&mut self, kind: &str, device: &str, message: Message) {
        match kind {
            "DBIRTH" => {
                let untyped = message.metrics.iter().find(|metric| metric.datatype == 0);
                if let Some(metric) = untyped {
                    self.fault(format!("{device}: {} is born without a type", metric.name));
                }
                let metrics = message.metrics.into_iter().map(|metric| (metric.name, metric.says));
                self.devices.insert(device.to_owned(), metrics.collect());
            }
            "DDEATH" => {
                self.devices.remove(device);
            }
            "DDATA" => {
                for metric in message.metrics {
                    let known =
                        self.devices.get_mut(device).and_then(|metrics| metrics.get_mut(&metric.name));
                    match known {
                        None => self.fault(format!("{device}: no birth has named {}", metric.name)),
                        Some(_) if metric.historical => {}
                        Some(says) => *says = metric.says.clone(),
                    }
                    let Metric { name, historical, says, .. } = metric;
                    self.data.push(Datum { device: device.to_owned(), name, historical, says });
                }
            }
            other => self.fault(format!("{other}: what is that?")),
        }
    }

    /// The numbers that a metric has said, from this datum on; only history, or only what is new.
    pub fn numbers(&self, device: &str, name: &str, from: usize, historical: bool) -> BTreeSet<i64> {
        let fits =
            |datum: &&Datum| datum.device == device && datum.name == name && datum.historical == historical;
        let number = |datum: &Datum| match datum.says {
            Says::Number(number) => Some(number as i64),
            _ => None,
        };
        self.data[from..].iter().filter(fits).filter_map(number).collect()
    }
}

#[derive(Debug)]
struct Message {
    seq: Option<u64>,
    metrics: Vec<Metric>,
}

#[derive(Debug)]
struct Metric {
    name: String,
    datatype: u64,
    historical: bool,
    whole: u64,
    says: Says,
}

impl Message {
    fn of(mut bytes: &[u8]) -> Self {
        let mut message = Self { seq: None, metrics: Vec::new() };
        while let Some((field, number, inside)) = next(&mut bytes) {
            match field {
                2 => message.metrics.push(Metric::of(inside)),
                3 => message.seq = Some(number),
                _ => {}
            }
        }
        message
    }
}

impl Metric {
    fn of(mut bytes: &[u8]) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut metric =
            Self { name: String::new(), datatype: 0, historical: false, whole: 0, says: Says::Null };
        while let Some((field, number, inside)) = next(&mut bytes) {
            match field {
                1 => metric.name = text(inside),
                4 => metric.datatype = number,
                5 => metric.historical = number == 1,
                11 => (metric.whole, metric.says) = (number, Says::Number(number as i64 as f64)),
                13 => metric.says = Says::Number(f64::from_bits(number)),
                14 => metric.says = Says::Truth(number == 1),
                15 => metric.says = Says::Text(text(inside)),
                _ => {}
            }
        }
        metric
    }
}

/// Number, value and content of the next field.
fn next<'a>(bytes: &mut &'a [u8]) -> Option<(u64, u64, &'a [u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let end = bytes.iter().position(|byte| *byte < 128).unwrap();
        let (number, rest) = bytes.split_at(end + 1);
        *bytes = rest;
        number.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 127))
    }
    fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
        let (taken, rest) = bytes.split_at(count);
        *bytes = rest;
        taken
    }
    if bytes.is_empty() {
        return None;
    }
    let key = varint(bytes);
    let (number, inside) = match key & 7 {
        0 => (varint(bytes), &[][..]),
        1 => (u64::from_le_bytes(take(bytes, 8).try_into().unwrap()), &[][..]),
        2 => {
            let length = usize::try_from(varint(bytes)).unwrap();
            (0, take(bytes, length))
        }
        other => panic!("wire type {other}"),
    };
    Some((key >> 3, number, inside))
}
