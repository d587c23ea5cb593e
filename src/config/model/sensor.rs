//! What is read, and how often. How its quantities are treated stands in [`super::quantity`].

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::quantity::Quantity;
use crate::reading::{Channel, SensorId};
use crate::sensor::Driver;

/// One sensor.
#[derive(Debug, Clone)]
pub struct Sensor {
    /// Name.
    pub id: SensorId,
    /// The driver with its options checked.
    pub driver: Arc<dyn Driver>,
    /// What the driver was made of: its keys, files named in full.
    pub options: Arc<Map<String, Value>>,
    /// Time between readings.
    pub interval: Duration,
    /// A read that takes longer is reported as hung.
    pub timeout: Duration,
    /// How the quantities are treated; those not wanted (`enabled: false`) are missing.
    pub quantities: Vec<Quantity>,
    /// The channel of the sensor's own state.
    pub state: Channel,
}

impl Sensor {
    /// The channels of its quantities, then that of its own state.
    pub fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.quantities.iter().map(|quantity| &quantity.channel).chain([&self.state])
    }

    /// Whether both are the same device, opened and read in the same way. Decided by what was written: a driver
    /// itself may have moved on.
    pub fn is_same_device(&self, other: &Sensor) -> bool {
        self.driver.name() == other.driver.name()
            && self.options == other.options
            // Some find out what there is when they are configured.
            && self.driver.quantities() == other.driver.quantities()
    }
}

impl PartialEq for Sensor {
    fn eq(&self, other: &Self) -> bool {
        let Self { id, driver: _, options: _, interval, timeout, quantities, state } = self;
        (id, interval, timeout) == (&other.id, &other.interval, &other.timeout)
            && (quantities, state) == (&other.quantities, &other.state)
            && self.is_same_device(other)
    }
}
