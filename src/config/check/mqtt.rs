//! `mqtt`: broker, credentials, and how readings are published unless a sensor says otherwise.

use std::time::Duration;

use super::super::SecretPlaces;
use super::super::model::{Backlog, Chosen, Device, Mqtt, MqttVersion};
use super::super::problem::{KeyPath, Report};
use super::super::raw::{self, NumberOrText};
use super::super::topic::{Template, check_level, check_topic};
use super::broker::{broker, headers, proxy};
use super::credentials::credentials;
use super::integrity;
use super::tls::tls;
use super::{SECOND, duration, size};
use crate::reading::{Format, Qos, Shape};

const DEFAULT_TOPIC: &str = "sensors/{device}/{sensor}/{quantity}";

/// Largest packet that MQTT can carry: its length has four bytes of seven bits, and a header of up to five
/// bytes stands before it (MQTT 2.2.3).
const LARGEST_PACKET: u64 = 268_435_455;

/// Room for a 20 MB image or mirrored payload; the library only allocates what arrives.
const DEFAULT_PACKET: u32 = 32_000_000;

/// How readings are published unless a sensor or quantity says otherwise.
pub(super) struct Publishing {
    pub(super) topic: Template,
    pub(super) topic_path: KeyPath,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) buffer: bool,
    pub(super) late_topic: Option<Template>,
    pub(super) late_path: KeyPath,
    /// `None`: the platform has no place for it.
    pub(super) status_topic: Option<String>,
    /// The platform, if it lays down the topics.
    pub(super) laid_down: Option<&'static str>,
    pub(super) picture_topic: Option<Template>,
    /// The platform has no place for pictures.
    pub(super) no_pictures: Option<&'static str>,
    /// What is filled into topics is percent-encoded.
    pub(super) encoded: bool,
    /// The shape of pictures unless a sensor says otherwise.
    pub(super) picture: Shape,
    pub(super) format: Option<Format>,
}

impl Publishing {
    /// The topic that a sensor or quantity wants of its own.
    pub(super) fn own_topic(&self, text: &str, path: &KeyPath, report: &mut Report) -> Option<Template> {
        if let Some(platform) = self.laid_down {
            let message = format!("cannot be chosen: {platform} lays down the topics");
            report.suggest(path, message, Some("leave it out".to_owned()));
            return None;
        }
        template(text, path, report)
    }
}

/// The publishing half of the section; `None` when there is no broker.
pub(super) fn publishing(
    raw: Option<&raw::Mqtt>,
    chosen: Option<&Chosen>,
    device: &str,
    path: &KeyPath,
    report: &mut Report,
) -> Option<Publishing> {
    let raw = raw?;
    let rules = chosen.map(|chosen| chosen.platform.rules());
    let topic_path = path.key("topic");
    let ruled = rules.as_ref().and_then(|rules| rules.topic.as_deref());
    let text = raw.topic.as_deref().unwrap_or(DEFAULT_TOPIC);
    let own = ruled.is_none().then(|| template(text, &topic_path, report)).flatten();
    let topic = ruled.and_then(|text| Template::parse(text).ok()).or(own).filter(|topic| {
        if ruled.is_some() {
            return true;
        }
        if !topic.has_sensor() {
            let message = "must contain {sensor}, or all sensors would share one topic";
            let hint = "a topic for one sensor only goes under that sensor".to_owned();
            report.suggest(&topic_path, message, Some(hint));
        }
        topic.has_sensor()
    });
    let late_path = path.key("late_topic");
    let late_topic = raw.late_topic.as_deref().and_then(|text| template(text, &late_path, report));
    let status_path = path.key("status_topic");
    let no_status = rules.as_ref().is_some_and(|rules| rules.no_status);
    let status_topic =
        (!no_status).then(|| status_topic(raw.status_topic.as_deref(), text, device, &status_path, report));
    let template = |text: &Option<String>| text.as_deref().and_then(|text| Template::parse(text).ok());
    // The default is a valid template; the match only spares an unwrap.
    let topic = match topic {
        Some(topic) => topic,
        None => Template::parse(DEFAULT_TOPIC).ok()?,
    };
    Some(Publishing {
        topic,
        topic_path,
        qos: qos(raw.qos).unwrap_or_else(|| super::platform::default_qos(rules.as_ref())),
        retain: raw.retain.unwrap_or(false),
        buffer: raw.buffer.unwrap_or(true),
        late_topic,
        late_path,
        status_topic,
        laid_down: chosen.filter(|_| ruled.is_some()).map(|chosen| chosen.platform.name()),
        picture_topic: rules.as_ref().and_then(|rules| template(&rules.picture_topic)),
        no_pictures: chosen
            .filter(|_| rules.as_ref().is_some_and(|rules| rules.no_pictures))
            .map(|chosen| chosen.platform.name()),
        encoded: rules.as_ref().is_some_and(|rules| rules.encoded),
        picture: rules.as_ref().and_then(|rules| rules.picture).unwrap_or(Shape::Quantity),
        format: rules.as_ref().and_then(|rules| rules.format.clone()),
    })
}

