//! retention
use super::store::Store;
use crate::reading::Moment;
use std::time::Instant;
#[derive(Debug)]
pub(super) struct Sweeper {}
pub(super) struct Swept {
    pub forced: usize,
}
impl Sweeper {
    pub fn new() -> Self {
        Self {}
    }
    pub fn due(&self) -> Option<Instant> {
        None
    }
    pub fn after_commit(&mut self, _now: Instant) {}
    pub fn step(&mut self, _store: &mut Store, _now: Moment) -> Result<Swept, String> {
        Ok(Swept { forced: 0 })
    }
}
