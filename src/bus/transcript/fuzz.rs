//! Recordings of I2C traffic out of any bytes, for `crate::fuzz`.

use super::{Line, Replay, Transfer};

/// A recording, which is played back to a driver that asks for what was recorded, twice, and then for something else.
pub(crate) fn transcript(bytes: &[u8]) {
    let Ok(mut replay) = Replay::read("any", bytes) else { return };
    let recorded: Vec<(u8, Vec<Transfer>)> =
        replay.tracks.iter().map(|(address, track)| (*address, track.transfers.clone())).collect();
    for _ in 0..2 {
        for (address, transfers) in &recorded {
            for transfer in transfers.iter().take(1_000) {
                ask(&mut replay, *address, transfer);
            }
        }
    }
    for address in 0..=0x7f {
        drop(replay.probe(address));
        drop(replay.write_read(address, &[0xd0], &mut [0; 3]));
    }
}

fn ask(replay: &mut Replay, address: u8, transfer: &Transfer) {
    let mut buffer = vec![0; transfer.read.as_ref().map_or(0, Vec::len)];
    let done = match (&transfer.write, &transfer.read) {
        (Some(bytes), None) => replay.write(address, bytes),
        (None, Some(_)) => replay.read(address, &mut buffer),
        (Some(bytes), Some(_)) => replay.write_read(address, bytes, &mut buffer),
        (None, None) => Ok(()),
    };
    if let Err(error) = done {
        assert!(!error.to_string().is_empty());
    }
}
