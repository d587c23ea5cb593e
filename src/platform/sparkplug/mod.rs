//! Sparkplug B (Eclipse Sparkplug specification 3.0.0): the bridge is an edge node, its sensors and outputs are devices,
//! their quantities metrics.
//!
//! | file | its job |
//! |---|---|
//! | `protobuf` | the encoding |
//! | `payload` | metrics |
//! | `device` | what a device is born with |
//! | `node` | births and deaths, sequence numbers, commands |
//! | `host` | whether the primary host is there |

mod device;
mod host;
mod node;
mod payload;
mod protobuf;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::{Map, Value};

use self::node::Node;
use self::payload::{Metric, Payload, millis};
use super::{About, Dialogue, Platform, PlatformKind, Rules};
use crate::config::options::{self, OptionProblem};
use crate::config::topic::check_level;
use crate::reading::{Format, Logged, Qos};

pub(super) const KIND: PlatformKind = PlatformKind {
    name: "sparkplug-b",
    summary: "Eclipse Sparkplug 3.0: births, deaths and metrics for SCADA hosts such as Ignition",
    options: options::schema::<Options>,
    configure,
    format: Some(write),
};

#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Group id: the second level of all topics.
    #[schemars(required, extend("examples" = ["Greenhouses"]))]
    group: Option<String>,
    /// Edge node id, unique in its group. Default: the device id.
    #[schemars(extend("examples" = ["greenhouse-pi"]))]
    node: Option<String>,
    /// Host id of the primary host application: while it is not online, nothing is said, and readings wait in the log.
    #[schemars(extend("examples" = ["scada"]))]
    primary_host: Option<String>,
}

fn configure(given: &Map<String, Value>, device: &str) -> Result<Arc<dyn Platform>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    for (key, id) in
        [("group", &options.group), ("node", &options.node), ("primary_host", &options.primary_host)]
    {
        options::note(&mut problems, key, id.as_deref().map_or(Ok(()), check_level));
    }
    match options.group {
        Some(group) if problems.is_empty() => {
            let node = options.node.unwrap_or_else(|| device.to_owned());
            Ok(Arc::new(Sparkplug { group, node, primary_host: options.primary_host }))
        }
        _ => Err(problems),
    }
}

/// Who we are.
#[derive(Debug, Clone)]
struct Sparkplug {
    group: String,
    node: String,
    primary_host: Option<String>,
}

impl Sparkplug {
    /// Topic of a message of this kind about the node (section 4.1).
    fn topic(&self, kind: &str) -> String {
        format!("spBv1.0/{}/{kind}/{}", self.group, self.node)
    }

    /// The same about a device.
    fn device_topic(&self, kind: &str, device: &str) -> String {
        format!("{}/{device}", self.topic(kind))
    }
}

impl Platform for Sparkplug {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn rules(&self) -> Rules {
        Rules {
            topic: Some(self.device_topic("DDATA", "{sensor}")),
            // Nothing but Sparkplug may stand in its namespace.
            picture_topic: Some("sensors/{device}/{sensor}/{quantity}".to_owned()),
            format: Some(Format::new(KIND.name, "")),
            no_status: true,
            max_qos: Some(Qos::AtMostOnce),
            no_retain: true,
            clean: true,
            ..Rules::default()
        }
    }

    fn dialogue(&self, about: &Arc<About>) -> Option<Box<dyn Dialogue>> {
        Some(Box::new(Node::new(self.clone(), about.clone())))
    }
}

/// A DDATA that is complete but for what [`Dialogue::seal`](super::Dialogue::seal) adds.
fn write(buffer: &mut Vec<u8>, _: &str, sample: &[Logged], late: bool) {
    let Some(first) = sample.first() else { return };
    let metrics = sample.iter().map(|reading| Metric::of(reading, late)).collect();
    let uuid = Some(first.row.to_string());
    Payload { timestamp: Some(millis(first.at)), metrics, seq: None, uuid }.encode(buffer);
}
