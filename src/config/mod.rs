//! YAML and environment → one checked [`Config`], once. Opens no device and touches no network.

pub mod duration;
mod model;

pub use model::*;

/// Everything wrong with a configuration (being written).
#[derive(Debug, thiserror::Error)]
#[error("bad configuration")]
pub struct Problems;
