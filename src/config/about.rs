//! What a configuration tells an IoT platform of the bridge.

use std::time::Duration;

use super::model::{Change, Config, Filter, Permission};
use crate::platform::{About, OutputAbout, SensorAbout};
use crate::reading::Logged;

impl Config {
    /// What the platform may tell of us. `latest` is asked for the last value of each channel.
    pub fn about(&self, latest: impl Fn() -> Vec<Logged> + Send + Sync + 'static) -> About {
        let allowed = self.platform_commands.as_ref().map(|source| &*source.allow).unwrap_or_default();
        let sensors = self.sensors.iter().map(|sensor| SensorAbout {
            id: sensor.id.clone(),
            driver: sensor.driver.name(),
            interval: sensor.interval,
            quantities: sensor
                .quantities
                .iter()
                .map(|quantity| (quantity.channel.clone(), longest(&quantity.filter, sensor.interval)))
                .collect(),
            state: sensor.state.clone(),
        });
        let outputs = self.outputs.iter().map(|output| OutputAbout {
            id: output.id.clone(),
            percent: (!output.driver.is_digital()).then_some((output.limits.min, output.limits.max)),
            level: output.level.clone(),
            state: output.state.clone(),
            commandable: allowed.contains(&Permission::Output(output.id.clone())),
        });
        let actions = allowed.iter().filter_map(|permission| match permission {
            Permission::Output(_) => None,
            Permission::Action { action, sensor } => Some((action.name(), sensor.clone())),
        });
        About {
            device: self.device.id.clone(),
            place: self.device.place.clone(),
            version: env!("CARGO_PKG_VERSION"),
            status_topic: self.mqtt.as_ref().and_then(|mqtt| mqtt.status_topic.clone()),
            sensors: sensors.collect(),
            outputs: outputs.collect(),
            actions: actions.collect(),
            latest: Box::new(latest),
            // Nobody has given any yet.
            ordered: Box::new(|_| (None, false)),
        }
    }

    /// The channel of this name, if it is still configured and in this unit: what was measured in another one is no
    /// value of it.
    pub fn channel(&self, sensor: &str, quantity: &str, unit: &str) -> Option<&crate::reading::Channel> {
        let sensors = self.sensors.iter().flat_map(|sensor| sensor.channels());
        let outputs = self.outputs.iter().flat_map(|output| [&output.level, &output.state]);
        let name = (sensor, quantity, unit);
        sensors
            .chain(outputs)
            .find(|channel| (channel.sensor.as_str(), channel.quantity.as_str(), &*channel.unit) == name)
    }
}

/// The longest time without a message though nothing changes.
fn longest(filter: &Filter, interval: Duration) -> Option<Duration> {
    match filter.change {
        Change::Always => Some(filter.min_interval.map_or(interval, |least| least.max(interval))),
        _ => filter.heartbeat,
    }
}
