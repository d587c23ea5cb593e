//! `web`: where the page listens, and that nobody reaches it from the network without a password.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::super::SecretPlaces;
use super::super::model::{Output, Secret, Web};
use super::super::problem::{KeyPath, Report, did_you_mean, quoted};
use super::super::raw;
use super::credentials::given_password;

/// The port that hints name.
const USUAL_PORT: u16 = 8480;

/// A shorter one can be guessed though attempts are slowed down.
const SHORTEST_PASSWORD: usize = 8;

/// The section; `None` when it is not known where to listen.
pub(super) fn check(
    raw: raw::Web,
    outputs: &[Output],
    places: &SecretPlaces,
    path: &KeyPath,
    report: &mut Report,
) -> Option<Web> {
    let password =
        given_password(raw.password.as_deref(), raw.password_file.as_deref(), places, path, report);
    let named_at = match raw.password {
        Some(_) => path.key("password"),
        None => path.key("password_file"),
    };
    if password.as_ref().is_some_and(|password| password.chars().count() < SHORTEST_PASSWORD) {
        report.problem(&named_at, format!("the password must have at least {SHORTEST_PASSWORD} characters"));
    }
    let hosts = hosts(raw.hosts.unwrap_or_default(), &path.key("hosts"), report);
    let listen = address(raw.listen.as_deref()?, &path.key("listen"), report)?;
    let is_named = raw.password.is_some() || raw.password_file.is_some();
    if !listen.ip().to_canonical().is_loopback() && !is_named {
        let hint = format!(
            "put a password into a file and name it with `password_file`, or listen on 127.0.0.1:{} for this \
             machine only",
            listen.port()
        );
        report.suggest(
            path,
            format!("a password is missing: {listen} can be reached from the network"),
            Some(hint),
        );
    }
    let allow = allow(raw.allow.unwrap_or_default(), outputs, is_named, &path.key("allow"), report);
    Some(Web { listen, password: password.map(Secret), allow, hosts })
}

fn address(text: &str, path: &KeyPath, report: &mut Report) -> Option<SocketAddr> {
    let text = text.trim();
    if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
        return Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let hint = if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
        format!("write \"127.0.0.1:{port}\" for this machine only, or \"0.0.0.0:{port}\" for the network")
    } else if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        format!("add a port: \"{}\"", SocketAddr::new(ip, USUAL_PORT))
    } else if text.contains("://") {
        format!("write address and port only, for example \"127.0.0.1:{USUAL_PORT}\"")
    } else {
        format!("write an IP address and a port, for example \"127.0.0.1:{USUAL_PORT}\"")
    };
    report.suggest(path, format!("{} is no address to listen on", quoted(text)), Some(hint));
    None
}

/// Outputs that the page may set: ours, and only where a password tells who asks.
fn allow(
    names: Vec<String>,
    outputs: &[Output],
    has_password: bool,
    path: &KeyPath,
    report: &mut Report,
) -> Vec<String> {
    if !names.is_empty() && !has_password {
        let hint = "name a file with `password_file`; without it anybody could switch".to_owned();
        report.suggest(path, "needs a password", Some(hint));
    }
    for (place, name) in names.iter().enumerate() {
        if outputs.iter().all(|output| output.id.as_str() != name) {
            let hint = did_you_mean(name, outputs.iter().map(|output| output.id.as_str()));
            report.suggest(&path.index(place), format!("there is no output {}", quoted(name)), hint);
        }
    }
    names
}

fn hosts(names: Vec<String>, path: &KeyPath, report: &mut Report) -> Vec<String> {
    for (place, name) in names.iter().enumerate() {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
        if name.is_empty() || name.len() > 253 || !name.chars().all(fits) {
            let hint = "write it without scheme and port, for example \"pi.example.org\"".to_owned();
            report.suggest(&path.index(place), format!("{} is no host name", quoted(name)), Some(hint));
        }
    }
    names.into_iter().map(|name| name.to_ascii_lowercase()).collect()
}
