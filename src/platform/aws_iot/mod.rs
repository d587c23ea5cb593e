//! AWS IoT Core: a broker like others, with limits and names of its own, and beside it the device shadow. Every reading
//! goes to a topic of the user's choice; the shadow is the current state and what is desired of the outputs.
//!
//! After the AWS IoT Core Developer Guide, "MQTT", "Device Shadow MQTT topics", "Device Shadow service documents", and
//! "AWS IoT Core endpoints and quotas".

mod shadow;

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{About, Dialogue, Platform, PlatformKind, Rules};
use crate::config::duration;
use crate::config::options;
use crate::config::options::{OptionProblem, note};
use crate::reading::Qos;

pub(super) const KIND: PlatformKind = PlatformKind {
    name: "aws-iot",
    summary: "AWS IoT Core: a thing's certificate, its limits, and the device shadow",
    options: options::schema::<Options>,
    configure,
    format: None,
};

/// Quota "MQTT payload": 128 KB.
const LARGEST_PAYLOAD: usize = 128 * 1024;

/// Quota "Topic size".
const LONGEST_TOPIC: usize = 256;

/// Quota "Maximum number of slashes in topic".
const MOST_SLASHES: usize = 7;

/// Quota "Keep-alive interval": the broker takes whatever is longer for this.
const LONGEST_KEEP_ALIVE: Duration = Duration::from_secs(1200);

/// What a client says in the TLS hand-shake when it comes to port 443 with a certificate ("Protocols, port mappings, and
/// authentication").
const ALPN: (u16, &str) = (443, "x-amzn-mqtt-ca");

/// Below the quota "Publish requests per second per connection", 100: what is beyond it is not acknowledged.
const RATE: u32 = 80;

#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Name of the thing, which is the client id as well. Default: the device id.
    #[schemars(extend("examples" = ["greenhouse-pi"]))]
    thing: Option<String>,
    /// Keep the thing's shadow: `true` for the classic one, or the name of a named one. Readings go to their topics all the
    /// same.
    #[schemars(extend("default" = false, "examples" = [true, "climate"]))]
    shadow: Option<Shadow>,
    /// Least time between two reports of readings to the shadow; what came of a desired state is reported at once.
    #[schemars(extend("title" = "duration", "default" = "10s", "examples" = ["1m"]))]
    shadow_interval: Option<String>,
    /// What of the bridge stands in the shadow.
    #[schemars(extend("default" = "readings", "examples" = ["states"]))]
    shadow_content: Option<Content>,
    /// Messages of readings a second, at most; what is more waits. AWS passes over what is more than 100 a second of a connection.
    #[schemars(range(min = 1, max = 10_000), extend("default" = RATE, "examples" = [100], "x-unit" = "messages/s"))]
    rate: Option<u32>,
    /// After a start, set the outputs again to what the shadow desires though they were before. Otherwise they stay at their
    /// safe level until something is desired anew.
    #[schemars(extend("default" = false, "examples" = [true]))]
    restore: Option<bool>,
}

