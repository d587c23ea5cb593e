//! `device.pseudonym`: the name that stands for the device id, and where the id slips out all the same.

use super::super::SecretPlaces;
use super::super::model::{Config, Device, Pseudonym};
use super::super::problem::{KeyPath, Report};
use super::super::raw;
use super::integrity::key;
use crate::reading::Channel;

/// Puts the pseudonym in the place of the id.
pub(super) fn hide(
    device: Device,
    raw: Option<&raw::Pseudonym>,
    places: &SecretPlaces,
    path: &KeyPath,
    report: &mut Report,
) -> Device {
    let file = raw.and_then(|raw| raw.key_file.as_deref());
    match file.and_then(|file| key(file, places, &path.key("key_file"), report)) {
        Some(key) => {
            let pseudonym = Pseudonym { name: key.pseudonym(&device.id), id: device.id };
            Device { id: pseudonym.name.clone(), pseudonym: Some(pseudonym), ..device }
        }
        None => device,
    }
}

/// Warns of every place where the id itself was written into what leaves this machine. `sensors` are the places of
/// those that run.
pub(super) fn slips(config: &Config, sensors: &[KeyPath], report: &mut Report) {
    let Some(pseudonym) = &config.device.pseudonym else { return };
    let root = KeyPath::default();
    let mut look = |path: &KeyPath, text: &str| {
        if pseudonym.slips_out_in(text) {
            let hint = "leave it out, or write {device} where that can be".to_owned();
            report.warn(path, format!("the device id stands here, in what leaves this machine; {hint}"));
        }
    };
    if let Some(name) = config.device.place.as_ref().and_then(|place| place.name.as_ref()) {
        look(&root.key("device").key("location").key("name"), name);
    }
    if let Some(mqtt) = &config.mqtt {
        let at = root.key("mqtt");
        look(&at.key("client_id"), &mqtt.client_id);
        look(&at.key("status_topic"), mqtt.status_topic.as_deref().unwrap_or_default());
        for (name, value) in mqtt.platform.iter().flat_map(|chosen| &chosen.options) {
            look(&at.key("platform").key(name), value.as_str().unwrap_or_default());
        }
        if let Some(credentials) = &mqtt.credentials {
            look(&at.key("username"), &credentials.username);
        }
    }
    for (sensor, path) in config.sensors.iter().zip(sensors) {
        look(path, &topics(sensor.channels()));
    }
    for (index, output) in config.outputs.iter().enumerate() {
        look(&root.key("outputs").index(index), &topics([&output.level, &output.state]));
    }
    for (index, mirror) in config.mirrors.iter().enumerate() {
        let path = root.key("mirror").index(index);
        look(&path.key("id"), &mirror.id);
        look(&path.key("topics"), &mirror.topics.join(" "));
    }
    if config.status.interval.is_some() {
        // The facts say where it is.
        look(&root.key("log").key("path"), &config.log.path.to_string_lossy());
    }
    for (index, source) in config.commands.iter().enumerate() {
        let path = root.key("commands").index(index);
        look(&path.key("topic"), &source.topic);
        if let Some(reply) = &source.reply {
            look(&path.key("reply"), reply);
        }
    }
}

/// All topics of these channels.
fn topics<'a>(channels: impl IntoIterator<Item = &'a Channel>) -> String {
    let published = channels.into_iter().filter_map(|channel| channel.publish.as_ref());
    let topics: Vec<&str> = published
        .flat_map(|publish| [Some(publish.topic.as_str()), publish.late_topic.as_deref()])
        .flatten()
        .collect();
    topics.join(" ")
}
