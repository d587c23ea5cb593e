//! YAML and environment → one checked [`Config`], once. Opens no device and touches no network.

pub mod duration;
mod model;

pub use model::*;