#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
enum Shadow {
    Classic(bool),
    Named(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Content {
    /// Every last reading, and the states of sensors and outputs.
    Readings,
    /// The states of sensors and outputs only.
    States,
}

#[derive(Debug)]
struct AwsIot {
    thing: String,
    shadow: Option<shadow::Settings>,
    rate: u32,
}

fn configure(given: &Map<String, Value>, device: &str) -> Result<Arc<dyn Platform>, Vec<OptionProblem>> {
    let (options, mut problems): (Options, _) = options::parse("", given);
    let thing = options.thing.unwrap_or_else(|| device.to_owned());
    let hint = if given.contains_key("thing") { "" } else { "; name the thing here" };
    note(&mut problems, "thing", name(&thing, 128, "").map_err(|why| format!("{thing:?} {why}{hint}")));
    let interval = options.shadow_interval.as_deref().map_or(Ok(shadow::INTERVAL), interval);
    let interval = note(&mut problems, "shadow_interval", interval).unwrap_or(shadow::INTERVAL);
    let topics = match options.shadow {
        None | Some(Shadow::Classic(false)) => None,
        Some(Shadow::Classic(true)) => Some(format!("$aws/things/{thing}/shadow")),
        Some(Shadow::Named(shadow)) => {
            note(&mut problems, "shadow", name(&shadow, 64, "$").map_err(|why| format!("{shadow:?} {why}")));
            Some(format!("$aws/things/{thing}/shadow/name/{shadow}"))
        }
    };
    if topics.is_none() {
        for key in ["shadow_interval", "shadow_content", "restore"] {
            if given.contains_key(key) {
                let why = Err("means nothing without `shadow`".to_owned());
                note::<()>(&mut problems, key, why);
            }
        }
    }
    let readings = options.shadow_content != Some(Content::States);
    let rate = note(&mut problems, "rate", super::pace(options.rate, RATE)).unwrap_or(RATE);
    let restore = options.restore.unwrap_or(false);
    let shadow = topics.map(|topics| shadow::Settings { topics, interval, readings, restore });
    if problems.is_empty() { Ok(Arc::new(AwsIot { thing, shadow, rate })) } else { Err(problems) }
}

/// Names of things and shadows ("Managing things", `[a-zA-Z0-9:_-]+`; "Device Shadow", with `$`).
fn name(name: &str, longest: usize, also: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_alphanumeric() || ":_-".contains(c) || also.contains(c);
    if name.is_empty() || name.len() > longest || !name.chars().all(good) {
        return Err(format!("is not 1 to {longest} of the characters a-z, A-Z, 0-9, \":\", \"_\", \"-\""));
    }
    Ok(())
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration::parse(text)?;
    match interval {
        _ if interval < Duration::from_secs(1) => {
            Err("must be 1s or more: a shadow takes few updates".into())
        }
        _ if interval > Duration::from_secs(86_400) => Err("must be 1d at most".into()),
        _ => Ok(interval),
    }
}

impl Platform for AwsIot {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn rules(&self) -> Rules {
        Rules {
            client_id: Some(self.thing.clone()),
            identified: true,
            topic_check: Some(topic),
            max_qos: Some(Qos::AtLeastOnce),
            max_payload: Some(LARGEST_PAYLOAD),
            max_keep_alive: Some(LONGEST_KEEP_ALIVE),
            tls: true,
            alpn: Some(ALPN),
            pace: Some(self.rate),
            no_commands: self.shadow.is_none(),
            ..Rules::default()
        }
    }

    fn dialogue(&self, about: &Arc<About>) -> Option<Box<dyn Dialogue>> {
        let settings = self.shadow.as_ref()?;
        Some(Box::new(shadow::Shadow::new(settings, about.clone())))
    }
}

/// Whether AWS takes a message on this topic.
fn topic(topic: &str) -> Result<(), String> {
    let slashes = topic.matches('/').count();
    if slashes > MOST_SLASHES {
        return Err(format!("has {} levels; AWS IoT allows {}", slashes + 1, MOST_SLASHES + 1));
    }
    if topic.len() > LONGEST_TOPIC {
        return Err(format!("has {} bytes; AWS IoT allows {LONGEST_TOPIC}", topic.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(options: Value) -> Vec<String> {
        let result = configure(options.as_object().unwrap(), "greenhouse-pi");
        let problems = result.err().unwrap_or_default();
        problems.into_iter().map(|problem| format!("{}: {}", problem.key, problem.message)).collect()
    }

    #[test]
    fn options_that_are_wrong_are_named() {
        for (options, expected) in [
            (json!({"thing": "my thing"}), "thing: \"my thing\" is not 1 to 128"),
            (json!({"thing": "a".repeat(129)}), "1 to 128"),
            (json!({"shadow": "a/b"}), "shadow: \"a/b\" is not 1 to 64"),
            (json!({"shadow": 7}), "shadow: "),
            (json!({"shadow": true, "shadow_interval": "10ms"}), "shadow_interval: must be 1s or more"),
            (json!({"shadow_interval": "1m"}), "shadow_interval: means nothing without `shadow`"),
            (json!({"shadow": true, "shadow_content": "all"}), "shadow_content: "),
        ] {
            let problems = problems(options.clone());
            assert!(problems.len() == 1 && problems[0].contains(expected), "{options}: {problems:?}");
        }
        assert!(configure(&Map::new(), "my pi").unwrap_err()[0].message.contains("name the thing here"));
        assert_eq!(problems(json!({"thing": "a:b_C-9", "shadow": "$climate-1"})), Vec::<String>::new());
    }

    /// "AWS IoT Core endpoints and quotas", message broker.
    #[test]
    fn topics_within_the_quotas() {
        assert_eq!(topic("1/2/3/4/5/6/7/8"), Ok(()));
        assert!(topic("1/2/3/4/5/6/7/8/9").unwrap_err().contains("9 levels"));
        assert_eq!(topic(&"x".repeat(256)), Ok(()));
        assert!(topic(&"é".repeat(129)).unwrap_err().contains("258 bytes"));
    }
}
