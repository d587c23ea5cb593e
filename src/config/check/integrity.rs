//! `integrity` of `mqtt` and of mirrors, and the keys of HMACs.

use super::super::SecretPlaces;
use super::super::model::Config;
use super::super::problem::{KeyPath, Report};
use super::super::raw::{self, OneOrMore};
use super::credentials::secret_file;
use crate::integrity::{Integrity, Key, SHORTEST_KEY};
use crate::reading::{Channel, ValueKind};

/// Each message is tried with each key.
const MOST_KEYS: usize = 16;

/// What payloads of ours carry: there one key signs.
pub(super) fn carried(
    raw: Option<&raw::Integrity>,
    places: &SecretPlaces,
    path: &KeyPath,
    report: &mut Report,
) -> Option<Integrity> {
    if let Some(raw::Integrity::Keyed(raw::Keyed { hmac_key_file: Some(OneOrMore::More(_)) })) = raw {
        let hint = "the list goes under `integrity` of a mirror, which takes any of them".to_owned();
        report.suggest(&path.key("hmac_key_file"), "one key signs", Some(hint));
        return None;
    }
    wanted(raw, places, path, report)
}

/// What a mirror wants: any key will do.
pub(super) fn wanted(
    raw: Option<&raw::Integrity>,
    places: &SecretPlaces,
    path: &KeyPath,
    report: &mut Report,
) -> Option<Integrity> {
    let files = match raw? {
        raw::Integrity::Sum(raw::Sum::Crc32) => return Some(Integrity::Crc32),
        // Missing was reported.
        raw::Integrity::Keyed(keyed) => keyed.hmac_key_file.as_ref()?,
    };
    let path = path.key("hmac_key_file");
    let keys: Option<Vec<Key>> = match files {
        OneOrMore::One(file) => key(file, places, &path, report).map(|key| vec![key]),
        OneOrMore::More(files) if files.is_empty() || files.len() > MOST_KEYS => {
            report.problem(&path, format!("must name 1 to {MOST_KEYS} files"));
            None
        }
        OneOrMore::More(files) => {
            let each = files.iter().enumerate();
            each.map(|(index, file)| key(file, places, &path.index(index), report)).collect()
        }
    };
    keys.map(Integrity::Hmac)
}

/// Warns of what goes out as something else than our JSON: it has no room for it. `sensors` are the places of those
/// that run.
pub(super) fn bare(config: &Config, sensors: &[KeyPath], report: &mut Report) {
    if config.mqtt.as_ref().is_none_or(|mqtt| mqtt.integrity.is_none()) {
        return;
    }
    let foreign = |channel: &Channel| {
        let picture = channel.kind == ValueKind::Image;
        channel.publish.as_ref().is_some_and(|publish| match picture {
            true => !publish.shape.is_json(),
            false => publish.format.is_some(),
        })
    };
    for (sensor, path) in config.sensors.iter().zip(sensors) {
        if sensor.channels().any(foreign) {
            let message = "not all of it goes out as our JSON (`format`, `mqtt.platform`), and only that carries what \
                           `mqtt.integrity` asks for";
            report.warn(path, message);
        }
    }
}

/// The key that a file holds.
pub(super) fn key(file: &str, places: &SecretPlaces, path: &KeyPath, report: &mut Report) -> Option<Key> {
    let key = secret_file(file, places, path, report)?.into_bytes();
    if key.len() < SHORTEST_KEY {
        let hint = "make one with `openssl rand -hex 32`".to_owned();
        report.suggest(path, format!("holds a key of less than {SHORTEST_KEY} bytes"), Some(hint));
        return None;
    }
    Some(Key::new(&key))
}
