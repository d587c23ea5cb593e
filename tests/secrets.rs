//! Whatever is secret stays so: a word is planted in every place that holds a secret, the real binary is run in every way
//! and with every failure that has to do with them, and the word must be in nothing that it says, shows, sends to the
//! wrong place, logs, stores or hands to a child.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use support::{Bridge, Mosquitto, Port, Subscriber, Tunnel, find, holds_within, wait_until};

const SOON: Duration = Duration::from_secs(30);

/// What is planted; each with the file that holds it.
const PLANTED: [(&str, &str); 8] = [
    ("mqtt.password", "Geheim-Mqtt-4711"),
    ("web.password", "Geheim-Web-4711"),
    ("proxy.password", "Geheim-Proxy-4711"),
    ("command.key", "Geheim-Command-4711-0123456789abcdef"),
    ("token", "Geheim-Token-4711"),
    ("sas.key", "R2VoZWltLVNhcy00NzExLTAxMjM0NTY3ODlhYmNkZWY="),
    ("client.key", ""),
    ("config.yaml", "Geheim-Inline-4711"),
];

/// Written out in the configuration, and in the environment.
const INLINE: &str = "Geheim-Inline-4711";
const OF_ENVIRONMENT: &str = "Geheim-Environment-4711";
const OF_HEADER: &str = "Geheim-Header-4711";

/// What must be nowhere: the words as they are and in base64, as they travel in HTTP, and a line of the private key.
fn words(folder: &Path) -> Vec<Vec<u8>> {
    let mut words: Vec<String> = PLANTED.iter().map(|(_, word)| (*word).to_owned()).collect();
    words.extend([INLINE, OF_ENVIRONMENT, OF_HEADER, "Geheim-Sas-4711"].map(str::to_owned));
    words.push("Geheim-Command-4711".to_owned());
    words.push(STANDARD.encode("pi:Geheim-Proxy-4711"));
    let key = fs::read_to_string(folder.join("client.key")).unwrap_or_default();
    words.extend(key.lines().filter(|line| !line.starts_with('-')).take(1).map(|line| line[..40].to_owned()));
    words.retain(|word| !word.is_empty());
    words.into_iter().map(String::into_bytes).collect()
}

fn plant(folder: &Path) {
    for (file, word) in PLANTED.iter().filter(|(file, word)| *file != "config.yaml" && !word.is_empty()) {
        fs::write(folder.join(file), format!("{word}\n")).unwrap();
    }
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(folder.join("client.key"), key.serialize_pem()).unwrap();
    fs::write(folder.join("client.pem"), certificate.pem()).unwrap();
    let script =
        "#!/bin/sh\nenv >environment\ncat /proc/$$/cmdline /proc/$PPID/cmdline >arguments\ncat token\n";
    fs::write(folder.join("token.sh"), script).unwrap();
}

