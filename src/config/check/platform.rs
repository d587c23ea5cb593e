//! `mqtt.platform`: its options, and whether the rest of the configuration keeps its rules.

use std::time::Duration;

use super::super::amount::format_duration;
use super::super::model::{Broker, Chosen, MqttVersion, Transport, facts_topic};
use super::super::problem::{KeyPath, Report, quoted};
use super::super::raw;
use crate::platform::{self, Rules};
use crate::reading::{Channel, Publish, Qos};

/// The platform with its rules, if there is one and nothing is wrong with its keys.
pub(super) fn platform(
    raw: Option<&raw::Mqtt>,
    device: &str,
    path: &KeyPath,
    report: &mut Report,
) -> Option<Chosen> {
    let raw = raw?.platform.as_ref()?;
    // An unknown name has not passed the shape check.
    let kind = platform::find(raw.name.as_deref()?)?;
    match (kind.configure)(&raw.options, device) {
        Ok(platform) => Some(Chosen { platform, options: raw.options.clone() }),
        Err(problems) => {
            report.options(path, problems);
            None
        }
    }
}

/// Takes into the section what the platform lays down, and reports what contradicts it.
pub(super) fn lay_down(raw: &mut raw::Mqtt, chosen: Option<&Chosen>, path: &KeyPath, report: &mut Report) {
    let Some(Chosen { platform, .. }) = chosen else {
        if raw.url.is_none() && raw.platform.is_none() && !report.has_problem_at(&path.key("url")) {
            let hint = "write, for example, `url: mqtts://broker.example:8883`".to_owned();
            report.suggest(&path.key("url"), "is missing", Some(hint));
        }
        return;
    };
    let rules = platform.rules();
    if raw.url.is_none() {
        raw.url.clone_from(&rules.url);
    }
    if raw.url.is_none() && !report.has_problem_at(&path.key("url")) {
        report.problem(&path.key("url"), format!("is missing: {} has no address for all", platform.name()));
    }
    for (key, given, ruled) in [
        ("client_id", &mut raw.client_id, &rules.client_id),
        ("username", &mut raw.username, &rules.username),
    ] {
        match (&*given, ruled) {
            (Some(own), Some(ruled)) if own != ruled => {
                let hint = "leave it out".to_owned();
                report.suggest(
                    &path.key(key),
                    format!("must be {} on {}", quoted(ruled), platform.name()),
                    Some(hint),
                );
            }
            (None, Some(_)) => given.clone_from(ruled),
            _ => {}
        }
    }
    for (key, given, fixed) in [
        ("topic", raw.topic.is_some(), rules.topic.is_some()),
        ("late_topic", raw.late_topic.is_some(), rules.topic.is_some()),
        ("status_topic", raw.status_topic.is_some(), rules.no_status),
    ] {
        if given && fixed {
            let message = format!("cannot be chosen: {} lays down the topics", platform.name());
            report.suggest(&path.key(key), message, Some("leave it out".to_owned()));
        }
    }
    if raw.integrity.is_some() && rules.format.is_some() {
        let message = format!("goes with our own JSON: payloads of {} have no place for it", platform.name());
        report.problem(&path.key("integrity"), message);
    }
    if rules.rate.is_some() && matches!(raw.backlog, Some(raw::Backlog::LiveFirst)) {
        let message =
            format!("means nothing on {}: of what waits only the newest goes out anyway", platform.name());
        report.suggest(&path.key("backlog"), message, Some("leave it out".to_owned()));
    }
    password(raw, &rules, platform.name(), path, report);
    if let Some(sas) = raw.token.as_mut().and_then(|token| token.sas.as_mut())
        && sas.resource.is_none()
    {
        sas.resource.clone_from(&rules.sas_resource);
    }
    let version = raw.version.as_ref().map(|version| super::mqtt::version(Some(version)));
    if let (Some(v5), Some(given)) = (rules.v5, version)
        && v5 != (given == MqttVersion::V5)
    {
        let only = if v5 { "5" } else { "3.1.1" };
        report.problem(&path.key("version"), format!("{} speaks MQTT {only} only", platform.name()));
    }
}

