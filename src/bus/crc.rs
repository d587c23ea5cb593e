//! The checksum that humidity and gas sensors put behind their answers. Of both sides: drivers check it,
//! simulated parts make it.

/// CRC-8 of polynomial x⁸ + x⁵ + x⁴ + 1 (0x31), most significant bit first, from this starting value.
///
/// Sensirion's and ASAIR's chips start from 0xFF, the Si7021 and the HTU21D from 0.
pub fn crc8(start: u8, bytes: &[u8]) -> u8 {
    bytes.iter().fold(start, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 0x31 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_data_sheets() {
        // Sensirion SHT4x data sheet, table "CRC": 0xBEEF has 0x92.
        assert_eq!(crc8(0xFF, &[0xBE, 0xEF]), 0x92);
        // TE HPC199 (HTU21D), "CRC checksum": 0xDC has 0x79, 0x683A has 0x7C, 0x4E85 has 0x6B.
        assert_eq!(crc8(0, &[0xDC]), 0x79);
        assert_eq!(crc8(0, &[0x68, 0x3A]), 0x7C);
        assert_eq!(crc8(0, &[0x4E, 0x85]), 0x6B);
    }
}