/// Everything of the configuration that can go with any `mqtt` section.
fn rest(folder: &Path) -> String {
    format!(
        "device: {{ id: pi }}
log: {{ path: {0}/bridge.db }}
status: {{ socket: {0}/status.sock }}
web: {{ listen: \"127.0.0.1:0\", password_file: web.password }}
sensors: [{{ id: wave, driver: sim, scenario: sine, min: 0, max: 100, period: 10s, interval: 100ms }}]
mirror: [{{ topics: [\"in/#\"], to: sqlite }}]
commands: [{{ topic: c, allow: [status], hmac_key_file: command.key, reply: r, unsynced: obey }}]
",
        folder.display()
    )
}

fn prepare(mqtt: impl FnOnce(&Path) -> String) -> Bridge {
    Bridge::prepare(|folder| {
        plant(folder);
        format!("{}mqtt: {{ {} }}\n", rest(folder), mqtt(folder))
    })
}

/// Runs it as loudly as it can, looks at it in every way, and ends it. `reached` says when it has got where it should.
fn watched(
    bridge: &Bridge,
    variables: &[(&str, &str)],
    format: &str,
    reached: impl Fn(&str) -> bool,
) -> Vec<u8> {
    let log = bridge.folder().join("stderr");
    let file = fs::File::create(&log).unwrap();
    let mut command = bridge.command(&["run", "--log-level", "trace", "--log-format", format]);
    command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full").envs(variables.iter().copied());
    let mut child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
    let said = || fs::read_to_string(&log).unwrap_or_default();
    let arrived = holds_within(SOON, || reached(&said()));
    let mut seen = fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
    for name in ["HUP", "USR1"] {
        support::signal(&child, name);
    }
    holds_within(SOON, || said().contains("wave") && said().contains("web: http"));
    for arguments in [
        &["check"][..],
        &["check", "--json"],
        &["status"],
        &["status", "--json"],
        &["doctor"],
        &["doctor", "--json"],
        &["read", "wave"],
        &["query"],
        &["query", "--sql", "SELECT * FROM commands"],
        &["buffer", "status"],
        &["schema"],
        &["scan"],
    ] {
        let output = bridge.command(arguments).envs(variables.iter().copied()).output().unwrap();
        seen.extend(output.stdout);
        seen.extend(output.stderr);
    }
    if let Some(port) = port(&said()) {
        seen.extend(page(port, "/", ""));
        seen.extend(page(port, "/api/status", "Authorization: Bearer wrong\r\n"));
        for path in ["/", "/api/status", "/metrics", "/healthz", "/login.js"] {
            seen.extend(page(port, path, "Authorization: Bearer Geheim-Web-4711\r\n"));
        }
    }
    support::signal(&child, "TERM");
    assert!(support::wait_for_exit(&mut child, SOON).is_some(), "does not end");
    assert!(arrived, "it did not get there:\n{}", said());
    seen.extend(said().into_bytes());
    seen
}

fn port(said: &str) -> Option<u16> {
    let rest = said.rsplit_once("web: http://127.0.0.1:")?.1;
    rest.split('/').next()?.parse().ok()
}

/// The whole answer; nothing where the page was just restarted.
fn page(port: u16, path: &str, headers: &str) -> Vec<u8> {
    let mut answer = Vec::new();
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
        stream.set_read_timeout(Some(SOON)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n");
        if stream.write_all(request.as_bytes()).is_ok() {
            // What was read is looked at, whole or not.
            drop(stream.read_to_end(&mut answer));
        }
    }
    answer
}

/// None of the words in these bytes, nor in any file of the folder but those that hold them.
#[track_caller]
fn nowhere(bridge: &Bridge, seen: &[u8]) {
    let words = words(bridge.folder());
    let holds = |bytes: &[u8]| {
        words.iter().find(|word| bytes.windows(word.len()).any(|window| window == word.as_slice()))
    };
    let shown = |word: &Vec<u8>, bytes: &[u8]| {
        let at = bytes.windows(word.len()).position(|window| window == word.as_slice()).unwrap();
        let around = &bytes[at.saturating_sub(200)..(at + 100).min(bytes.len())];
        String::from_utf8_lossy(around).into_owned()
    };
    if let Some(word) = holds(seen) {
        panic!("{} is said: …{}…", String::from_utf8_lossy(word), shown(word, seen));
    }
    let mut looked_at = 0;
    for entry in fs::read_dir(bridge.folder()).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() || PLANTED.iter().any(|(file, _)| *file == name) {
            continue;
        }
        let Ok(bytes) = fs::read(&path) else { continue };
        looked_at += 1;
        if let Some(word) = holds(&bytes) {
            panic!("{} is in {}", String::from_utf8_lossy(word), path.display());
        }
    }
    assert!(looked_at >= 3, "log and database are there");
}

/// A mosquitto that wants user and password.
fn strict(folder: &Path, password: &str) -> Mosquitto {
    let file = folder.join("users");
    let done = Command::new(find("mosquitto_passwd"))
        .args(["-b", "-c"])
        .args([file.to_str().unwrap(), "pi", password])
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    // The helper's own line says true; the last one counts.
    Mosquitto::with(&format!("allow_anonymous false\npassword_file {}\n", file.display()))
}

fn connected(said: &str) -> bool {
    said.contains("publisher: ok") && said.contains("mirror sqlite: ok")
}

#[test]
fn a_password_that_works_and_all_that_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let witness_of = |broker: &Mosquitto| Subscriber::start(broker.port(), &["#"], 0);
    // mosquitto checks no password of anonymous clients, and the witness is one: any user is let in.
    let broker = Mosquitto::start();
    let witness = witness_of(&broker);
    for format in ["text", "json", "journal"] {
        let url = broker.url();
        let bridge = prepare(|_| format!("url: \"{url}\", username: pi, password_file: mqtt.password"));
        let seen = watched(&bridge, &[], format, connected);
        nowhere(&bridge, &seen);
    }
    wait_until(SOON, "something was sent", || witness.count() > 10);
    let words = words(folder.path());
    for message in witness.finish() {
        let bytes = format!("{} {}", message.topic, message.payload).into_bytes();
        assert!(
            words.iter().all(|word| !bytes.windows(word.len()).any(|w| w == word.as_slice())),
            "{message:?}"
        );
    }
}

#[test]
fn a_password_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let broker = strict(folder.path(), "another");
    for version in ["3.1.1", "5"] {
        let url = broker.url();
        let bridge = prepare(|_| {
            format!("url: \"{url}\", version: \"{version}\", username: pi, password_file: mqtt.password")
        });
        let refused =
            |said: &str| said.contains("bad user name or password") || said.contains("not authorised");
        nowhere(&bridge, &watched(&bridge, &[], "text", refused));
    }
}

#[test]
fn passwords_written_out_and_in_the_environment() {
    let broker = Mosquitto::start();
    let bridge = prepare(|_| format!("url: \"{}\", username: pi, password: {INLINE}", broker.url()));
    nowhere(&bridge, &watched(&bridge, &[], "text", connected));
    let variables =
        [("SENSOR_BRIDGE__MQTT__PASSWORD", OF_ENVIRONMENT), ("SENSOR_BRIDGE__WEB__PASSWORD", OF_ENVIRONMENT)];
    let bridge = Bridge::prepare(|folder| {
        plant(folder);
        let rest = rest(folder).replace(", password_file: web.password", "");
        // A child that is not to see the environment's.
        let script = folder.join("token.sh").display().to_string();
        format!(
            "{rest}mqtt: {{ url: \"{}\", username: pi, token: {{ command: [/bin/sh, {script}] }} }}\n",
            broker.url()
        )
    });
    let variables_with_token = [variables[1], ("SENSOR_BRIDGE__MQTT__PROXY_USERNAME", OF_ENVIRONMENT)];
    let said = watched(&bridge, &variables_with_token[..1], "text", connected);
    nowhere(&bridge, &said);
    let environment = fs::read_to_string(bridge.folder().join("environment")).unwrap();
    assert!(environment.contains("PATH=") && !environment.contains("SENSOR_BRIDGE"), "{environment}");

    let bridge = prepare(|_| format!("url: \"{}\", username: pi", broker.url()));
    nowhere(&bridge, &watched(&bridge, &variables[..1], "text", connected));
}

#[test]
fn tokens_of_every_kind() {
    let broker = Mosquitto::start();
    let url = broker.url();
    for token in [
        "command: [/bin/sh, FOLDER/token.sh], refresh: 10s",
        "file: FOLDER/token",
        "jwt: { key_file: client.key, audience: x }",
        "sas: { key_file: sas.key, resource: hub/devices/pi }",
    ] {
        let bridge = prepare(|folder| {
            let token = token.replace("FOLDER", &folder.display().to_string());
            format!("url: \"{url}\", username: pi, token: {{ {token} }}")
        });
        let seen = watched(&bridge, &[], "text", connected);
        assert!(!String::from_utf8_lossy(&seen).contains("SharedAccessSignature"), "{token}");
        nowhere(&bridge, &seen);
    }
    for (token, why) in [
        ("command: [/bin/sh, -c, \"cat token; exit 3\"]", "ended with"),
        ("command: [/bin/sh, -c, \"cat token token\"]", "more than one line"),
        ("command: [/bin/sh, -c, \"cat token; printf '\\\\377'\"]", "no text"),
    ] {
        let bridge = prepare(|_| format!("url: \"{url}\", username: pi, token: {{ {token} }}"));
        nowhere(&bridge, &watched(&bridge, &[], "text", |said| said.contains(why)));
    }
}

#[test]
fn a_key_a_proxy_and_headers_that_do_not_help() {
    // Nobody speaks TLS there.
    let port = Port::reserve();
    let refusing = Tunnel::start(Some("Basic bm9ib2R5"));
    let through = |more: &str| {
        let port = port.number();
        format!(
            "url: \"mqtts://localhost:{port}\", tls: {{ ca_file: client.pem, cert_file: client.pem, key_file: client.key }}, {more}"
        )
    };
    let absolute =
        |folder: &Path, text: String| text.replace("client.pem", &format!("{}/client.pem", folder.display()));
    let bridge = prepare(|folder| absolute(folder, through("")));
    nowhere(&bridge, &watched(&bridge, &[], "text", |said| said.contains("publisher: failed")));
    let proxy = format!(
        "proxy: \"http://127.0.0.1:{}\", proxy_username: pi, proxy_password_file: proxy.password",
        refusing.port()
    );
    let bridge = prepare(|folder| absolute(folder, through(&proxy)));
    nowhere(&bridge, &watched(&bridge, &[], "text", |said| said.contains("407")));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://127.0.0.1:{}/x", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // A server that says everything back.
            if let Ok(head) = support::head(&mut stream) {
                let answer = format!(
                    "HTTP/1.1 401 {}\r\n{}\r\n",
                    "Unauthorized",
                    &head[head.find("\r\n").unwrap() + 2..]
                );
                drop(stream.write_all(answer.as_bytes()));
            }
        }
    });
    let bridge = prepare(|_| format!("url: \"{url}\", headers: {{ X-Api-Key: {OF_HEADER} }}"));
    nowhere(&bridge, &watched(&bridge, &[], "text", |said| said.contains("401")));
}

