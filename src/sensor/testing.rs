//! What the tests of I2C drivers share: a driver over a simulated bus with this part on it.

use std::sync::{Arc, Mutex};

use serde_json::Value as Json;

use super::{Driver, DriverKind, SensorError};
use crate::bus::Buses;
use crate::bus::sim::Simulated;
use crate::bus::sim::fault::{Fault, Faulty};
use crate::reading::Measured;

/// The driver with these options, which must be good.
pub(super) fn driver(kind: &DriverKind, options: Json) -> Arc<dyn Driver> {
    (kind.configure)(options.as_object().unwrap()).unwrap()
}

/// The keys of the problems that these options have.
pub(super) fn problems(kind: &DriverKind, options: Json) -> Vec<String> {
    let problems = (kind.configure)(options.as_object().unwrap()).expect_err("should be refused");
    problems.into_iter().map(|problem| problem.key).collect()
}

/// The numbers of a sample.
pub(super) fn values(measured: &[Measured]) -> Vec<f64> {
    measured.iter().map(|one| one.value.as_f64().unwrap()).collect()
}

/// `sim-1` with this part on it.
pub(super) fn with_part(address: u8, part: Box<dyn Simulated>) -> Buses {
    let buses = Buses::new();
    buses.attach("sim-1", address, Some(part)).unwrap();
    buses
}

/// Opens and reads once.
pub(super) fn read(driver: &Arc<dyn Driver>, buses: &Buses) -> Result<Vec<f64>, SensorError> {
    Ok(values(&driver.open(buses)?.read()?))
}

/// A fault that can be switched while the part runs.
pub(super) type Switch = Arc<Mutex<Option<Fault>>>;

/// The part with a fault to switch.
pub(super) fn switchable(part: Box<dyn Simulated>) -> (Box<dyn Simulated>, Switch) {
    let fault = Switch::default();
    let switch = Arc::clone(&fault);
    (Box::new(Faulty::new(part, move |_| *switch.lock().unwrap())), fault)
}
