//! `mqtt.username`, and `password` and `password_file` of any section. No message here repeats a password.

use std::path::{Path, PathBuf};

use super::super::SecretPlaces;
use super::super::model::{Credentials, Secret};
use super::super::problem::{KeyPath, Report, quoted};
use super::super::raw;

pub(super) fn credentials(
    raw: &raw::Mqtt,
    places: &SecretPlaces,
    path: &KeyPath,
    report: &mut Report,
) -> Option<Credentials> {
    let password = password(raw.password.as_deref(), raw.password_file.as_deref(), places, path, report);
    let has_password = raw.password.is_some() || raw.password_file.is_some();
    match &raw.username {
        Some(name) if name.is_empty() || name.contains('\0') || name.len() > 65_535 => {
            report.problem(&path.key("username"), "must be 1 to 65,535 bytes without the character NUL");
            None
        }
        Some(name) => {
            Some(Credentials { username: name.clone(), password: Secret(password.unwrap_or_default()) })
        }
        None => {
            if has_password && !report.has_problem_at(&path.key("username")) {
                report.problem(&path.key("username"), "is missing beside the password");
            }
            None
        }
    }
}

/// What `password` or `password_file` of the section at `path` say.
pub(super) fn password(
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
        (None, Some(file)) => read_password(&resolved(file, places), &path.key("password_file"), report),
        (None, None) => None,
    }
}

/// Where a password file is. A path that is not absolute is first a credential that systemd has handed over
/// (systemd.exec(5), `LoadCredential=`), then a file beside the configuration: so the daemon, which may
/// not read the file, and a person with the right to read it use one configuration.
///
/// An empty credential counts as none: the unit sets one where there is no file, because a credential that
/// is missing would keep it from starting.
fn resolved(file: &str, places: &SecretPlaces) -> PathBuf {
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
        Err(error) => return failed(report, format!("cannot be read: {error}")),
        Ok(about) if about.is_dir() => return failed(report, "is a folder".into()),
        Ok(about) if !about.is_file() => return failed(report, "is not a file".into()),
        Ok(about) if about.len() > LARGEST => return failed(report, "is too large for a password".into()),
        Ok(about) => warn_if_readable_for_all(file, &about, path, report),
    }
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return failed(report, format!("cannot be read: {error}")),
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
