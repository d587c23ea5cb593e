//! Azure IoT Hub: readings as device-to-cloud messages with a property bag, direct methods as commands, and the device
//! twin with what is reported and desired.
//!
//! After Microsoft's documentation of IoT Hub: "Communicate with an IoT hub using the MQTT protocol", "Understand and use
//! device twins", "Understand and invoke direct methods", "Quotas and throttling". Cloud-to-device messages are not heard.

mod twin;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{About, Dialogue, Platform, PlatformKind, Rules, percent_encoded};
use crate::config::options;
use crate::config::options::{OptionProblem, note};
use crate::reading::Qos;

pub(super) const KIND: PlatformKind = PlatformKind {
    name: "azure-iot-hub",
    summary: "Azure IoT Hub: messages with properties, direct methods, the device twin",
    options: options::schema::<Options>,
    configure,
    format: None,
};

/// "Device-to-cloud messages can be at most 256 KB", properties included: a part is left for them.
const LARGEST_PAYLOAD: usize = 252 * 1024;

/// "The maximum client keep-alive value you can set is 1767 / 1.5 = 1177 seconds".
const LONGEST_KEEP_ALIVE: Duration = Duration::from_secs(1177);

/// What the documentation tells to say in the user name.
const API_VERSION: &str = "2021-04-12";

/// Longest property bag of our own, bytes; far below what fits, so that it stays one.
const LONGEST_PROPERTIES: usize = 2_000;

/// "Quotas and throttling": a hub of the smallest size takes 100 device-to-cloud messages a second, of all devices.
const RATE: u32 = 50;

#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The hub: its name, or its host name.
    #[schemars(required, extend("examples" = ["contoso", "contoso.azure-devices.net"]))]
    hub: Option<String>,
    /// Device id at the hub. Default: the device id.
    #[schemars(extend("examples" = ["greenhouse-pi"]))]
    device: Option<String>,
    /// What a message holds. Azure counts messages.
    #[schemars(extend("default" = "quantity", "examples" = ["sample"]))]
    messages: Option<Messages>,
    /// Further properties of every message, for routes and queries.
    #[schemars(extend("examples" = [{"building": "43"}]))]
    properties: Option<BTreeMap<String, String>>,
    /// Messages of readings a second, at most; what is more waits. A hub of the smallest size takes 100 of all its devices.
    #[schemars(range(min = 1, max = 10_000), extend("default" = RATE, "examples" = [100], "x-unit" = "messages/s"))]
    rate: Option<u32>,
    /// After a start, set the outputs again to what the twin desires though they were before. Otherwise they stay at their
    /// safe level until something is desired anew.
    #[schemars(extend("default" = false, "examples" = [true]))]
    restore: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Messages {
    /// One quantity.
    Quantity,
    /// All quantities of a sample.
    Sample,
}

#[derive(Debug)]
struct AzureIotHub {
    /// Host name.
    hub: String,
    device: String,
    topic: String,
    picture_topic: String,
    restore: bool,
    rate: u32,
}

fn configure(given: &Map<String, Value>, device: &str) -> Result<Arc<dyn Platform>, Vec<OptionProblem>> {
    let (options, mut problems): (Options, _) = options::parse("", given);
    let hub = options.hub.unwrap_or_default();
    let hub = match hub.contains('.') {
        true => hub,
        false => format!("{hub}.azure-devices.net"),
    };
    note(&mut problems, "hub", host(&hub));
    let device = options.device.unwrap_or_else(|| device.to_owned());
    let hint = if given.contains_key("device") { "" } else { "; name the device of the hub here" };
    note(&mut problems, "device", device_id(&device).map_err(|why| format!("{device:?} {why}{hint}")));
    let own =
        note(&mut problems, "properties", bag(&options.properties.unwrap_or_default())).unwrap_or_default();
    let events = format!("devices/{device}/messages/events/");
    let quantity = match options.messages {
        Some(Messages::Sample) => "",
        _ => "&quantity={quantity}",
    };
    // A picture may go out as it is, which is not JSON; it says itself what it is.
    let picture_topic = format!("{events}sensor={{sensor}}&quantity={{quantity}}{own}");
    let topic = format!("{events}$.ct=application%2Fjson&$.ce=utf-8&sensor={{sensor}}{quantity}{own}");
    let rate = note(&mut problems, "rate", super::pace(options.rate, RATE)).unwrap_or(RATE);
    let restore = options.restore.unwrap_or(false);
    let platform = AzureIotHub { hub, device, topic, picture_topic, restore, rate };
    if problems.is_empty() { Ok(Arc::new(platform)) } else { Err(problems) }
}

fn host(hub: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    let name = hub.split('.').next().unwrap_or_default();
    if name.is_empty() || hub.len() > 253 || !hub.chars().all(good) {
        return Err("must be the name of a hub such as \"contoso\", or its host name".to_owned());
    }
    Ok(())
}

/// "Identity registry", device identity properties: at most 128 characters, letters, digits and some others; less what is no
/// level of a topic, or would be taken for a placeholder.
fn device_id(id: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-.%_*?!(),:=@$'".contains(c);
    if id.is_empty() || id.len() > 128 || !id.chars().all(good) {
        return Err("is no device id of Azure: 1 to 128 of a-z, A-Z, 0-9 and - . % _ * ? ! ( ) , : = @ $ '"
            .to_owned());
    }
    Ok(())
}

