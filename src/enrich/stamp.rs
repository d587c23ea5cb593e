//! Values that passed → readings with their channel and their moment. Decides nothing.

use crate::reading::{ChannelId, Moment, Reading, Value};

/// One sample's readings: `values` are positions in `channels` with their values; all carry the same
/// moment, taken once, right after the device answered.
///
/// Panics if a position has no channel: both come from the same list of quantities.
pub fn stamp(channels: &[ChannelId], at: Moment, values: &[(usize, Value)]) -> Vec<Reading> {
    values
        .iter()
        .map(|(position, value)| Reading { channel: channels[*position], at, value: value.clone() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{Clock, Timestamp};

    #[test]
    fn all_of_a_sample_carry_one_moment() {
        let at = Moment { wall: Timestamp(5), since_boot: 3, clock: Clock::Unsynced };
        let channels = [ChannelId(7), ChannelId(8), ChannelId(9)];
        let readings = stamp(&channels, at, &[(0, Value::Float(1.5)), (2, Value::Bool(true))]);
        assert_eq!(
            readings,
            [
                Reading { channel: ChannelId(7), at, value: Value::Float(1.5) },
                Reading { channel: ChannelId(9), at, value: Value::Bool(true) },
            ]
        );
    }
}
