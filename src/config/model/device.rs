//! Who this machine is and where it stands.

use crate::config::pseudonym::Pseudonym;
use crate::reading::Place;

/// Identity and place of this machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Device id; fills `{device}` in topics. The pseudonym, if there is to be one.
    pub id: String,
    /// The pseudonym, if there is one, with the id that it stands for.
    pub pseudonym: Option<Pseudonym>,
    /// Fixed place, already rounded to `location.precision`.
    pub place: Option<Place>,
}
