//! The web page: who is logged in stays so.

use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::Path;

use crate::support::{Bridge, wait_until};
use crate::{SOON, assert_goes_on, counter, head, reload};

#[test]
fn who_is_logged_in_stays_so_and_sees_the_new_sensors() {
    let config = |folder: &Path, rest: &str| {
        std::fs::write(folder.join("web.password"), "correct horse\n").unwrap();
        format!(
            "{}web: {{ listen: \"127.0.0.1:0\", password_file: web.password }}\nsensors:\n{}{rest}",
            head(folder, ""),
            counter("steady", "20ms", "")
        )
    };
    let mut bridge = Bridge::start(|folder| config(folder, ""));
    let port = || -> Option<u16> {
        let said = bridge.stderr();
        said.rsplit_once("web: http://127.0.0.1:")?.1.split('/').next()?.parse().ok()
    };
    wait_until(SOON, "it listens", || port().is_some());
    let port = port().unwrap();
    let send = |request: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(stream, "{request}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let form = "password=correct+horse";
    let entered = send(&format!(
        "POST /login HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    ));
    let cookie =
        entered.lines().find_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next()).unwrap();
    let get = |path: &str| {
        send(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        ))
    };
    assert!(get("/api/status").starts_with("HTTP/1.1 200 "), "{entered}");
    assert!(get("/api/series?sensor=new&quantity=value&range=1h").starts_with("HTTP/1.1 404 "));
    let said = reload(&bridge, &config(bridge.folder(), &counter("new", "20ms", "")));
    assert_eq!(said, "sensor new added");
    let status = get("/api/status");
    assert!(status.starts_with("HTTP/1.1 200 ") && status.contains("\"sensor\":\"new\""), "{status}");
    assert!(status.contains("sensor new added"), "it is among the events: {status}");
    assert!(get("/api/series?sensor=new&quantity=value&range=1h").starts_with("HTTP/1.1 200 "));
    // Another password is another door.
    std::fs::write(bridge.folder().join("web.password"), "battery staple\n").unwrap();
    bridge.signal("HUP");
    wait_until(SOON, "the page starts anew", || bridge.stderr().contains("reload: web page restarted"));
    assert!(bridge.terminate().success());
    assert_goes_on(&bridge, "steady");
}
