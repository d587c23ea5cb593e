//! `mqtt.username`, `password`, `password_file`, and `token` in their place; the passwords of other sections. No message here repeats a password.

use std::path::{Path, PathBuf};

use super::super::SecretPlaces;
use super::super::model::{Credentials, Password, Secret};
use super::super::problem::{KeyPath, Report, quoted};
use super::super::raw;
use super::token;

/// Where a broker wants a password and no user name, it wants something in its place (MQTT 3.1.1, 3.1.2.9).
const NOBODY: &str = "unused";

pub(super) fn credentials(
    raw: &raw::Mqtt,
    secret_username: bool,
    places: &SecretPlaces,
    path: &KeyPath,
    report: &mut Report,
) -> Option<Credentials> {
    let password = password(raw, places, path, report);
    let has_password = raw.password.is_some() || raw.password_file.is_some();
    match &raw.username {
        Some(name) if name.is_empty() || name.contains('\0') || name.len() > 65_535 => {
            report.problem(&path.key("username"), "must be 1 to 65,535 bytes without the character NUL");
            None
        }
        Some(name) => {
            let password = password.unwrap_or_else(|| Password::Fixed(Secret::default()));
            Some(Credentials { username: name.clone(), password })
        }
        None if secret_username => Some(Credentials { username: String::new(), password: password? }),
        None if raw.token.is_some() => Some(Credentials { username: NOBODY.to_owned(), password: password? }),
        None => {
            if has_password && !report.has_problem_at(&path.key("username")) {
                report.problem(&path.key("username"), "is missing beside the password");
            }
            None
        }
    }
}

fn password(raw: &raw::Mqtt, places: &SecretPlaces, path: &KeyPath, report: &mut Report) -> Option<Password> {
    if let Some(token) = &raw.token {
        for (key, given) in [("password", &raw.password), ("password_file", &raw.password_file)] {
            if given.is_some() {
                report.suggest(&path.key(key), "contradicts `token`", Some("keep one of them".into()));
            }
        }
        return token::token(token, places, &path.key("token"), report);
    }
    let text = given_password(raw.password.as_deref(), raw.password_file.as_deref(), places, path, report);
    text.map(|text| Password::Fixed(Secret(text)))
}

/// What `password` or `password_file` of the section at `path` say.
pub(super) fn given_password(
    given: Option<&str>,
    file: Option<&str>,
    places: &SecretPlaces,
    path: &KeyPath,
    report: &mut Report,
) -> Option<String> {
    match (given, file) {
        (Some(_), Some(_)) => {
            let hint = "keep `password_file` and remove `password`".to_owned();
            report.suggest(&path.key("password"), "is given twice: here and in `password_file`", Some(hint));
            None
        }
        (Some(password), None) => {
            report.warn(
                &path.key("password"),
                "the password stands in the configuration; a file of its own (`password_file`), readable \
                 only for the service, is safer",
            );
            Some(password.to_owned())
        }
        (None, Some(file)) => secret_file(file, places, &path.key("password_file"), report),
        (None, None) => None,
    }
}

/// What a file holds that only the service should read.
pub(super) fn secret_file(
    file: &str,
    places: &SecretPlaces,
    path: &KeyPath,
    report: &mut Report,
) -> Option<String> {
    let found = resolved(file, places);
    report.reads(path, file, &found);
    read_password(&found, path, report)
}

/// Where a password file is. A path that is not absolute is first a credential that systemd has handed over
/// (systemd.exec(5), `LoadCredential=`), then a file beside the configuration: so the daemon, which may
/// not read the file, and a person with the right to read it use one configuration.
///
/// An empty credential counts as none: the unit sets one where there is no file, because a credential that
/// is missing would keep it from starting.
pub(super) fn resolved(file: &str, places: &SecretPlaces) -> PathBuf {
    let credential = places.credentials.as_ref().map(|folder| folder.join(file));
    let handed_over = |file: &PathBuf| std::fs::read(file).is_ok_and(|text| !text.trim_ascii().is_empty());
    match credential.filter(|_| Path::new(file).is_relative()).filter(handed_over) {
        Some(credential) => credential,
        None => places.beside.as_ref().map_or_else(|| PathBuf::from(file), |folder| folder.join(file)),
    }
}

fn read_password(file: &Path, path: &KeyPath, report: &mut Report) -> Option<String> {
    // Far beyond any password; guards against /dev/zero and slips of the path.
    const LARGEST: u64 = 65_535;
    let failed = |report: &mut Report, why: String| {
        report.problem(path, format!("{} {why}", quoted(&file.to_string_lossy())));
        None
    };
    match std::fs::metadata(file) {
        Err(error) => {
            report.unreadable(path, file, &error);
            return None;
        }
        Ok(about) if about.is_dir() => return failed(report, "is a folder".into()),
        Ok(about) if !about.is_file() => return failed(report, "is not a file".into()),
        Ok(about) if about.len() > LARGEST => return failed(report, "is too large for a password".into()),
        Ok(about) => warn_if_readable_for_all(file, &about, path, report),
    }
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            report.unreadable(path, file, &error);
            return None;
        }
    };
    // Editors and `echo` end a file with a line end; it is not part of the password.
    let password = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
    if password.is_empty() {
        return failed(report, "is empty".into());
    }
    Some(password.to_owned())
}

fn warn_if_readable_for_all(file: &Path, about: &std::fs::Metadata, path: &KeyPath, report: &mut Report) {
    use std::os::unix::fs::PermissionsExt;
    if about.permissions().mode() & 0o004 != 0 {
        let name = file.display();
        report.warn(path, format!("every user of this machine can read {name}; chmod 640 or 600 it"));
    }
}