/// Secrets where they do not belong, or in a form that is wrong: refused, and not repeated.
#[test]
fn mistakes_are_told_without_the_secret() {
    const WORD: &str = "Geheim-Inline-4711";
    for (section, key) in [
        ("mqtt", "url: \"mqtt://pi:WORD@b\""),
        ("mqtt", "url: \"WORD@b\""),
        ("mqtt", "url: \"wss://b/mqtt?token=WORD\""),
        ("mqtt", "url: \"mqtt://b\", password: { a: WORD }"),
        ("mqtt", "url: \"mqtt://b\", password: [WORD]"),
        ("mqtt", "url: \"mqtt://b\", username: pi, password: WORD, password_file: mqtt.password"),
        ("mqtt", "url: \"mqtt://b\", username: pi, pasword: WORD"),
        ("mqtt", "url: \"mqtt://b\", username: pi, password: \"WORD"),
        ("mqtt", "url: \"mqtt://b\", username: pi, password: WORD: x"),
        ("mqtt", "url: \"mqtt://b\", username: pi, password: !secret WORD"),
        ("mqtt", "url: \"mqtt://b\", username: pi, password: WORD, password: WORD"),
        ("mqtt", "url: \"mqtt://b\", password: WORD"),
        ("mqtt", "url: \"mqtt://b\", proxy: \"http://pi:WORD@p\""),
        ("mqtt", "url: \"mqtt://b\", proxy_password: WORD"),
        ("mqtt", "url: \"mqtt://b\", token: WORD"),
        ("mqtt", "url: \"mqtt://b\", headers: { X-Key: WORD }"),
        ("mqtt", "url: \"ws://b\", headers: { X-Key: \"WORD\\n\" }"),
        ("mqtt", "url: \"ws://b\", headers: { X-Key: [WORD] }"),
        ("mqtt", "url: \"ws://b\", headers: [WORD]"),
        ("mqtt", "url: \"mqtts://b\", tls: { cert_file: mqtt.password, key_file: mqtt.password }"),
        ("mqtt", "url: \"mqtts://b\", tls: { ca_file: mqtt.password }"),
        ("mqtt", "url: \"mqtts://b\", token: { jwt: { key_file: mqtt.password, audience: x } }"),
        ("mqtt", "url: \"mqtts://b\", token: { sas: { key_file: mqtt.password, resource: x } }"),
        ("web", "listen: \"0.0.0.0:1\", password: [WORD]"),
        ("web", "listen: \"127.0.0.1:1\", password: WORD, password_file: web.password"),
        ("web", "listen: \"127.0.0.1:1\", password_file: short"),
    ] {
        let bridge = Bridge::prepare(|folder| {
            plant(folder);
            fs::write(folder.join("short"), "Geheim").unwrap();
            format!(
                "log: {{ path: {}/bridge.db }}\n{section}: {{ {} }}\nsensors: [{{ id: s, driver: sim }}]\n",
                folder.display(),
                key.replace("WORD", WORD)
            )
        });
        let mut refused = false;
        for arguments in [&["check"][..], &["check", "--json"], &["doctor"], &["status"], &["run"]] {
            // One that is not refused would run.
            if arguments == ["run"] && !refused {
                continue;
            }
            let output = bridge.run(arguments);
            refused |= output.status.code() == Some(78);
            let said = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&said);
            assert!(!text.contains("Geheim"), "{key}, {arguments:?}: {text}");
        }
    }
    // A number that is meant as a password is not repeated either.
    for key in ["password: 47114711", "headers: { X-Key: 47114711 }", "token: 47114711"] {
        let bridge = Bridge::prepare(|_| {
            format!("mqtt: {{ url: \"ws://b\", username: pi, {key} }}\nsensors: [{{ id: s, driver: sim }}]\n")
        });
        let output = bridge.run(&["check"]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(78) && !text.contains("4711"), "{key}: {text}");
    }
}
