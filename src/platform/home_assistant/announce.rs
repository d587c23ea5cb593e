//! What discovery says of an entity, and by which names: topics, ids, the device. Pure.

use serde_json::{Value, json};

use super::entity::Entity;
use super::{LONGEST_ID, Settings};
use crate::platform::About;

/// Who announces.
pub(super) const ORIGIN: &str = "sensor-bridge";

impl Settings {
    /// `<discovery_prefix>/<component>/<node_id>/<object_id>/…` ("Discovery topic").
    pub(super) fn topic(&self, component: &str, object: &str, last: &str) -> String {
        format!("{}/{component}/{}/{object}/{last}", self.prefix, self.node)
    }

    /// Topic and payload of an announcement.
    pub(super) fn announcement(&self, entity: &Entity, about: &About) -> (String, Vec<u8>) {
        let mut device = json!({
            "identifiers": [self.identifier()],
            "name": self.name,
            "manufacturer": "sensor-bridge",
            "model": "sensor-bridge",
            "sw_version": about.version,
        });
        for (key, value) in [("suggested_area", &self.area), ("configuration_url", &self.url)] {
            if let Some(value) = value {
                device[key] = json!(value);
            }
        }
        let mut body = entity.body.clone();
        body.insert("unique_id".to_owned(), json!(format!("{}_{}", self.node, entity.object)));
        if let Some(topic) = &about.status_topic {
            // `online` and `offline` are what it expects there.
            body.insert("availability_topic".to_owned(), json!(topic));
        }
        body.insert("device".to_owned(), device);
        body.insert("origin".to_owned(), json!({"name": ORIGIN, "sw_version": about.version}));
        (self.topic(entity.component, &entity.object, "config"), Value::Object(body).to_string().into_bytes())
    }

    /// By which the device is known.
    pub(super) fn identifier(&self) -> String {
        format!("{ORIGIN}-{}", self.node)
    }
}

/// `[a-zA-Z0-9_-]` only. Names that need no change stay as they are, in parts joined by `_`; others get a hash of what
/// they were, so that two never become one.
pub(super) fn identifier(parts: &[&str]) -> String {
    let text = parts.join("_");
    let sound = !text.is_empty() && text.len() <= LONGEST_ID && text.chars().all(plain);
    if sound { text } else { hashed(parts) }
}

/// The same with the hash, whatever they are.
pub(super) fn hashed(parts: &[&str]) -> String {
    let mut short: String = parts.join("_").chars().map(|c| if plain(c) { c } else { '_' }).collect();
    short.truncate(LONGEST_ID - 9);
    format!("{short}-{:08x}", hash(&parts.join("\0")))
}

fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// FNV-1a, 32 bit. In ids that must stay, so it must not change.
pub(super) fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
