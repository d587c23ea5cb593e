//! The publisher against a real mosquitto and a real log.

mod backlog;
mod connection;
mod delivery;
mod outages;
mod refusals;
mod speed;
mod status;