/// A template whose text is sound whatever is filled in.
pub(super) fn template(text: &str, path: &KeyPath, report: &mut Report) -> Option<Template> {
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(error) => {
            report.suggest(path, error.message, error.suggestion);
            return None;
        }
    };
    // Names are checked where they are given, so any will do here.
    if let Err(why) = check_topic(&template.fill("d", "s", "q")) {
        report.problem(path, why);
        return None;
    }
    Some(template)
}

/// The level as written (the schema has checked its range).
pub(super) fn qos(level: Option<u8>) -> Option<Qos> {
    Qos::try_from(i64::from(level?)).ok()
}

fn status_topic(
    given: Option<&str>,
    topic: &str,
    device: &str,
    path: &KeyPath,
    report: &mut Report,
) -> String {
    let Some(text) = given else {
        let first = topic.split('/').next().unwrap_or_default().replace("{device}", device);
        // `{sensor}/…` has no first part that belongs to the bridge.
        let first = if check_level(&first).is_ok() { first } else { "sensor-bridge".to_owned() };
        return format!("{first}/{device}/status");
    };
    let Some(template) = template(text, path, report) else { return String::new() };
    if template.has_sensor() || template.has_quantity() {
        report.problem(path, "cannot contain {sensor} or {quantity}: it speaks of the whole device");
    }
    template.fill(device, "sensor", "quantity")
}

/// The connecting half of the section; `None` when the broker is not known.
pub(super) fn check(
    mut raw: raw::Mqtt,
    chosen: Option<Chosen>,
    device: &Device,
    status_topic: Option<String>,
    places: &SecretPlaces,
    path: &KeyPath,
    report: &mut Report,
) -> Option<Mqtt> {
    super::platform::lay_down(&mut raw, chosen.as_ref(), path, report);
    let rules = chosen.as_ref().map(|chosen| chosen.platform.rules()).unwrap_or_default();
    // What a platform that is wrong would make of a password nobody knows.
    let secret_username = rules.secret_username || (chosen.is_none() && raw.platform.is_some());
    let credentials = credentials(&raw, secret_username, places, path, report);
    let backlog = backlog(&raw, path, report);
    let keep_alive =
        duration(raw.keep_alive.as_ref(), 5 * SECOND, 65_535 * SECOND, &path.key("keep_alive"), report)
            .unwrap_or(Duration::from_secs(30));
    if keep_alive.subsec_nanos() != 0 {
        report.problem(&path.key("keep_alive"), "must be whole seconds: MQTT knows no fractions");
    }
    if let Some(chosen) = &chosen {
        super::platform::keep_alive(
            keep_alive,
            &rules,
            chosen.platform.name(),
            &path.key("keep_alive"),
            report,
        );
        if let Some(topic) = &status_topic {
            super::platform::status_topic(topic, chosen, &path.key("status_topic"), report);
        }
    }
    let max_packet_size =
        size(raw.max_packet_size.as_ref(), 1_000, LARGEST_PACKET, &path.key("max_packet_size"), report)
            .and_then(|bytes| u32::try_from(bytes).ok());
    let mut broker = broker(raw.url.as_deref(), &path.key("url"), report);
    let tls = tls(raw.tls.as_ref(), broker.as_ref(), places, &path.key("tls"), report);
    let headers = headers(raw.headers.as_ref(), broker.as_ref(), &path.key("headers"), report);
    let proxy = proxy(&raw, places, path, report);
    if let Some(broker) = &mut broker {
        (broker.tls, broker.headers, broker.proxy) = (tls, headers, proxy);
        if let Some(chosen) = &chosen {
            super::platform::broker(broker, chosen, &path.key("url"), report);
        }
    }
    Some(Mqtt {
        client_id: client_id(raw.client_id, &device.id, &path.key("client_id"), report),
        version: match rules.v5 {
            Some(true) => MqttVersion::V5,
            Some(false) => MqttVersion::V311,
            None => version(raw.version.as_ref()),
        },
        credentials,
        keep_alive,
        backlog,
        window: raw.window.unwrap_or(100),
        max_packet_size: max_packet_size.unwrap_or(DEFAULT_PACKET),
        max_payload: rules.max_payload,
        rate: rules.rate,
        pace: rules.pace,
        clean: rules.clean,
        status_topic,
        integrity: integrity::carried(raw.integrity.as_ref(), places, &path.key("integrity"), report),
        pseudonym: device.pseudonym.clone(),
        platform: chosen,
        broker: broker?,
    })
}

