//! `sensors`: ids, drivers, addresses, and where their readings go.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::super::amount::format_duration;
use super::super::model::{Device, Sensor};
use super::super::problem::{KeyPath, Report, quoted};
use super::super::raw;
use super::super::topic::{Template, check_level, check_topic};
use super::mqtt::{Publishing, qos};
use super::topics::{Owner, Topics};
use super::{DAY, duration, quantity};
use crate::platform::percent_encoded;
use crate::reading::{BRIDGE, Channel, Publish, Qos, STATE, SensorId, Shape, ValueKind};
use crate::sensor::registry::DriverKind;
use crate::sensor::{Attachment, Driver};

/// What the checks of all sensors share.
pub(super) struct House<'a> {
    device: &'a Device,
    publishing: Option<&'a Publishing>,
    drivers: &'a [DriverKind],
    /// The configuration's own.
    folder: Option<&'a Path>,
    topics: Topics,
    /// Places taken so far, and by whom.
    seats: Vec<(Attachment, String)>,
}

/// How one sensor (or one quantity of it) is published.
#[derive(Clone)]
pub(super) struct Delivery {
    pub(super) topic: Template,
    /// The key that says so, for messages.
    pub(super) topic_path: KeyPath,
    pub(super) shape: Shape,
    /// The shape of pictures, which never share a message.
    pub(super) picture: Shape,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) buffer: bool,
}

impl Delivery {
    /// For what stands beside pictures: their topic is theirs alone, so that whoever subscribes to it gets
    /// pictures and nothing else.
    fn beside_pictures(self) -> Self {
        match self.topic.has_quantity() {
            true => self,
            false => Self { topic: self.topic.below(), shape: Shape::Quantity, ..self },
        }
    }
}

/// The shape of a picture's message.
pub(super) fn picture(format: raw::Format) -> Shape {
    match format {
        raw::Format::Json => Shape::Quantity,
        raw::Format::Base64 => Shape::Base64,
        raw::Format::Binary => Shape::Binary,
    }
}

/// What a channel is about.
pub(super) struct Subject<'a> {
    pub(super) sensor: &'a SensorId,
    pub(super) quantity: crate::reading::Quantity,
    pub(super) unit: String,
    pub(super) kind: ValueKind,
}

impl<'a> House<'a> {
    pub(super) fn new(
        device: &'a Device,
        publishing: Option<&'a Publishing>,
        drivers: &'a [DriverKind],
        folder: Option<&'a Path>,
    ) -> Self {
        let mut topics = Topics::default();
        if let Some(topic) = publishing.and_then(|publishing| publishing.status_topic.as_ref()) {
            topics.claim_status(topic);
        }
        Self { device, publishing, drivers, folder, topics, seats: Vec::new() }
    }

    /// The channel of the bridge's own gap records.
    pub(super) fn gap_channel(&mut self, report: &mut Report) -> Channel {
        let sensor = SensorId::from(BRIDGE);
        let delivery = self.delivery(None, &KeyPath::default(), report);
        let path = delivery.as_ref().map(|delivery| delivery.topic_path.clone()).unwrap_or_default();
        let subject = Subject {
            sensor: &sensor,
            quantity: "lost".into(),
            unit: "readings".into(),
            kind: ValueKind::Integer,
        };
        self.channel(subject, delivery.as_ref(), &path, report)
    }

    /// Checks all sensors; answers those that run, each with its place in the file, and the ids of those switched off.
    pub(super) fn sensors(
        &mut self,
        raw: Vec<raw::Sensor>,
        path: &KeyPath,
        report: &mut Report,
    ) -> (Vec<Sensor>, Vec<KeyPath>, Vec<String>) {
        let (mut sensors, mut places, mut disabled) = (Vec::new(), Vec::new(), Vec::new());
        let mut ids = HashMap::new();
        for (index, raw) in raw.into_iter().enumerate() {
            let path = path.index(index);
            let id = id(raw.id.as_deref(), index, &mut ids, &path, report);
            let enabled = raw.enabled.unwrap_or(true);
            let place =
                ["address", "pin", "expander", "port"].into_iter().find(|key| raw.options.contains_key(*key));
            let Some(sensor) = self.sensor(raw, &id, &path, report) else { continue };
            if !enabled {
                disabled.push(id.as_str().to_owned());
                continue;
            }
            let at = place.map_or_else(|| path.clone(), |key| path.key(key));
            let who = format!("sensor {}", quoted(sensor.id.as_str()));
            self.seat(sensor.driver.attachment(), who, &at, report);
            sensors.push(sensor);
            places.push(path);
        }
        (sensors, places, disabled)
    }

