//! Recognises a message of ours by its payload, without parsing JSON. Does not remember anything.

/// What every payload of ours begins with.
const BEGINNING: &[u8] = br#"{"id":""#;

/// What stands before that where a platform wants everything in an object `d`.
const ENVELOPE: &[u8] = br#"{"d":"#;

/// More digits than any row id has.
const MAX_DIGITS: usize = 20;

/// The identity `<epoch>-<row>` of a payload that begins `{"id":"<8 hex digits>-<row>"`, as all of ours do, or with that
/// after `{"d":`.
///
/// Reads at most 43 bytes, whatever the size of the payload. Anything that is not exactly as we write it
/// (upper case, leading zeros, spaces, a row that is no row id) is not ours and has no identity: to store a
/// foreign message twice is harmless, to drop one is not.
pub fn identity(payload: &[u8]) -> Option<(&str, i64)> {
    let payload = payload.strip_prefix(ENVELOPE).unwrap_or(payload);
    let (epoch, rest) = payload.strip_prefix(BEGINNING)?.split_at_checked(8)?;
    if !epoch.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let rest = rest.strip_prefix(b"-")?;
    let digits = rest.iter().take(MAX_DIGITS).take_while(|byte| byte.is_ascii_digit()).count();
    let (row, rest) = rest.split_at(digits);
    if !matches!(row.first(), Some(b'1'..=b'9')) || !matches!(rest, [b'"', b',' | b'}', ..]) {
        return None;
    }
    let row = std::str::from_utf8(row).ok()?.parse().ok()?;
    Some((std::str::from_utf8(epoch).ok()?, row))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_ours() {
        for (payload, expected) in [
            (r#"{"id":"3f9c2a1b-1042","device":"x"}"#, Some(("3f9c2a1b", 1042))),
            (r#"{"id":"3f9c2a1b-1"}"#, Some(("3f9c2a1b", 1))),
            (r#"{"d":{"id":"3f9c2a1b-1","sensor":"air"}}"#, Some(("3f9c2a1b", 1))),
            (r#"{"d":{"d":{"id":"3f9c2a1b-1"}}}"#, None),
            (r#"{"id":"00000000-9223372036854775807"}"#, Some(("00000000", i64::MAX))),
            (r#"{"id":"00000000-9223372036854775808"}"#, None),
            (r#"{"id":"00000000-99999999999999999999999"}"#, None),
            (r#"{"id":"3f9c2a1b-0"}"#, None),
            (r#"{"id":"3f9c2a1b-01"}"#, None),
            (r#"{"id":"3f9c2a1b--1"}"#, None),
            (r#"{"id":"3f9c2a1b-"}"#, None),
            (r#"{"id":"3f9c2a1b-1 "}"#, None),
            (r#"{"id":"3f9c2a1b-1"#, None),
            (r#"{"id":"3f9c2a1b-1""#, None),
            (r#"{"id":"3f9c2a1b-1"x"#, None),
            (r#"{"id":"3F9C2A1B-1"}"#, None),
            (r#"{"id":"3f9c2a1-1"}"#, None),
            (r#"{"id":"3f9c2a1g-1"}"#, None),
            (r#"{"id": "3f9c2a1b-1"}"#, None),
            (r#" {"id":"3f9c2a1b-1"}"#, None),
            (r#"{"device":"x","id":"3f9c2a1b-1"}"#, None),
            ("", None),
        ] {
            assert_eq!(identity(payload.as_bytes()), expected, "{payload}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            identity(&payload);
        }

        #[test]
        fn near_misses_are_read_as_written(text in r#"\{"id":"[0-9a-fA-F]{7,9}-[0-9 -]{0,22}"[,} ]?.{0,20}"#) {
            if let Some((epoch, row)) = identity(text.as_bytes()) {
                let written = format!("{{\"id\":\"{epoch}-{row}\"");
                prop_assert!(text.starts_with(&written));
            }
        }

        #[test]
        fn every_identity_of_ours_is_found(epoch in any::<u32>(), row in 1..=i64::MAX, rest in any::<Vec<u8>>()) {
            let mut payload = format!("{{\"id\":\"{epoch:08x}-{row}\",").into_bytes();
            payload.extend(rest);
            let expected = format!("{epoch:08x}");
            prop_assert_eq!(identity(&payload), Some((expected.as_str(), row)));
        }
    }
}
