//! YAML and environment → one checked [`Config`], once. Opens no device and touches no network.

mod model;

pub use model::*;