    fn sensor(
        &mut self,
        raw: raw::Sensor,
        id: &SensorId,
        path: &KeyPath,
        report: &mut Report,
    ) -> Option<Sensor> {
        let interval =
            duration(raw.interval.as_ref(), Duration::from_millis(10), DAY, &path.key("interval"), report)
                .unwrap_or(Duration::from_secs(10));
        let given =
            duration(raw.timeout.as_ref(), Duration::from_millis(10), DAY, &path.key("timeout"), report);
        let delivery = self.delivery(Some(&raw), path, report);
        let driver = self.driver(raw.driver.as_deref(), &raw.options, path, report);
        let longest = driver.as_ref().map_or(Duration::ZERO, |(driver, _)| driver.longest_read());
        let timeout = given.unwrap_or(longest + Duration::from_secs(5));
        if timeout < longest {
            let longest = format_duration(longest);
            let message =
                format!("is shorter than a reading may take by the driver's own limits ({longest})");
            report.warn(&path.key("timeout"), message);
        }
        let format = raw.format;
        // A sensor switched off speaks on no topic; whatever is wrong with it is worth knowing all the same.
        let aside = (!raw.enabled.unwrap_or(true)).then(|| std::mem::take(&mut self.topics));
        let sensor = driver.map(|(driver, options)| {
            let raw_quantities = raw.quantities.unwrap_or_default();
            let quantities = quantity::check(
                raw_quantities,
                &*driver,
                quantity::Of { id, interval, delivery: delivery.as_ref(), publishing: self.publishing },
                self,
                &path.key("quantities"),
                report,
            );
            let pictures = driver.quantities().iter().any(|info| info.kind == ValueKind::Image);
            if format.is_some() && !pictures {
                let hint = "leave it out: only pictures have a choice".to_owned();
                report.suggest(&path.key("format"), "the sensor takes no pictures", Some(hint));
            }
            let delivery = if pictures && !self.laid_down() {
                delivery.map(Delivery::beside_pictures)
            } else {
                delivery
            };
            let state =
                Subject { sensor: id, quantity: STATE.into(), unit: String::new(), kind: ValueKind::Text };
            let state = self.channel(state, delivery.as_ref(), path, report);
            Sensor {
                id: id.clone(),
                driver,
                options: Arc::new(options),
                interval,
                timeout,
                quantities,
                state,
            }
        });
        if let Some(topics) = aside {
            self.topics = topics;
        }
        sensor
    }

    /// The driver with its options, and those; `None` when it or they were wrong.
    fn driver(
        &self,
        name: Option<&str>,
        options: &Map<String, Value>,
        path: &KeyPath,
        report: &mut Report,
    ) -> Option<(Arc<dyn Driver>, Map<String, Value>)> {
        // An unknown name has not passed the shape check, so a missing kind was reported there.
        let kind = self.drivers.iter().find(|kind| Some(kind.name) == name)?;
        let mut options = options.clone();
        if let Some(folder) = self.folder {
            options.iter_mut().for_each(|(key, value)| beside(folder, key, value));
        }
        let problems = match (kind.configure)(&options) {
            Ok(driver) => return Some((driver, options)),
            Err(problems) => problems,
        };
        report.options(path, problems);
        None
    }

    /// Two devices cannot sit in one place.
    pub(super) fn seat(&mut self, attachment: Attachment, who: String, path: &KeyPath, report: &mut Report) {
        if let Some(pin) = attachment.header_pin()
            && let Some(bus) = bus_of_pin(pin)
        {
            report.warn(
                path,
                format!("pin {pin} belongs to {bus}: it is free only while that is switched off"),
            );
        }
        let clash = self.seats.iter().find_map(|(other, who)| Some((attachment.clash(other)?, who)));
        match clash {
            Some((place, first)) => {
                report.suggest(
                    path,
                    format!("{place} is taken by {first}"),
                    Some(own_place(&attachment).into()),
                );
            }
            // What conflicts with nothing need not be looked at again and again.
            None if matches!(attachment, Attachment::Worker(_)) => {}
            None => self.seats.push((attachment, who)),
        }
    }

    /// How a sensor is published: its own keys, and for the rest those of `mqtt`.
    pub(super) fn delivery(
        &self,
        own: Option<&raw::Sensor>,
        path: &KeyPath,
        report: &mut Report,
    ) -> Option<Delivery> {
        let common = self.publishing?;
        let topic_path = path.key("topic");
        let topic = own.and_then(|own| own.topic.as_deref());
        let topic = topic.and_then(|text| common.own_topic(text, &topic_path, report));
        let (topic, topic_path) = match topic {
            Some(topic) => (topic, topic_path),
            None => (common.topic.clone(), common.topic_path.clone()),
        };
        Some(Delivery {
            shape: if topic.has_quantity() { Shape::Quantity } else { Shape::Sample },
            picture: own.and_then(|own| own.format).map_or(common.picture, picture),
            topic,
            topic_path,
            qos: own.and_then(|own| qos(own.qos)).unwrap_or(common.qos),
            retain: own.and_then(|own| own.retain).unwrap_or(common.retain),
            buffer: own.and_then(|own| own.buffer).unwrap_or(common.buffer),
        })
    }

    /// A channel with its topic filled in and taken. `path` is where a clash is reported.
    pub(super) fn channel(
        &mut self,
        subject: Subject<'_>,
        delivery: Option<&Delivery>,
        path: &KeyPath,
        report: &mut Report,
    ) -> Channel {
        let publish = delivery.map(|delivery| self.publish(&subject, delivery, path, report));
        Channel {
            device: self.device.id.clone(),
            sensor: subject.sensor.clone(),
            quantity: subject.quantity,
            unit: subject.unit,
            kind: subject.kind,
            publish,
            place: self.device.place.clone(),
        }
    }

