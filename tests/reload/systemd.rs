//! What systemd is told of a reload.

use std::time::Duration;

use crate::support::{self, Bridge};
use crate::{SOON, counter, head};

#[test]
fn systemd_is_told_when_it_begins_and_when_it_is_done() {
    let sensors = |interval: &str| counter("steady", interval, "");
    let bridge = Bridge::prepare(|folder| format!("{}sensors:\n{}", head(folder, ""), sensors("10ms")));
    let socket = bridge.folder().join("notify");
    let heard = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    heard.set_read_timeout(Some(SOON)).unwrap();
    let said = || {
        let mut message = [0; 1024];
        let length = heard.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    let mut child = bridge.command(&["run"]).env("NOTIFY_SOCKET", &socket).spawn().unwrap();
    assert!(said().contains("READY=1"));
    for config in [sensors("20ms"), "sensors: [".to_owned()] {
        let text = if config.contains('[') {
            config
        } else {
            format!("{}sensors:\n{config}", head(bridge.folder(), ""))
        };
        bridge.configure(&text);
        support::signal(&child, "HUP");
        let begins = said();
        assert!(begins.contains("RELOADING=1\nMONOTONIC_USEC="), "{begins}");
        let ends = said();
        assert!(ends.contains("READY=1"), "{ends}");
    }
    support::signal(&child, "TERM");
    assert!(said().contains("STOPPING=1"));
    assert!(support::wait_for_exit(&mut child, Duration::from_secs(20)).unwrap().success());
}
