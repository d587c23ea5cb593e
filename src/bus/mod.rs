//! The buses that sensors sit on, behind embedded-hal 1.0 traits. The only room that names `rppal`;
//! it knows no sensors.

/// Every bus of this machine, opened on first use and shared by the sensors on it.
#[derive(Debug, Default)]
pub struct Buses {}