/// Properties as they follow others in a topic.
fn bag(properties: &BTreeMap<String, String>) -> Result<String, String> {
    for name in properties.keys() {
        if name.is_empty() || name.starts_with('$') || ["sensor", "quantity"].contains(&name.as_str()) {
            return Err(format!("cannot contain {name:?}: the name is empty or taken"));
        }
    }
    let encoded =
        |(name, value): (&String, &String)| format!("&{}={}", percent_encoded(name), percent_encoded(value));
    let bag: String = properties.iter().map(encoded).collect();
    if bag.len() > LONGEST_PROPERTIES {
        return Err(format!("have {} bytes together; at most {LONGEST_PROPERTIES}", bag.len()));
    }
    Ok(bag)
}

impl Platform for AzureIotHub {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn rules(&self) -> Rules {
        let (hub, device) = (&self.hub, &self.device);
        Rules {
            url: Some(format!("mqtts://{hub}")),
            client_id: Some(device.clone()),
            username: Some(format!("{hub}/{device}/?api-version={API_VERSION}")),
            identified: true,
            sas_resource: Some(format!("{hub}/devices/{device}")),
            topic: Some(self.topic.clone()),
            picture_topic: Some(self.picture_topic.clone()),
            encoded: true,
            no_status: true,
            max_qos: Some(Qos::AtLeastOnce),
            no_retain: true,
            max_payload: Some(LARGEST_PAYLOAD),
            max_keep_alive: Some(LONGEST_KEEP_ALIVE),
            v5: Some(false),
            alone: true,
            tls: true,
            pace: Some(self.rate),
            ..Rules::default()
        }
    }

    fn dialogue(&self, about: &Arc<About>) -> Option<Box<dyn Dialogue>> {
        Some(Box::new(twin::Twin::new(about.clone(), self.restore)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(options: Value) -> Rules {
        configure(options.as_object().unwrap(), "MyDevice01").unwrap().rules()
    }

    /// "Using the MQTT protocol directly (as a device)", with the names of its examples.
    #[test]
    fn the_connection_is_that_of_the_documentation() {
        for hub in ["contoso", "contoso.azure-devices.net"] {
            let rules = rules(json!({"hub": hub}));
            assert_eq!(rules.client_id.as_deref(), Some("MyDevice01"));
            assert_eq!(
                rules.username.as_deref(),
                Some("contoso.azure-devices.net/MyDevice01/?api-version=2021-04-12")
            );
            assert_eq!(rules.url.as_deref(), Some("mqtts://contoso.azure-devices.net"));
            assert_eq!(rules.sas_resource.as_deref(), Some("contoso.azure-devices.net/devices/MyDevice01"));
        }
        let rules = rules(json!({"hub": "contoso.azure-devices.cn", "device": "pi-2"}));
        assert_eq!(rules.url.as_deref(), Some("mqtts://contoso.azure-devices.cn"));
        assert_eq!(rules.client_id.as_deref(), Some("pi-2"));
    }

    /// "Sending device-to-cloud messages": the property bag.
    #[test]
    fn topics_carry_the_properties() {
        assert_eq!(
            rules(json!({"hub": "contoso"})).topic.as_deref(),
            Some(
                "devices/MyDevice01/messages/events/$.ct=application%2Fjson&$.ce=utf-8&sensor={sensor}&quantity={quantity}"
            )
        );
        let options =
            json!({"hub": "contoso", "messages": "sample", "properties": {"wing": "A & B", "a": "ü"}});
        assert_eq!(
            rules(options).topic.as_deref(),
            Some(
                "devices/MyDevice01/messages/events/$.ct=application%2Fjson&$.ce=utf-8&sensor={sensor}&a=%C3%BC&wing=A%20%26%20B"
            )
        );
    }

    #[test]
    fn options_that_are_wrong_are_named() {
        for (options, expected) in [
            (json!({}), "hub: is missing"),
            (json!({"hub": "con toso"}), "hub: must be the name"),
            (json!({"hub": ".net"}), "hub: must be the name"),
            (json!({"hub": "c", "device": "a/b"}), "device: \"a/b\" is no device id"),
            (json!({"hub": "c", "messages": "all"}), "messages: "),
            (json!({"hub": "c", "properties": {"$.ct": "x"}}), "properties: cannot contain \"$.ct\""),
            (json!({"hub": "c", "properties": {"a": "x".repeat(3_000)}}), "properties: have 3003 bytes"),
        ] {
            let problems = configure(options.as_object().unwrap(), "pi").unwrap_err();
            let shown: Vec<_> = problems.iter().map(|p| format!("{}: {}", p.key, p.message)).collect();
            assert!(shown.len() == 1 && shown[0].contains(expected), "{options}: {shown:?}");
        }
        let problems = configure(json!({"hub": "c"}).as_object().unwrap(), "mein gerät").unwrap_err();
        assert!(problems[0].message.contains("name the device of the hub here"), "{problems:?}");
    }
}
