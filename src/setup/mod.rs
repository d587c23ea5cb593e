//! The first configuration: what is connected to this machine, and a file that reads it. Asks nobody and writes
//! nothing.

mod found;
mod propose;
#[cfg(test)]
mod tests;

pub use found::{Chip, Found, look};
pub use propose::{Broker, Choices, propose};
