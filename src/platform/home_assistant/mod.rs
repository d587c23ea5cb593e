//! Home Assistant: every quantity, picture and output is announced by MQTT discovery, so that nothing need be configured
//! there. Readings keep the user's own topics and our JSON; Home Assistant is told how to read them.
//!
//! Sources: home-assistant.io, "MQTT" ("MQTT Discovery", "Discovery topic", "Discovery payload", "Use the Birth and Will
//! messages to trigger discovery") and the pages of the MQTT entities that are named beside the code.

mod announce;
mod class;
mod control;
mod dialogue;
mod entity;
mod last;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{About, Dialogue, Platform, PlatformKind, Rules};
use crate::config::options::{self, OptionProblem, note};
use crate::reading::Shape;

pub(super) const KIND: PlatformKind = PlatformKind {
    name: "home-assistant",
    summary: "Home Assistant finds sensors and outputs by itself (MQTT discovery); topics and payloads stay yours",
    options: options::schema::<Options>,
    configure,
    format: None,
};

/// Where Home Assistant says that it is there, whatever its discovery prefix ("Birth and last will messages").
const BIRTH: (&str, &str) = ("homeassistant/status", "online");

/// Longest id of a node, bytes: it is part of every topic and id.
const LONGEST_ID: usize = 64;

#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// First part of the discovery topics, as in Home Assistant's MQTT options.
    #[schemars(extend("default" = "homeassistant"))]
    discovery_prefix: Option<String>,
    /// Id of this bridge in discovery topics and unique ids: letters, digits, `-`, `_`. Default: made of `device.id`.
    #[schemars(extend("examples" = ["greenhouse-pi"]))]
    node_id: Option<String>,
    /// What Home Assistant calls the device. Default: `device.id`.
    #[schemars(extend("examples" = ["Greenhouse"]))]
    device_name: Option<String>,
    /// Area that is suggested for the device.
    #[schemars(extend("examples" = ["Garden"]))]
    area: Option<String>,
    /// Where Home Assistant says that it has started.
    #[schemars(extend("default" = "homeassistant/status"))]
    birth_topic: Option<String>,
    /// What it says there.
    #[schemars(extend("default" = "online"))]
    birth_payload: Option<String>,
    /// Page that the device's entry links to, `http://` or `https://`.
    #[schemars(extend("examples" = ["http://greenhouse-pi.local:8080"]))]
    configuration_url: Option<String>,
}

/// The options, checked.
#[derive(Debug)]
struct Settings {
    prefix: String,
    node: String,
    name: String,
    area: Option<String>,
    birth: (String, String),
    url: Option<String>,
}

fn configure(given: &Map<String, Value>, device: &str) -> Result<Arc<dyn Platform>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let mut check = |key: &str, value: Option<String>, rule: fn(&str) -> Result<(), String>| {
        let value = value?;
        note(&mut problems, key, rule(&value).map(|()| value))
    };
    let settings = Settings {
        prefix: check("discovery_prefix", options.discovery_prefix, topic)
            .unwrap_or_else(|| "homeassistant".to_owned()),
        node: check("node_id", options.node_id, id).unwrap_or_else(|| announce::identifier(&[device])),
        name: check("device_name", options.device_name, words).unwrap_or_else(|| device.to_owned()),
        area: check("area", options.area, words),
        birth: (
            check("birth_topic", options.birth_topic, topic).unwrap_or_else(|| BIRTH.0.to_owned()),
            check("birth_payload", options.birth_payload, words).unwrap_or_else(|| BIRTH.1.to_owned()),
        ),
        url: check("configuration_url", options.configuration_url, url),
    };
    if problems.is_empty() { Ok(Arc::new(HomeAssistant(Arc::new(settings)))) } else { Err(problems) }
}

fn topic(text: &str) -> Result<(), String> {
    let bad = text.is_empty() || text.len() > 128 || text.starts_with('$') || text.contains(['+', '#', '\0']);
    let levels = text.split('/').any(str::is_empty);
    if bad || levels {
        Err("must be a topic: levels with / between, no + and no #".to_owned())
    } else {
        Ok(())
    }
}

/// "Discovery topic": the ids consist of `[a-zA-Z0-9_-]`.
fn id(text: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.is_empty() || text.len() > LONGEST_ID || !text.chars().all(plain) {
        return Err(format!("must be 1 to {LONGEST_ID} letters, digits, \"-\" or \"_\""));
    }
    Ok(())
}

fn words(text: &str) -> Result<(), String> {
    if text.trim().is_empty() || text.len() > 128 || text.chars().any(char::is_control) {
        return Err("must be a text in one line, 128 bytes at most".to_owned());
    }
    Ok(())
}

fn url(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    if rest.is_none_or(str::is_empty) || text.contains(char::is_whitespace) {
        return Err("must begin with http:// or https://".to_owned());
    }
    Ok(())
}

#[derive(Debug)]
struct HomeAssistant(Arc<Settings>);

impl Platform for HomeAssistant {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn rules(&self) -> Rules {
        // "MQTT Image": the bytes of a picture, or base64; not JSON.
        Rules { picture: Some(Shape::Binary), ..Rules::default() }
    }

    fn dialogue(&self, about: &Arc<About>) -> Option<Box<dyn Dialogue>> {
        Some(Box::new(dialogue::Voice::new(self.0.clone(), about.clone())))
    }
}
