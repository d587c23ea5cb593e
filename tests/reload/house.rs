//! A configuration with outputs that can be commanded, and who commands them. No test of its own.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Mosquitto, Publisher, Subscriber, holds_within, wait_until};
use crate::{SOON, counter, head};

pub(super) const FAN: &str = "  - { id: fan, driver: digital-output, bus: gpio-sim, pin: 22 }\n";
pub(super) const LAMP: &str = "  - { id: lamp, driver: pca9685, bus: sim-1, channel: 3 }\n";

pub(super) fn house(
    folder: &Path,
    broker: &Mosquitto,
    keep_alive: &str,
    outputs: &str,
    allow: &str,
    rest: &str,
) -> String {
    let mqtt = format!(
        "mqtt: {{ url: \"{}\", keep_alive: {keep_alive}, topic: \"t/{{device}}/{{sensor}}/{{quantity}}\" }}\n",
        broker.url()
    );
    format!(
        "{}sensors:\n{}outputs:\n{outputs}commands:\n  - {{ topic: c/pi, allow: [{allow}], reply: r/pi, unsynced: obey }}\n{rest}",
        head(folder, &mqtt),
        counter("steady", "20ms", "")
    )
}

/// A command that is good for a minute.
pub(super) fn command(id: &str, rest: &str) -> String {
    let expires = sensor_bridge::enrich::clock::now().wall.0 / 1_000_000 + 60;
    format!("{{\"id\":\"{id}\",\"expires\":{expires},{rest}}}")
}

/// What was answered to the command of this id.
fn answer(witness: &Subscriber, id: &str) -> Option<Value> {
    witness.messages().iter().filter(|message| message.topic.starts_with("r/")).find_map(|message| {
        let body: Value = serde_json::from_str(&message.payload).ok()?;
        (body["id"] == id).then_some(body)
    })
}

/// Sends a command until it is answered; answers that.
#[track_caller]
pub(super) fn ask(broker: &Mosquitto, witness: &Subscriber, topic: &str, id: &str, rest: &str) -> Value {
    let payload = command(id, rest);
    let mut said = None;
    wait_until(SOON, "the command is answered", || {
        Publisher::once(broker.port(), topic, &["-q", "1", "-m", &payload]);
        // Once more if it was sent before anybody listened.
        holds_within(Duration::from_millis(100), || {
            said = answer(witness, id);
            said.is_some()
        })
    });
    said.unwrap()
}
