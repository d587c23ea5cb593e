//! What a broker says, as the MQTT library reads it, out of any bytes, for `crate::fuzz`.

use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;

/// Largest packet taken, as the configuration would say.
const LARGEST: usize = 1 << 20;

/// More packets than that come of no file of the corpus.
const MOST: usize = 1_000;

/// A letter for the version (`4` is 3.1.1, anything else 5.0), then what comes out of the socket.
pub(crate) fn packets(bytes: &[u8]) {
    let Some((version, bytes)) = bytes.split_first() else { return };
    let mut stream = bytes.iter().copied().collect();
    for _ in 0..MOST {
        let over = match version {
            b'4' => v4::Packet::read(&mut stream, LARGEST).is_err(),
            _ => v5::Packet::read(&mut stream, u32::try_from(LARGEST).ok()).is_err(),
        };
        if over {
            break;
        }
    }
}
