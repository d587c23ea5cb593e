//! Section `status`.

use super::*;

#[test]
fn status() {
    let long = format!("socket: /{}", "x".repeat(120));
    expect_in(
        "status",
        &[
            ("interval: 10ms", "interval: must be between 1s and 1d, not 10ms"),
            (
                "socket: status.sock",
                "socket: must be an absolute path, or off; write for example /run/sensor-bridge/status.sock, or off",
            ),
            ("socket: /run/", "socket: names a folder, not a socket; write \"/run/status.sock\""),
            (&long, "socket: is longer than the 107 bytes that a socket's path may have"),
        ],
    );
    expect(&[
        (
            "status: {interval: 1m}\nsensors: [{id: a, driver: panel}]",
            "line 1: status.interval: means nothing here; it goes with `mqtt:`, the broker",
        ),
        (
            "mqtt: {url: \"mqtt://b\", topic: \"a/{device}/{sensor}/{quantity}\"}\ndevice: {id: d}\nsensors: [{id: x, driver: panel, quantities: {count: {topic: a/d/status/facts}}}]",
            "line 3: sensors[0].quantities.count: x/count would publish on \"a/d/status/facts\", as the status message does; choose another topic, or set `mqtt.status_topic`",
        ),
    ]);
}
