//! `mqtt.tls`: how the broker's certificate is judged, and what we show of our own.

use std::path::{Path, PathBuf};

use super::super::SecretPlaces;
use super::super::model::{Broker, Tls, Transport, Trust};
use super::super::problem::{KeyPath, Report, quoted};
use super::super::raw::{self, NumberOrText, OneOrMore};
use super::credentials::resolved;

pub(super) fn tls(
    raw: Option<&raw::Tls>,
    broker: Option<&Broker>,
    places: &SecretPlaces,
    path: &KeyPath,
    report: &mut Report,
) -> Tls {
    let Some(raw) = raw else { return Tls::default() };
    if let Some(broker) = broker
        && matches!(broker.transport, Transport::Tcp | Transport::WebSocket)
    {
        let hint = "use mqtts:// or wss://, or leave it out".to_owned();
        report.suggest(path, format!("{broker} is not encrypted"), Some(hint));
    }
    let trust = trust(raw, places, path, report);
    let named = raw.server_name.as_deref().filter(|name| is_name(name));
    if named.is_none()
        && let Some(name) = &raw.server_name
    {
        report.problem(&path.key("server_name"), format!("{} is no host name or address", quoted(name)));
    }
    if named.is_some() && matches!(trust, Trust::Certificates(_) | Trust::Anybody) {
        let hint = "leave it out, or trust by `ca_file` or the system's authorities".to_owned();
        report.suggest(&path.key("server_name"), "means nothing here: no name is looked at", Some(hint));
    }
    Tls {
        trust,
        identity: identity(raw, places, path, report),
        server_name: named.map(str::to_owned),
        only_1_3: only_1_3(raw.min_version.as_ref()),
        alpn: None,
    }
}

/// Exactly one way to judge: two would leave open which of them is meant to save the other.
fn trust(raw: &raw::Tls, places: &SecretPlaces, path: &KeyPath, report: &mut Report) -> Trust {
    let insecure = raw.insecure == Some(true);
    let given = [("ca_file", raw.ca_file.is_some()), ("pin", raw.pin.is_some()), ("insecure", insecure)];
    let mut given = given.into_iter().filter(|(_, given)| *given).map(|(key, _)| key);
    if let (Some(first), Some(second)) = (given.next(), given.next()) {
        let hint = format!("keep it, or `{first}`");
        report.suggest(&path.key(second), format!("contradicts `{first}`"), Some(hint));
    }
    if let Some(file) = &raw.ca_file {
        let (named, file) = (file, resolved(file, places));
        report.reads(&path.key("ca_file"), named, &file);
        readable(&file, &path.key("ca_file"), report);
        return Trust::Authorities(file);
    }
    if let Some(pins) = &raw.pin {
        return Trust::Certificates(fingerprints(pins, &path.key("pin"), report));
    }
    if insecure {
        report.warn(
            &path.key("insecure"),
            "the broker's certificate is not verified: anybody in between can read and change everything; \
             `pin` its fingerprint instead",
        );
        return Trust::Anybody;
    }
    Trust::System
}

fn fingerprints(pins: &OneOrMore, path: &KeyPath, report: &mut Report) -> Vec<[u8; 32]> {
    let (texts, list) = match pins {
        OneOrMore::One(text) => (std::slice::from_ref(text), false),
        OneOrMore::More(texts) => (texts.as_slice(), true),
    };
    if texts.is_empty() {
        report.problem(path, "is an empty list: no certificate would be good enough");
    }
    let mut found = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        match fingerprint(text) {
            Some(print) => found.push(print),
            None => {
                let at = if list { path.index(place) } else { path.clone() };
                let hint =
                    "64 hexadecimal digits, as `openssl x509 -noout -fingerprint -sha256 -in FILE` prints";
                report.suggest(&at, format!("{} is no SHA-256 fingerprint", quoted(text)), Some(hint.into()));
            }
        }
    }
    found
}

/// `9F:86:…` or `9f86…`.
fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.trim().chars().filter(|c| *c != ':').collect();
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut print = [0; 32];
    for (place, byte) in print.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(print)
}

fn identity(
    raw: &raw::Tls,
    places: &SecretPlaces,
    path: &KeyPath,
    report: &mut Report,
) -> Option<(PathBuf, PathBuf)> {
    match (&raw.cert_file, &raw.key_file) {
        (None, None) => None,
        (Some(_), None) => {
            report.problem(&path.key("key_file"), "is missing beside `cert_file`");
            None
        }
        (None, Some(_)) => {
            report.problem(&path.key("cert_file"), "is missing beside `key_file`");
            None
        }
        (Some(certificate), Some(key)) => {
            let named = [certificate, key];
            let (certificate, key) = (resolved(certificate, places), resolved(key, places));
            report.reads(&path.key("cert_file"), named[0], &certificate);
            report.reads(&path.key("key_file"), named[1], &key);
            readable(&certificate, &path.key("cert_file"), report);
            plain_key(&key, &path.key("key_file"), report);
            Some((certificate, key))
        }
    }
}

fn readable(file: &Path, path: &KeyPath, report: &mut Report) {
    if let Err(error) = std::fs::File::open(file) {
        report.unreadable(path, file, &error);
    }
}

/// A private key that is there and not encrypted: nobody is there to type a pass phrase.
pub(super) fn plain_key(file: &Path, path: &KeyPath, report: &mut Report) {
    let name = quoted(&file.to_string_lossy());
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return report.unreadable(path, file, &error),
    };
    if text.contains("ENCRYPTED") {
        let hint = format!("openssl pkey -in {} -out plain.key, and let only root read it", file.display());
        report.suggest(path, format!("{name} is protected by a pass phrase"), Some(hint));
    } else if !text.contains("PRIVATE KEY-----") {
        report.problem(path, format!("{name} holds no private key in PEM"));
    }
}

fn is_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    !name.is_empty() && name.chars().all(known)
}

/// The schema has checked that it is one of the two.
fn only_1_3(given: Option<&NumberOrText>) -> bool {
    match given {
        Some(NumberOrText::Number(number)) => *number == 1.3,
        Some(NumberOrText::Text(text)) => text == "1.3",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_with_and_without_colons() {
        let plain = "00ff".repeat(16);
        let colons: Vec<String> = plain
            .to_uppercase()
            .as_bytes()
            .chunks(2)
            .map(|pair| String::from_utf8_lossy(pair).into_owned())
            .collect();
        assert_eq!(fingerprint(&plain), fingerprint(&colons.join(":")));
        assert_eq!(fingerprint(&plain).unwrap()[..2], [0, 255]);
        for wrong in ["", "00ff", &"zz".repeat(32), &"0".repeat(65), &"é".repeat(32)] {
            assert_eq!(fingerprint(wrong), None, "{wrong}");
        }
    }
}
