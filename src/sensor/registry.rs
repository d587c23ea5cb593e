//! The one table of drivers. A new driver is one file and one line here.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::Driver;

/// One kind of sensor that a configuration may name.
#[derive(Debug, Clone, Copy)]
pub struct DriverKind {
    /// What stands behind `driver:`.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// JSON Schema of its keys: `{"type": "object", "properties": {…}, "required": […]}`.
    pub options: fn() -> Value,
    /// Makes a driver from its keys, or says everything that is wrong with them.
    pub configure: Configure,
}

/// See [`DriverKind::configure`].
pub type Configure = fn(&Map<String, Value>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>>;

/// What is wrong with one key of a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionProblem {
    /// The key.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
}

/// All drivers.
pub fn registry() -> &'static [DriverKind] {
    &[]
}

/// The driver of this name.
pub fn find(name: &str) -> Option<&'static DriverKind> {
    registry().iter().find(|kind| kind.name == name)
}
