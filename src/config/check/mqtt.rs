//! `mqtt`: broker, credentials, and how readings are published unless a sensor says otherwise.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::model::{Backlog, Broker, Credentials, Mqtt, MqttVersion, Secret, Transport};
use super::super::problem::{KeyPath, Report, did_you_mean, quoted};
use super::super::raw::{self, NumberOrText};
use super::super::topic::{Template, check_level, check_topic};
use super::{SECOND, duration, size};
use crate::reading::Qos;

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
    pub(super) status_topic: String,
}

/// The publishing half of the section; `None` when there is no broker.
pub(super) fn publishing(
    raw: Option<&raw::Mqtt>,
    device: &str,
    path: &KeyPath,
    report: &mut Report,
) -> Option<Publishing> {
    let raw = raw?;
    let topic_path = path.key("topic");
    let text = raw.topic.as_deref().unwrap_or(DEFAULT_TOPIC);
    let topic = template(text, &topic_path, report).filter(|topic| {
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
    let status_topic = status_topic(raw.status_topic.as_deref(), text, device, &status_path, report);
    // The default is a valid template; the match only spares an unwrap.
    let topic = match topic {
        Some(topic) => topic,
        None => Template::parse(DEFAULT_TOPIC).ok()?,
    };
    Some(Publishing {
        topic,
        topic_path,
        qos: qos(raw.qos).unwrap_or(Qos::AtLeastOnce),
        retain: raw.retain.unwrap_or(false),
        buffer: raw.buffer.unwrap_or(true),
        late_topic,
        late_path,
        status_topic,
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
    raw: raw::Mqtt,
    device: &str,
    status_topic: String,
    path: &KeyPath,
    report: &mut Report,
) -> Option<Mqtt> {
    let credentials = credentials(&raw, path, report);
    let backlog = backlog(&raw, path, report);
    let keep_alive =
        duration(raw.keep_alive.as_ref(), 5 * SECOND, 65_535 * SECOND, &path.key("keep_alive"), report)
            .unwrap_or(Duration::from_secs(30));
    if keep_alive.subsec_nanos() != 0 {
        report.problem(&path.key("keep_alive"), "must be whole seconds: MQTT knows no fractions");
    }
    let max_packet_size =
        size(raw.max_packet_size.as_ref(), 1_000, LARGEST_PACKET, &path.key("max_packet_size"), report)
            .and_then(|bytes| u32::try_from(bytes).ok());
    let mut broker = broker(raw.url.as_deref(), &path.key("url"), report);
    ca_file(raw.ca_file.as_deref(), broker.as_mut(), &path.key("ca_file"), report);
    Some(Mqtt {
        client_id: client_id(raw.client_id, device, &path.key("client_id"), report),
        version: version(raw.version.as_ref()),
        credentials,
        keep_alive,
        backlog,
        window: raw.window.unwrap_or(100),
        max_packet_size: max_packet_size.unwrap_or(DEFAULT_PACKET),
        status_topic,
        broker: broker?,
    })
}

fn broker(url: Option<&str>, path: &KeyPath, report: &mut Report) -> Option<Broker> {
    match parse_url(url?) {
        Ok(broker) => Some(broker),
        Err((message, hint)) => {
            report.suggest(path, message, hint);
            None
        }
    }
}

type UrlError = (String, Option<String>);

fn parse_url(url: &str) -> Result<Broker, UrlError> {
    const SCHEMES: [(&str, Transport, u16); 4] = [
        ("mqtt", Transport::Tcp, 1883),
        ("mqtts", Transport::Tls, 8883),
        ("ws", Transport::WebSocket, 80),
        ("wss", Transport::SecureWebSocket, 443),
    ];
    // Before anything else, so that no message repeats a password.
    if url.contains('@') {
        let hint = "write them under `username` and `password_file`";
        return Err(("user name and password do not belong in the URL".into(), Some(hint.into())));
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        let hint = (!url.trim().is_empty()).then(|| format!("write \"mqtt://{url}\", or mqtts:// for TLS"));
        return Err((format!("{} has no scheme", quoted(url)), hint));
    };
    let Some((_, transport, default_port)) = SCHEMES.iter().find(|(name, ..)| *name == scheme) else {
        let hint = match scheme.to_lowercase().as_str() {
            "tcp" | "mqtt" => Some(format!("write \"mqtt://{rest}\"")),
            "ssl" | "tls" | "mqtts" => Some(format!("write \"mqtts://{rest}\"")),
            "http" => Some(format!("write \"ws://{rest}\"")),
            "https" => Some(format!("write \"wss://{rest}\"")),
            other => did_you_mean(other, SCHEMES.map(|(name, ..)| name))
                .or_else(|| Some("possible: mqtt://, mqtts://, ws://, wss://".into())),
        };
        return Err((format!("unknown scheme {}", quoted(scheme)), hint));
    };
    let (authority, tail) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (host, port) = host_and_port(authority, *default_port).map_err(|message| (message, None))?;
    if tail.contains(['?', '#']) || tail.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(("the path of the URL must be plain: no spaces, \"?\" or \"#\"".into(), None));
    }
    let web = matches!(transport, Transport::WebSocket | Transport::SecureWebSocket);
    if !web && tail.len() > 1 {
        let message = format!("{scheme}:// has no path, yet {} follows the host", quoted(tail));
        return Err((message, Some("leave it out, or use ws:// or wss://".into())));
    }
    // "/" alone is what browsers add; brokers listen at "/mqtt".
    let path = if web && tail.len() > 1 { tail.to_owned() } else { "/mqtt".to_owned() };
    Ok(Broker { transport: *transport, host, port, path, ca_file: None })
}

fn host_and_port(authority: &str, default_port: u16) -> Result<(String, u16), String> {
    let (host, port) = match authority.strip_prefix('[') {
        // An IPv6 address stands in brackets (RFC 3986 section 3.2.2).
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("the \"[\" of the address is not closed")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| format!("{} is no IPv6 address", quoted(host)))?;
            let port = match after {
                "" => None,
                after => Some(after.strip_prefix(':').ok_or("after \"]\" only a port may follow")?),
            };
            (host, port)
        }
        None if authority.matches(':').count() > 1 => {
            return Err(format!("an IPv6 address stands in brackets: [{authority}]"));
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let known = |c: char| c.is_alphanumeric() || "-._:".contains(c);
    if host.is_empty() {
        return Err("the host is missing".into());
    }
    if let Some(bad) = host.chars().find(|c| !known(*c)) {
        return Err(format!("the host {} contains {bad:?}", quoted(host)));
    }
    let port = match port {
        None => default_port,
        Some(port) => port
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| format!("{} is no port (1 to 65535)", quoted(port)))?,
    };
    Ok((host.to_owned(), port))
}

fn ca_file(file: Option<&str>, broker: Option<&mut Broker>, path: &KeyPath, report: &mut Report) {
    let Some(file) = file else { return };
    if let Err(error) = std::fs::File::open(file) {
        report.problem(path, format!("{} cannot be read: {error}", quoted(file)));
    }
    let Some(broker) = broker else { return };
    if matches!(broker.transport, Transport::Tcp | Transport::WebSocket) {
        let hint = "use mqtts:// or wss://, or leave it out".to_owned();
        report.suggest(path, format!("{broker} is not encrypted"), Some(hint));
    }
    broker.ca_file = Some(PathBuf::from(file));
}

fn credentials(raw: &raw::Mqtt, path: &KeyPath, report: &mut Report) -> Option<Credentials> {
    let file_path = path.key("password_file");
    let password = match (&raw.password, &raw.password_file) {
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
            Some(password.clone())
        }
        (None, Some(file)) => read_password(file, &file_path, report),
        (None, None) => None,
    };
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

fn read_password(file: &str, path: &KeyPath, report: &mut Report) -> Option<String> {
    // Far beyond any password; guards against /dev/zero and slips of the path.
    const LARGEST: u64 = 65_535;
    let failed = |report: &mut Report, why: String| {
        report.problem(path, format!("{} {why}", quoted(file)));
        None
    };
    match std::fs::metadata(file) {
        Err(error) => return failed(report, format!("cannot be read: {error}")),
        Ok(about) if about.is_dir() => return failed(report, "is a folder".into()),
        Ok(about) if !about.is_file() => return failed(report, "is not a file".into()),
        Ok(about) if about.len() > LARGEST => return failed(report, "is too large for a password".into()),
        Ok(about) => warn_if_readable_for_all(Path::new(file), &about, path, report),
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

fn version(given: Option<&NumberOrText>) -> MqttVersion {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_brokers() {
        for (url, shown, path) in [
            ("mqtt://broker.local", "mqtt://broker.local:1883", "/mqtt"),
            ("mqtts://broker.local:8884/", "mqtts://broker.local:8884", "/mqtt"),
            ("ws://10.0.0.1", "ws://10.0.0.1:80", "/mqtt"),
            ("wss://broker.local/live/mqtt", "wss://broker.local:443", "/live/mqtt"),
            ("mqtt://[::1]:1884", "mqtt://[::1]:1884", "/mqtt"),
        ] {
            let broker = parse_url(url).unwrap();
            assert_eq!((broker.to_string().as_str(), broker.path.as_str()), (shown, path));
        }
    }

    #[test]
    fn urls_that_are_none() {
        for (url, expected) in [
            ("broker.local:1883", "\"broker.local:1883\" has no scheme; write \"mqtt://broker.local:1883\""),
            ("tcp://b", "unknown scheme \"tcp\"; write \"mqtt://b\""),
            ("https://b/x", "unknown scheme \"https\"; write \"wss://b/x\""),
            ("mqqt://b", "unknown scheme \"mqqt\"; did you mean \"mqtt\"?"),
            ("mqtt://", "the host is missing"),
            ("mqtt://:1883", "the host is missing"),
            ("mqtt://b:0", "\"0\" is no port"),
            ("mqtt://b:99999", "\"99999\" is no port"),
            ("mqtt://::1", "an IPv6 address stands in brackets"),
            ("mqtt://[::x]", "\"::x\" is no IPv6 address"),
            ("mqtt://b c", "contains ' '"),
            ("mqtt://b/path", "mqtt:// has no path"),
            ("ws://b/p?q", "must be plain"),
        ] {
            let (message, hint) = parse_url(url).unwrap_err();
            let text = format!("{message}; {}", hint.unwrap_or_default());
            assert!(text.contains(expected), "{url}: {text}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated() {
        let (message, hint) = parse_url("mqtt://user:geheim@b").unwrap_err();
        assert!(!format!("{message}{hint:?}").contains("geheim"));
    }
}