fn client_id(given: Option<String>, device: &str, path: &KeyPath, report: &mut Report) -> String {
    // Room for `-<mirror id>` below what MQTT can carry, and well above what brokers take.
    const LONGEST: usize = 1_000;
    match given {
        None => format!("sensor-bridge-{device}"),
        Some(id) => {
            if id.is_empty() || id.len() > LONGEST || id.chars().any(char::is_control) {
                report.problem(path, format!("must be 1 to {LONGEST} bytes without control characters"));
            }
            id
        }
    }
}

pub(super) fn version(given: Option<&NumberOrText>) -> MqttVersion {
    // The protocol's own level number of 3.1.1 is 4, and some tools name it so.
    match given {
        Some(NumberOrText::Number(number)) if *number == 5.0 => MqttVersion::V5,
        Some(NumberOrText::Text(text)) if text == "5" || text == "5.0" => MqttVersion::V5,
        _ => MqttVersion::V311,
    }
}

fn backlog(raw: &raw::Mqtt, path: &KeyPath, report: &mut Report) -> Backlog {
    let rate = raw.late_rate.as_ref().and_then(|rate| late_rate(rate, &path.key("late_rate"), report));
    match raw.backlog {
        Some(raw::Backlog::LiveFirst) => Backlog::LiveFirst { rate: rate.unwrap_or(50) },
        other => {
            let given = [("late_topic", raw.late_topic.is_some()), ("late_rate", raw.late_rate.is_some())];
            let unknown = other.is_none() && report.has_problem_at(&path.key("backlog"));
            for (key, _) in given.iter().filter(|(_, is_given)| *is_given && !unknown) {
                let hint = "it goes with `backlog: live-first`".to_owned();
                report.suggest(&path.key(key), "means nothing here", Some(hint));
            }
            Backlog::InOrder
        }
    }
}

fn late_rate(rate: &NumberOrText, path: &KeyPath, report: &mut Report) -> Option<u32> {
    let rate = match rate {
        NumberOrText::Number(number) => Some(*number as u32),
        NumberOrText::Text(text) => text
            .split_once('/')
            .filter(|(_, unit)| unit.trim() == "s")
            .and_then(|(n, _)| n.trim().parse().ok()),
    };
    match rate {
        Some(rate @ 1..=100_000) => Some(rate),
        _ => {
            let message = "must be a number of messages per second between 1 and 100000";
            report.suggest(path, message, Some("write for example 50 or \"50/s\"".into()));
            None
        }
    }
}
