//! As much of the encoding of Protocol Buffers as Sparkplug needs: what stands on the wire, not what it means.
//! <https://protobuf.dev/programming-guides/encoding/>

/// What stands behind a field's number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// The bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Most bytes of a number: ten times seven bits.
const LONGEST: usize = 10;

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Adds a field with a number (unsigned, or a truth value).
pub(super) fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    varint(out, u64::from(field) << 3);
    varint(out, value);
}

/// Adds a field with a double.
pub(super) fn double(out: &mut Vec<u8>, field: u32, value: f64) {
    varint(out, u64::from(field) << 3 | 1);
    out.extend(value.to_le_bytes());
}

/// Adds a field with a text or an embedded message.
pub(super) fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    varint(out, u64::from(field) << 3 | 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

/// Adds a field with a float.
pub(super) fn float(out: &mut Vec<u8>, field: u32, value: f32) {
    varint(out, u64::from(field) << 3 | 5);
    out.extend(value.to_le_bytes());
}

/// The fields of a message, in their order; ends behind the first that makes no sense.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for (index, byte) in self.0.iter().take(LONGEST).enumerate() {
            // The tenth byte has room for one bit.
            value |= u64::from(byte & 0x7f).checked_shl(7 * index as u32)?;
            if byte & 0x80 == 0 {
                self.0 = self.0.get(index + 1..)?;
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn read(&mut self) -> Option<(u32, Wire<'a>)> {
        let key = self.varint()?;
        let field = u32::try_from(key >> 3).ok().filter(|field| *field > 0)?;
        let wire = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            // Groups, which nobody uses any more.
            _ => return None,
        };
        Some((field, wire))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Wire<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_none() {
            self.0 = &[];
        }
        Some(read.ok_or(Malformed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_encoding() {
        // "A Simple Message", "Length-Delimited Records".
        let mut out = Vec::new();
        number(&mut out, 1, 150);
        assert_eq!(out, [0x08, 0x96, 0x01]);
        let mut out = Vec::new();
        bytes(&mut out, 2, b"testing");
        assert_eq!(out, [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]);
        // -2 as an int32 or int64.
        let mut out = Vec::new();
        number(&mut out, 1, -2_i64 as u64);
        assert_eq!(out, [8, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
        assert_eq!(Fields(&out).next(), Some(Ok((1, Wire::Varint(u64::MAX - 1)))));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = Vec::new();
        number(&mut out, 1, u64::MAX);
        double(&mut out, 13, 21.4);
        bytes(&mut out, 300, "é".as_bytes());
        float(&mut out, 12, -0.5);
        let fields: Result<Vec<_>, _> = Fields(&out).collect();
        let expected = [
            (1, Wire::Varint(u64::MAX)),
            (13, Wire::Fixed64(21.4_f64.to_bits())),
            (300, Wire::Bytes("é".as_bytes())),
            (12, Wire::Fixed32((-0.5_f32).to_bits())),
        ];
        assert_eq!(fields.unwrap(), expected);
    }

    #[test]
    fn what_is_cut_off_or_nonsense_is_malformed() {
        for bytes in [
            &[0x08][..],
            &[0x08, 0x80],
            &[0x12, 0x05, 1, 2],
            &[0x09, 1, 2, 3],
            &[0x0d, 1],
            &[0x00, 0x01],
            &[0x0b],
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ] {
            let read: Vec<_> = Fields(bytes).collect();
            assert_eq!(read, [Err(Malformed)], "{bytes:x?}");
        }
    }
}
