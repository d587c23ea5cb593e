//! The device side of the Watson IoT Platform's protocol, as its successors and gateways speak it: a registered device, or
//! the public `quickstart`. Options and rules; messages of readings are in `payload.rs`, commands in `commands.rs`, device
//! management in `managed.rs`.
//!
//! Section names in this folder are those of the vendor's device documentation (2015–2017).

mod asked;
mod commands;
mod diagnostics;
mod held;
mod managed;
mod options;
mod payload;
mod talk;

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{About, Dialogue, Platform, PlatformKind, Rules};
use crate::config::options as keys;
use crate::config::options::OptionProblem;
use crate::reading::{Format, Qos};

pub(super) const KIND: PlatformKind = PlatformKind {
    name: "watson-iot",
    summary: "a device of the Watson IoT Platform's protocol: events, commands, device management, quickstart",
    options: keys::schema::<options::Options>,
    configure,
    format: Some(payload::write),
};

/// The organization that needs no registration, and gives little.
const QUICKSTART: &str = "quickstart";

/// Largest content of a message, bytes ("MQTT connectivity": payload limit).
const MOST: usize = 131_072;

fn configure(given: &Map<String, Value>, device: &str) -> Result<Arc<dyn Platform>, Vec<OptionProblem>> {
    options::check(given, device).map(|watson| Arc::new(watson) as Arc<dyn Platform>)
}

/// A device.
#[derive(Debug)]
struct Watson {
    organization: String,
    device_type: String,
    device_id: String,
    /// One level of a topic, with placeholders.
    event: String,
    managed: Option<Arc<options::Managed>>,
}

impl Watson {
    fn is_quickstart(&self) -> bool {
        self.organization == QUICKSTART
    }
}

impl Platform for Watson {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn rules(&self) -> Rules {
        let Self { organization, device_type, device_id, event, managed } = self;
        let quickstart = self.is_quickstart();
        let (scheme, port) = if quickstart { ("mqtt", 1883) } else { ("mqtts", 8883) };
        Rules {
            url: Some(format!("{scheme}://{organization}.messaging.internetofthings.ibmcloud.com:{port}")),
            client_id: Some(format!("d:{organization}:{device_type}:{device_id}")),
            username: (!quickstart).then(|| "use-token-auth".to_owned()),
            password: Some(!quickstart),
            topic: Some(format!("iot-2/evt/{event}/fmt/json")),
            format: Some(Format::new(KIND.name, "")),
            no_status: true,
            max_qos: match (quickstart, managed) {
                (true, _) => Some(Qos::AtMostOnce),
                (false, Some(_)) => Some(Qos::AtLeastOnce),
                (false, None) => None,
            },
            no_retain: true,
            max_payload: Some(MOST),
            rate: quickstart.then_some(1.0),
            clean: quickstart,
            no_commands: quickstart,
            alone: true,
            ..Rules::default()
        }
    }

    fn dialogue(&self, about: &Arc<About>) -> Option<Box<dyn Dialogue>> {
        if self.is_quickstart() {
            return None;
        }
        let commands = !about.actions.is_empty() || about.outputs.iter().any(|output| output.commandable);
        let dialogue = talk::Talk::new(about, commands, self.managed.clone());
        (commands || self.managed.is_some()).then(|| Box::new(dialogue) as Box<dyn Dialogue>)
    }
}

#[cfg(test)]
mod tests;