    fn publish(
        &mut self,
        subject: &Subject<'_>,
        delivery: &Delivery,
        path: &KeyPath,
        report: &mut Report,
    ) -> Publish {
        let (sensor, quantity) = (subject.sensor.as_str(), subject.quantity.as_str());
        let topic = match self.publishing.is_some_and(|common| common.encoded) {
            true => {
                delivery.topic.fill(&self.device.id, &percent_encoded(sensor), &percent_encoded(quantity))
            }
            false => delivery.topic.fill(&self.device.id, sensor, quantity),
        };
        // The template is sound; long names can still make it too long.
        if let Err(why) = check_topic(&topic)
            && !self.laid_down()
        {
            report.problem(&delivery.topic_path, format!("for {sensor}/{quantity}: {why}"));
        }
        let late_topic = self.late_topic(subject, delivery.shape, report);
        let publish = Publish {
            topic,
            late_topic,
            qos: delivery.qos,
            retain: delivery.retain,
            shape: delivery.shape,
            format: self.publishing.and_then(|common| common.format.clone()),
            buffer: delivery.buffer,
        };
        // A platform tells what shares a topic apart.
        if !self.laid_down() {
            self.topics.claim(&publish, Owner::new(sensor, quantity), path, report);
        }
        publish
    }

    /// Whether a platform lays down the topics.
    fn laid_down(&self) -> bool {
        self.publishing.is_some_and(|common| common.laid_down.is_some())
    }

    fn late_topic(&self, subject: &Subject<'_>, shape: Shape, report: &mut Report) -> Option<String> {
        let common = self.publishing?;
        let template = common.late_topic.as_ref()?;
        if shape == Shape::Sample && template.has_quantity() && !report.has_problem_at(&common.late_path) {
            let message =
                format!("has {{quantity}}, but {} publishes whole samples of several", subject.sensor);
            let hint = "leave {quantity} out here, or add it to the topic of the readings".to_owned();
            report.suggest(&common.late_path, message, Some(hint));
        }
        Some(template.fill(&self.device.id, subject.sensor.as_str(), subject.quantity.as_str()))
    }

    /// To be called when all topics are taken.
    pub(super) fn late_topics(&self, report: &mut Report) {
        if let Some(publishing) = self.publishing {
            self.topics.check_late(&publishing.late_path, report);
        }
    }
}

/// Recordings (`file: day.csv`, `replay: day.csv`, `bus: replay:air.jsonl`) that are not named absolutely are beside the
/// configuration, wherever the program was started.
fn beside(folder: &Path, key: &str, value: &mut Value) {
    match value {
        Value::Object(below) => below.iter_mut().for_each(|(key, value)| beside(folder, key, value)),
        Value::String(file) if matches!(key, "file" | "replay") => {
            *file = folder.join(&*file).to_string_lossy().into_owned();
        }
        Value::String(bus) if key == "bus" => {
            if let Some(file) = bus.strip_prefix("replay:").filter(|file| !file.is_empty()) {
                *bus = format!("replay:{}", folder.join(file).display());
            }
        }
        _ => {}
    }
}

/// The sensor's id, or a stand-in when it is missing or wrong (which is reported).
fn id(
    given: Option<&str>,
    index: usize,
    ids: &mut HashMap<String, usize>,
    path: &KeyPath,
    report: &mut Report,
) -> SensorId {
    let stand_in = || SensorId::from(format!("sensor-{index}"));
    let path = path.key("id");
    let Some(id) = given else { return stand_in() };
    if let Err(why) = check_level(id) {
        report.problem(&path, why);
        return stand_in();
    }
    if id == BRIDGE {
        report.problem(&path, format!("\"{BRIDGE}\" is the name under which the bridge speaks of itself"));
        return stand_in();
    }
    if let Some(first) = ids.get(id) {
        report.problem(&path, format!("{} is the id of sensors[{first}] already", quoted(id)));
        return stand_in();
    }
    ids.insert(id.to_owned(), index);
    SensorId::from(id)
}

/// The bus whose signal a pin of the header carries when that bus is switched on.
fn bus_of_pin(pin: u8) -> Option<&'static str> {
    match pin {
        0 | 1 => Some("i2c-0, on which the firmware looks for a HAT"),
        2 | 3 => Some("i2c-1"),
        7..=11 => Some("SPI"),
        14 | 15 => Some("the serial port"),
        _ => None,
    }
}

/// What each has for itself in such a place.
fn own_place(attachment: &Attachment) -> &'static str {
    match attachment {
        Attachment::I2c { .. } | Attachment::Expander { .. } => "each device on a bus has its own address",
        Attachment::Spi { .. } => "each device has a chip select of its own: spi-0.0, spi-0.1",
        Attachment::Serial { .. } => "a port serves one device",
        Attachment::Gpio { .. } | Attachment::Worker(_) | Attachment::Alone(_) => {
            "each sensor or output has its own pin"
        }
    }
}
