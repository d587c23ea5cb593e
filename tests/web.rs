//! The page of the real binary: where it says it listens, what it shows of sensors that are read, that it goes with
//! a reload and comes back, and that nothing is open unless it is configured. A browser looks at it in `make web-test`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use support::{Bridge, wait_until};

const SOON: Duration = Duration::from_secs(30);

fn config(folder: &Path, web: &str) -> String {
    format!(
        "device: {{ id: bench }}
log: {{ path: {}/bridge.db }}
{web}
sensors:
  - {{ id: wave, driver: sim, scenario: sine, min: 0, max: 100, period: 10s, interval: 50ms }}
",
        folder.display()
    )
}

/// The port that it said last.
fn port(bridge: &Bridge) -> Option<u16> {
    let said = bridge.stderr();
    let rest = said.rsplit_once("web: http://127.0.0.1:")?.1;
    rest.split('/').next()?.parse().ok()
}

/// Status line and everything after it.
fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Sockets that the process listens on (proc_net_tcp(5): state 0A), told apart by inode.
fn listening(bridge: &Bridge) -> usize {
    let pid = bridge.pid().unwrap();
    let links = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let inodes: Vec<String> = links
        .filter_map(|link| std::fs::read_link(link.unwrap().path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned()))
        .collect();
    let tables =
        ["tcp", "tcp6"].map(|name| std::fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default());
    let columns =
        tables.iter().flat_map(|table| table.lines()).map(|line| line.split_whitespace().collect::<Vec<_>>());
    columns
        .filter(|line| {
            line.get(3) == Some(&"0A") && line.get(9).is_some_and(|one| inodes.iter().any(|own| own == one))
        })
        .count()
}

#[test]
fn the_page_shows_what_is_read_and_follows_a_reload() {
    let mut bridge = Bridge::start(|folder| config(folder, "web: { listen: \"127.0.0.1:0\" }"));
    wait_until(SOON, "it listens", || port(&bridge).is_some());
    let first = port(&bridge).unwrap();
    assert!(get(first, "/").contains("<title>sensor-bridge</title>"));
    let series = "/api/series?sensor=wave&quantity=value&range=1h";
    wait_until(SOON, "readings are plotted", || {
        let answer = get(first, series);
        answer.starts_with("HTTP/1.1 200 ") && !answer.contains("\"count\":0,")
    });
    let metrics = get(first, "/metrics");
    assert!(metrics.contains("sensor_bridge_readings_total{"), "{metrics}");
    assert!(get(first, "/healthz").starts_with("HTTP/1.1 200 "));

    // Without the section nothing is open.
    bridge.configure(&config(bridge.folder(), ""));
    bridge.signal("HUP");
    wait_until(SOON, "it is closed", || TcpStream::connect(("127.0.0.1", first)).is_err());
    wait_until(SOON, "the reload is done", || bridge.stderr().contains("web: stopped"));
    assert_eq!(listening(&bridge), 0);
    bridge.configure(&config(bridge.folder(), "web: { listen: \"127.0.0.1:0\" }"));
    bridge.signal("HUP");
    wait_until(SOON, "it is open again", || {
        port(&bridge).is_some_and(|port| TcpStream::connect(("127.0.0.1", port)).is_ok())
    });
    assert_eq!(listening(&bridge), 1);
    assert!(bridge.terminate().success());
}

#[test]
fn from_the_network_only_with_a_password() {
    let bridge = Bridge::prepare(|folder| config(folder, "web: { listen: \"0.0.0.0:8480\" }"));
    let output = bridge.run(&["check"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(
        said.contains("web: a password is missing: 0.0.0.0:8480 can be reached from the network"),
        "{said}"
    );

    bridge.configure(&config(
        bridge.folder(),
        "web: { listen: \"0.0.0.0:8480\", password_file: web.password }",
    ));
    std::fs::write(bridge.folder().join("web.password"), "correct horse\n").unwrap();
    let output = bridge.run(&["check"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("http://0.0.0.0:8480/ with a password, without TLS"), "{shown}");
    assert!(!shown.contains("horse"));
}

/// Answers to a form sent to `/output`.
fn switch(port: u16, headers: &str, form: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let length = form.len();
    write!(
        stream,
        "POST /output HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{form}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn outputs_are_set_by_who_knows_the_password_and_only_those_that_are_named() {
    let outputs = "outputs:
  - { id: fan, driver: digital-output, bus: gpio-sim, pin: 22 }
  - { id: pump, driver: digital-output, bus: gpio-sim, pin: 23 }
";
    let web = "web: { listen: \"127.0.0.1:0\", password: correct horse, allow: [fan] }";
    let bridge = Bridge::start(|folder| format!("{}{outputs}", config(folder, web)));
    wait_until(SOON, "the page listens", || port(&bridge).is_some());
    let port = port(&bridge).unwrap();
    let known = "Authorization: Bearer correct horse\r\n";
    assert!(switch(port, "", "name=fan&level=on").starts_with("HTTP/1.1 401"));
    assert!(switch(port, known, "name=pump&level=on").starts_with("HTTP/1.1 403"));
    assert!(switch(port, known, "name=fan&level=halfway").starts_with("HTTP/1.1 400"));
    assert!(switch(port, known, "level=on").starts_with("HTTP/1.1 400"));
    let done = switch(port, known, "name=fan&level=on");
    assert!(done.starts_with("HTTP/1.1 200") && done.contains("fan is on"), "{done}");
    let commands: String = bridge
        .database()
        .query_row("SELECT group_concat(source || ' ' || outcome) FROM commands", [], |row| row.get(0))
        .unwrap();
    assert_eq!(commands, "local:web done", "in the log, and nothing that was refused at the door");
}
