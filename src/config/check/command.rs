//! `commands`: where commands come from, and what each source may do.

use std::collections::HashMap;

use super::super::SecretPlaces;
use super::super::model::{Action, Chosen, CommandSource, Output, Permission, Sensor};
use super::super::problem::{KeyPath, Report, did_you_mean_or_list, quoted};
use super::super::raw::{self, CommandsUnsynced};
use super::integrity::key;
use super::mqtt::{qos, template};
use crate::reading::Qos;

/// What commands may name.
pub(super) struct Named<'a> {
    pub(super) device: &'a str,
    pub(super) sensors: &'a [Sensor],
    pub(super) outputs: &'a [Output],
}

pub(super) fn check(
    raw: Vec<raw::Command>,
    chosen: Option<&Chosen>,
    named: &Named<'_>,
    places: &SecretPlaces,
    path: &KeyPath,
    report: &mut Report,
) -> (Vec<CommandSource>, Option<CommandSource>) {
    let mut topics: HashMap<String, usize> = HashMap::new();
    let (mut sources, mut platform) = (Vec::new(), None);
    for (index, raw) in raw.into_iter().enumerate() {
        let path = path.index(index);
        if raw.from.is_some() {
            if platform.is_some() {
                report.problem(&path.key("from"), "the platform has one list of what it may do");
            }
            platform = Some(of_platform(raw, chosen, named, &path, report));
            continue;
        }
        if raw.topic.is_none() && !report.has_problem_at(&path.key("topic")) {
            let hint = "write, for example, `topic: castel/{device}/command`".to_owned();
            report.suggest(&path.key("topic"), "is missing", Some(hint));
        }
        let topic =
            raw.topic.as_deref().and_then(|text| filled(text, named.device, &path.key("topic"), report));
        if let Some(topic) = &topic
            && let Some(first) = topics.insert(topic.clone(), index)
        {
            let hint = "a topic has one list of what it may do".to_owned();
            report.suggest(&path.key("topic"), format!("is that of commands[{first}] already"), Some(hint));
        }
        let key = raw
            .hmac_key_file
            .as_deref()
            .and_then(|file| key(file, places, &path.key("hmac_key_file"), report));
        let reply =
            raw.reply.as_deref().and_then(|text| filled(text, named.device, &path.key("reply"), report));
        let allow = allow(raw.allow.unwrap_or_default(), named, &path.key("allow"), report);
        sources.push(CommandSource {
            topic: topic.unwrap_or_default(),
            qos: qos(raw.qos).unwrap_or(Qos::AtLeastOnce),
            allow,
            key,
            reply,
            obey_unsynced: raw.unsynced == Some(CommandsUnsynced::Obey),
        });
    }
    for (index, source) in sources.iter().enumerate() {
        if let Some(reply) = source.reply.as_ref().filter(|reply| topics.contains_key(*reply)) {
            let message = format!("answers would come in as commands on {}", quoted(reply));
            report.problem(&path.index(index).key("reply"), message);
        }
    }
    (sources, platform)
}

/// Commands that come the platform's way: who sends them, and where answers go, is the platform's business.
fn of_platform(
    raw: raw::Command,
    chosen: Option<&Chosen>,
    named: &Named<'_>,
    path: &KeyPath,
    report: &mut Report,
) -> CommandSource {
    if chosen.is_none() && !report.has_problem_at(&KeyPath::default().key("mqtt").key("platform")) {
        report.problem(&path.key("from"), "there is no `mqtt.platform` that commands could come from");
    }
    if let Some(chosen) = chosen.filter(|chosen| chosen.platform.rules().no_commands) {
        let message = format!("{} brings no commands with these options", chosen.platform.name());
        report.problem(&path.key("from"), message);
    }
    let given = [
        ("topic", raw.topic.is_some()),
        ("qos", raw.qos.is_some()),
        ("hmac_key_file", raw.hmac_key_file.is_some()),
        ("reply", raw.reply.is_some()),
        ("unsynced", raw.unsynced.is_some()),
    ];
    for (key, _) in given.iter().filter(|(_, is_given)| *is_given) {
        report.problem(&path.key(key), "means nothing beside `from`: the platform lays it down");
    }
    CommandSource {
        topic: chosen.map_or("platform", |chosen| chosen.platform.name()).to_owned(),
        qos: Qos::AtLeastOnce,
        allow: allow(raw.allow.unwrap_or_default(), named, &path.key("allow"), report),
        key: None,
        reply: None,
        obey_unsynced: true,
    }
}

/// An output that waits for the link must be commanded over it.
pub(super) fn links(outputs: &[Output], sources: &[&CommandSource], path: &KeyPath, report: &mut Report) {
    for (index, output) in outputs.iter().enumerate().filter(|(_, output)| output.limits.link_lost.is_some())
    {
        let wanted = Permission::Output(output.id.clone());
        if !sources.iter().any(|source| source.allow.contains(&wanted)) {
            let hint =
                format!("add {} to the `allow` of a topic under `commands`, or leave this out", output.id);
            let message = "no command reaches this output over the link";
            report.suggest(&path.index(index).key("link_lost"), message, Some(hint));
        }
    }
}

/// A topic with `{device}` filled in, and nothing else to fill in.
fn filled(text: &str, device: &str, path: &KeyPath, report: &mut Report) -> Option<String> {
    let template = template(text, path, report)?;
    if template.has_sensor() || template.has_quantity() {
        report.problem(path, "cannot contain {sensor} or {quantity}: a command names what it is for");
        return None;
    }
    Some(template.fill(device, "", ""))
}

fn allow(given: Vec<String>, named: &Named<'_>, path: &KeyPath, report: &mut Report) -> Vec<Permission> {
    let mut allowed: Vec<Permission> = Vec::new();
    for (index, text) in given.iter().enumerate() {
        let path = path.index(index);
        match permission(text, named) {
            Ok(permission) if allowed.contains(&permission) => {
                report.problem(&path, format!("{} stands here already", quoted(text)));
            }
            Ok(permission) => allowed.push(permission),
            Err((message, hint)) => report.suggest(&path, message, hint),
        }
    }
    allowed
}

fn permission(text: &str, named: &Named<'_>) -> Result<Permission, (String, Option<String>)> {
    if let Some(output) = named.outputs.iter().find(|output| output.id.as_str() == text) {
        return Ok(Permission::Output(output.id.clone()));
    }
    if let Some(action) = Action::named(text) {
        return Ok(Permission::Action { action, sensor: None });
    }
    if let Some((word, id)) = text.split_once(':')
        && let Some(action) = Action::named(word).filter(|action| action.is_of_a_sensor())
    {
        let sensors: Vec<&str> = named.sensors.iter().map(|sensor| sensor.id.as_str()).collect();
        return match named.sensors.iter().find(|sensor| sensor.id.as_str() == id) {
            Some(sensor) => Ok(Permission::Action { action, sensor: Some(sensor.id.clone()) }),
            None => Err((format!("there is no sensor {}", quoted(id)), did_you_mean_or_list(id, &sensors))),
        };
    }
    let mut known: Vec<&str> = Action::ALL.into_iter().map(Action::name).collect();
    known.extend(named.outputs.iter().map(|output| output.id.as_str()));
    Err((format!("{} is neither an output nor an action", quoted(text)), did_you_mean_or_list(text, &known)))
}
