//! What the configuration says of the device, checked.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{QUICKSTART, Watson};
use crate::config::options::{self, OptionProblem, note};
use crate::config::{duration, topic};

/// Longest organization, device type or device id ("Device model": identifiers).
const LONGEST: usize = 36;

/// Largest metadata, bytes as JSON.
pub(super) const METADATA: usize = 8192;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    /// Organization id, or `quickstart`: no registration and no password, but QoS 0, no commands, no management and at
    /// most one message a second.
    #[schemars(required, extend("examples" = ["x1y2z3"]))]
    organization: Option<String>,
    /// Device type, as it was registered.
    #[schemars(required, extend("examples" = ["raspberry-pi"]))]
    device_type: Option<String>,
    /// Device id, as it was registered. Default: `device.id`.
    #[schemars(extend("examples" = ["greenhouse-pi"]))]
    device_id: Option<String>,
    /// Event id of the readings: one topic level, with `{sensor}` and `{quantity}` if wanted. With `{quantity}` a message
    /// for each quantity, else one for each sample.
    #[schemars(extend("default" = "{sensor}", "examples" = ["status"]))]
    event: Option<String>,
    /// Take part in device management: the platform sees who we are, where, and what fails, and may ask for a restart.
    managed: Option<RawManaged>,
}

/// Device management.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawManaged {
    /// After how long without a sign of life the platform takes the device for dormant, at least `1h`; the bridge says that
    /// it is there when half of it has passed. Default: never.
    #[schemars(extend("examples" = ["1d"]))]
    lifetime: Option<String>,
    /// What the device is.
    device_info: Option<DeviceInfo>,
    /// Anything else to be known of it.
    metadata: Option<Map<String, Value>>,
    /// Program and arguments that restart the machine when the platform asks for it. Default: such a request is refused.
    #[schemars(extend("examples" = [["/usr/bin/systemctl", "reboot"]]))]
    reboot: Option<Vec<String>>,
    /// Program and arguments that set the machine back when the platform asks for it. Default: such a request is refused.
    factory_reset: Option<Vec<String>>,
    /// Tell the platform which sensors and outputs fail: error codes, and a log of their states. Default: true.
    diagnostics: Option<bool>,
    /// Say that the device is managed no more when the bridge is stopped. Default: false, it goes dormant.
    unmanage_on_exit: Option<bool>,
}

/// What the device is, each if known.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all(serialize = "camelCase"))]
pub(super) struct DeviceInfo {
    /// Serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    manufacturer: Option<String>,
    /// Model.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// Class.
    #[serde(skip_serializing_if = "Option::is_none")]
    device_class: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Version of its software. Default: that of sensor-bridge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fw_version: Option<String>,
    /// Version of its hardware.
    #[serde(skip_serializing_if = "Option::is_none")]
    hw_version: Option<String>,
    /// Where it is, in words. Default: `device.location.name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) descriptive_location: Option<String>,
}

/// Device management, checked.
#[derive(Debug, Clone, Default)]
pub(super) struct Managed {
    /// Whole seconds; 0: for ever.
    pub(super) lifetime: u64,
    pub(super) device_info: DeviceInfo,
    pub(super) metadata: Map<String, Value>,
    /// Program and arguments; `None`: not offered.
    pub(super) reboot: Option<Vec<String>>,
    pub(super) factory_reset: Option<Vec<String>>,
    pub(super) diagnostics: bool,
    pub(super) unmanage: bool,
}

/// The device that these keys describe; `device` is `device.id`.
pub(super) fn check(given: &Map<String, Value>, device: &str) -> Result<Watson, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let named = |problems: &mut Vec<OptionProblem>, key, name: &Option<String>| {
        let name = name.as_deref()?;
        note(problems, key, identifier(name).map_err(|why| format!("{why}: {name:?}")))
    };
    let organization = named(&mut problems, "organization", &options.organization);
    let device_type = named(&mut problems, "device_type", &options.device_type);
    let device_id = match &options.device_id {
        Some(_) => named(&mut problems, "device_id", &options.device_id),
        None => {
            let ours = identifier(device);
            let ours = ours.map_err(|why| format!("is missing, and device.id cannot take its place: {why}"));
            note(&mut problems, "device_id", ours)
        }
    };
    let event = options.event.unwrap_or_else(|| "{sensor}".to_owned());
    let event = note(&mut problems, "event", level(&event));
    let managed = options.managed.map(|raw| managed(raw, &mut problems));
    if managed.is_some() && organization.as_deref() == Some(QUICKSTART) {
        problems.push(OptionProblem::new("managed", "quickstart has no device management: leave it out"));
    }
    match (organization, device_type, device_id, event) {
        (Some(organization), Some(device_type), Some(device_id), Some(event)) if problems.is_empty() => {
            let managed = managed.map(Into::into);
            Ok(Watson { organization, device_type, device_id, event, managed })
        }
        _ => Err(problems),
    }
}

/// A part of the client id: it stands between colons.
fn identifier(name: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match name.len() {
        1..=LONGEST if name.chars().all(good) => Ok(name.to_owned()),
        _ => Err(format!("must be 1 to {LONGEST} letters, digits, \"-\", \"_\" or \".\"")),
    }
}

/// One level of a topic with placeholders.
fn level(event: &str) -> Result<String, String> {
    let template = topic::Template::parse(event).map_err(|error| error.message)?;
    topic::check_level(&template.fill("device", "sensor", "quantity"))?;
    Ok(event.to_owned())
}

fn managed(raw: RawManaged, problems: &mut Vec<OptionProblem>) -> Managed {
    let lifetime = raw.lifetime.and_then(|text| note(problems, "managed.lifetime", lifetime(&text)));
    let metadata = raw.metadata.unwrap_or_default();
    if serde_json::to_string(&metadata).map_or(0, |text| text.len()) > METADATA {
        let message = format!("is larger than {METADATA} bytes as JSON");
        problems.push(OptionProblem::new("managed.metadata", message));
    }
    for (key, program) in [("managed.reboot", &raw.reboot), ("managed.factory_reset", &raw.factory_reset)] {
        let first = program.as_ref().map(|program| program.first().map_or("", String::as_str));
        if first.is_some_and(|first| !first.starts_with('/')) {
            let message = "must begin with the whole path of a program, as in [/usr/bin/systemctl, reboot]";
            problems.push(OptionProblem::new(key, message));
        }
    }
    Managed {
        lifetime: lifetime.unwrap_or(0),
        device_info: raw.device_info.unwrap_or_default(),
        metadata,
        reboot: raw.reboot,
        factory_reset: raw.factory_reset,
        diagnostics: raw.diagnostics.unwrap_or(true),
        unmanage: raw.unmanage_on_exit.unwrap_or(false),
    }
}

/// "Manage device requests": at least 3,600 s.
fn lifetime(text: &str) -> Result<u64, String> {
    const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);
    let lifetime = duration::parse(text)?;
    if !(Duration::from_secs(3600)..=LONGEST).contains(&lifetime) {
        return Err(format!("must be between 1h and 3650d, not {text}; leave it out for ever"));
    }
    Ok(lifetime.as_secs())
}
