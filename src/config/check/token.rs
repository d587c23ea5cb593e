//! `mqtt.token`: a password that is made or fetched for each connection.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::SecretPlaces;
use super::super::model::{Password, Secret};
use super::super::problem::{KeyPath, Report};
use super::super::raw;
use super::credentials::{resolved, secret_file};
use super::tls::plain_key;
use super::{SECOND, duration};

const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);

pub(super) fn token(
    raw: &raw::Token,
    places: &SecretPlaces,
    path: &KeyPath,
    report: &mut Report,
) -> Option<Password> {
    let given = [
        ("command", raw.command.is_some()),
        ("file", raw.file.is_some()),
        ("jwt", raw.jwt.is_some()),
        ("sas", raw.sas.is_some()),
    ];
    if given.iter().filter(|(_, given)| *given).count() != 1 {
        report.problem(path, "needs one of `command`, `file`, `jwt` and `sas`");
        return None;
    }
    let at = path.key("refresh");
    let refresh = duration(raw.refresh.as_ref(), 10 * SECOND, YEAR, &at, report);
    if raw.refresh.is_some() && (raw.jwt.is_some() || raw.sas.is_some()) {
        report.suggest(
            &at,
            "means nothing here",
            Some("a token of ours is renewed by its `lifetime`".into()),
        );
    }
    if let Some(command) = &raw.command {
        return self::command(command, refresh, &path.key("command"), report);
    }
    if let Some(file) = &raw.file {
        return Some(Password::File(PathBuf::from(file), refresh));
    }
    if let Some(raw) = &raw.jwt {
        return jwt(raw, places, &path.key("jwt"), report);
    }
    sas(raw.sas.as_ref()?, places, &path.key("sas"), report)
}

fn command(
    words: &[String],
    refresh: Option<Duration>,
    path: &KeyPath,
    report: &mut Report,
) -> Option<Password> {
    match words.first() {
        None => report.problem(path, "is empty: the program is missing"),
        Some(program) if !program.starts_with('/') => {
            report.problem(
                path,
                "the program must be named with its whole path: a service has no PATH of yours",
            );
        }
        Some(_) => return Some(Password::Command(words.to_vec(), refresh)),
    }
    None
}

fn jwt(raw: &raw::Jwt, places: &SecretPlaces, path: &KeyPath, report: &mut Report) -> Option<Password> {
    let key_file = resolved(raw.key_file.as_deref()?, places);
    plain_key(&key_file, &path.key("key_file"), report);
    let audience = raw.audience.clone()?;
    if audience.is_empty() {
        report.problem(&path.key("audience"), "is empty");
    }
    let at = path.key("lifetime");
    let lifetime = duration(raw.lifetime.as_ref(), 60 * SECOND, 24 * HOUR, &at, report).unwrap_or(HOUR);
    Some(Password::Jwt { key_file, audience, lifetime })
}

fn sas(raw: &raw::Sas, places: &SecretPlaces, path: &KeyPath, report: &mut Report) -> Option<Password> {
    let at = path.key("key_file");
    let key = secret_file(raw.key_file.as_deref()?, places, &at, report)?;
    if STANDARD.decode(&key).is_err() {
        report.problem(&at, "does not hold a key in base64");
    }
    let Some(resource) = raw.resource.clone() else {
        report.problem(&path.key("resource"), "is missing: what access is asked for");
        return None;
    };
    if resource.is_empty() {
        report.problem(&path.key("resource"), "is empty");
    }
    let at = path.key("lifetime");
    let lifetime = duration(raw.lifetime.as_ref(), 60 * SECOND, YEAR, &at, report).unwrap_or(HOUR);
    Some(Password::Sas { key: Secret(key), resource, policy: raw.policy.clone(), lifetime })
}