fn password(raw: &raw::Mqtt, rules: &Rules, name: &str, path: &KeyPath, report: &mut Report) {
    let given = raw.password.is_some() || raw.password_file.is_some() || raw.token.is_some();
    match rules.password {
        Some(true) if !given => {
            let hint = "write the device's token or key into a file, and its name here".to_owned();
            report.suggest(
                &path.key("password_file"),
                format!("is missing: {name} wants to know who we are"),
                Some(hint),
            );
        }
        Some(false) if given || raw.username.is_some() => {
            report.problem(path, format!("{name} takes no user name and no password"));
        }
        _ => {}
    }
    let certificate = raw.tls.as_ref().is_some_and(|tls| tls.cert_file.is_some());
    let access_token = rules.secret_username && raw.username.is_some();
    if rules.identified && !given && !certificate && !access_token {
        let hint =
            "give it `password_file` or `token`, or the device's certificate (`tls: {cert_file, key_file}`)";
        report.suggest(path, format!("{name} wants to know who we are"), Some(hint.to_owned()));
    }
}

/// Whether the keep-alive is one that the platform keeps to.
pub(super) fn keep_alive(given: Duration, rules: &Rules, name: &str, path: &KeyPath, report: &mut Report) {
    if let Some(most) = rules.max_keep_alive.filter(|most| given > *most) {
        report.problem(path, format!("{name} allows {} at most", format_duration(most)));
    }
}

/// Whether the platform takes the status message on this topic.
pub(super) fn status_topic(topic: &str, chosen: &Chosen, path: &KeyPath, report: &mut Report) {
    let Some(check) = chosen.platform.rules().topic_check else { return };
    if let Err(why) = check(&facts_topic(topic)) {
        report.problem(path, format!("the topic {} {why}", quoted(&facts_topic(topic))));
    }
}

/// Whether the platform takes the topics of a channel.
fn topics(publish: &Publish, rules: &Rules, path: &KeyPath, report: &mut Report) {
    let Some(check) = rules.topic_check else { return };
    for topic in [Some(&publish.topic), publish.late_topic.as_ref()].into_iter().flatten() {
        let at = path.key("topic");
        if let Err(why) = check(topic)
            && !report.has_problem_at(&at)
        {
            let hint = "shorten it here, or in `mqtt.topic` or `mqtt.late_topic`".to_owned();
            report.suggest(&at, format!("the topic {} {why}", quoted(topic)), Some(hint));
        }
    }
}

/// Whether the connection is as the platform wants it, and what it wants to hear in the hand-shake.
pub(super) fn broker(broker: &mut Broker, chosen: &Chosen, path: &KeyPath, report: &mut Report) {
    let plain = matches!(broker.transport, Transport::Tcp | Transport::WebSocket);
    if chosen.platform.rules().tls && plain {
        let hint = "write mqtts:// or wss://".to_owned();
        report.suggest(
            path,
            format!("{} takes encrypted connections only", chosen.platform.name()),
            Some(hint),
        );
    }
    if let Some((_, protocol)) = chosen.platform.rules().alpn.filter(|(port, _)| *port == broker.port)
        && broker.transport == Transport::Tls
    {
        broker.tls.alpn = Some(protocol);
    }
}

/// Whether a channel goes out as the platform allows; `path` is the section of its sensor or output.
pub(super) fn channel(channel: &Channel, chosen: &Chosen, path: &KeyPath, report: &mut Report) {
    let (rules, name) = (chosen.platform.rules(), chosen.platform.name());
    let Some(publish) = &channel.publish else { return };
    topics(publish, &rules, path, report);
    if let Some(most) = rules.max_qos.filter(|most| publish.qos > *most) {
        let at = path.key("qos");
        if !report.has_problem_at(&at) {
            let message =
                format!("{name} takes quality of service {} at most, not {}", most as u8, publish.qos as u8);
            report.suggest(&at, message, "set it here, or `mqtt.qos` for all".to_owned());
        }
    }
    if rules.no_retain && publish.retain {
        let at = path.key("retain");
        if !report.has_problem_at(&at) {
            let message = format!("{name} keeps no messages: nothing can be retained");
            report.suggest(&at, message, "write false here, or in `mqtt.retain` for all".to_owned());
        }
    }
}

/// Whether a platform that allows one connection only is asked for more.
pub(super) fn alone(chosen: &Chosen, mirrors: bool, commands: bool, path: &KeyPath, report: &mut Report) {
    if !chosen.platform.rules().alone {
        return;
    }
    let name = chosen.platform.name();
    if mirrors {
        report.problem(
            &path.key("mirror"),
            format!("{name} lets a device subscribe to nothing but its own commands"),
        );
    }
    if commands {
        let hint = "write `from: platform` instead of `topic`".to_owned();
        report.suggest(&path.key("commands"), format!("{name} brings commands its own way only"), Some(hint));
    }
}

/// The default quality of service of readings.
pub(super) fn default_qos(rules: Option<&Rules>) -> Qos {
    let most = rules.and_then(|rules| rules.max_qos).unwrap_or(Qos::ExactlyOnce);
    Qos::AtLeastOnce.min(most)
}
