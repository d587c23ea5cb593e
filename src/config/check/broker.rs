//! `mqtt.url`, `proxy` and `headers`: where the broker is, and the way to it.

use std::collections::BTreeMap;

use super::super::SecretPlaces;
use super::super::model::{Broker, Proxy, Secret, Tls, Transport};
use super::super::problem::{KeyPath, Report, did_you_mean, quoted};
use super::super::raw;
use super::credentials::secret_file;

pub(super) fn broker(url: Option<&str>, path: &KeyPath, report: &mut Report) -> Option<Broker> {
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
    if url.contains(['?', '#']) {
        return Err(("the URL must be plain: no \"?\" or \"#\"".into(), None));
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
    if tail.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(("the path of the URL must be plain: no spaces".into(), None));
    }
    let web = matches!(transport, Transport::WebSocket | Transport::SecureWebSocket);
    if !web && tail.len() > 1 {
        let message = format!("{scheme}:// has no path, yet {} follows the host", quoted(tail));
        return Err((message, Some("leave it out, or use ws:// or wss://".into())));
    }
    // "/" alone is what browsers add; brokers listen at "/mqtt".
    let path = if web && tail.len() > 1 { tail.to_owned() } else { "/mqtt".to_owned() };
    Ok(Broker {
        transport: *transport,
        host,
        port,
        path,
        headers: Vec::new(),
        proxy: None,
        tls: Tls::default(),
    })
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

/// The proxy that the connection goes through.
pub(super) fn proxy(
    raw: &raw::Mqtt,
    places: &SecretPlaces,
    path: &KeyPath,
    report: &mut Report,
) -> Option<Proxy> {
    let password = raw
        .proxy_password_file
        .as_deref()
        .and_then(|file| secret_file(file, places, &path.key("proxy_password_file"), report));
    let Some(url) = raw.proxy.as_deref() else {
        for (key, given) in
            [("proxy_username", &raw.proxy_username), ("proxy_password_file", &raw.proxy_password_file)]
        {
            if given.is_some() {
                report.suggest(&path.key(key), "means nothing here", Some("it goes with `proxy`".into()));
            }
        }
        return None;
    };
    let at = path.key("proxy");
    if url.contains('@') {
        let hint = "write them under `proxy_username` and `proxy_password_file`".to_owned();
        report.suggest(&at, "user name and password do not belong in the URL", Some(hint));
        return None;
    }
    let rest = match url.split_once("://") {
        None => url,
        Some(("http", rest)) => rest,
        Some((scheme, rest)) => {
            let message = format!("a proxy of the kind {} is not known", quoted(scheme));
            report.suggest(
                &at,
                message,
                Some(format!("write \"http://{rest}\"; TLS to the broker goes through it as it is")),
            );
            return None;
        }
    };
    let (host, port) = match host_and_port(rest.trim_end_matches('/'), 3128) {
        Ok(address) => address,
        Err(message) => {
            report.problem(&at, message);
            return None;
        }
    };
    let credentials = match (&raw.proxy_username, password) {
        (Some(name), password) => Some((name.clone(), Secret(password.unwrap_or_default()))),
        (None, Some(_)) => {
            report.problem(&path.key("proxy_username"), "is missing beside the password");
            None
        }
        (None, None) => None,
    };
    Some(Proxy { host, port, credentials })
}

/// Headers of the request that opens a WebSocket.
pub(super) fn headers(
    given: Option<&BTreeMap<String, String>>,
    broker: Option<&Broker>,
    path: &KeyPath,
    report: &mut Report,
) -> Vec<(String, Secret)> {
    let Some(given) = given else { return Vec::new() };
    if let Some(broker) = broker
        && matches!(broker.transport, Transport::Tcp | Transport::Tls)
    {
        report.suggest(
            path,
            format!("{broker} has no headers"),
            Some("they go with ws:// and wss://".into()),
        );
    }
    // RFC 9110, section 5.6.2; what the hand-shake itself says is not the user's to change.
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    const OURS: [&str; 5] = ["host", "connection", "upgrade", "sec-websocket-key", "sec-websocket-protocol"];
    for (name, value) in given {
        let at = path.key(name);
        if name.is_empty() || !name.chars().all(token) {
            report.problem(&at, format!("{} is no name of a header", quoted(name)));
        } else if OURS.contains(&name.to_lowercase().as_str()) {
            report.problem(&at, "belongs to the WebSocket hand-shake itself");
        }
        // Not repeated: it may be a key.
        if !value.chars().all(|c| c == '\t' || (' '..='~').contains(&c)) {
            report.problem(&at, "must be plain ASCII text without line ends");
        }
    }
    given.iter().map(|(name, value)| (name.clone(), Secret(value.clone()))).collect()
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
        for url in
            ["mqtt://user:geheim@b", "wss://b/mqtt?token=geheim", "mqtt://b?password=geheim", "b#geheim"]
        {
            let (message, hint) = parse_url(url).unwrap_err();
            assert!(!format!("{message}{hint:?}").contains("geheim"), "{url}");
        }
    }
}
