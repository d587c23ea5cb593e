//! Whether somebody with the key says it: HMAC-SHA-256 (RFC 2104) over the topic, a line end, and the command as it
//! was before its last member, `"hmac": "<64 hexadecimal digits>"`, was added.
//!
//! The text itself is signed, not what it means, so nobody has to agree on how numbers, spaces or the order of keys
//! are written. The topic is part of it, so that a command to one device cannot be played to another with the same
//! key.

use ring::hmac;

/// Digits of the value.
const DIGITS: usize = 64;

/// Checks a command's HMAC.
///
/// # Errors
/// What is wrong, without a word about what would be right.
pub(super) fn verify(key: &[u8], topic: &str, payload: &str) -> Result<(), &'static str> {
    const MISSING: &str = "carries no HMAC: its last member must be \"hmac\", 64 hexadecimal digits";
    let (signed, digits) = split(payload).ok_or(MISSING)?;
    let mut value = [0; DIGITS / 2];
    for (byte, pair) in value.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let digit = |letter: u8| char::from(letter).to_digit(16).unwrap_or_default() as u8;
        *byte = pair.iter().fold(0, |byte, letter| byte << 4 | digit(*letter));
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let text = [topic.as_bytes(), b"\n", signed.as_bytes(), b"}"].concat();
    // In constant time.
    hmac::verify(&key, &text, &value).map_err(|_| "carries a wrong HMAC: another key, topic or text")
}

/// What was signed, but for its last brace, and the digits.
fn split(payload: &str) -> Option<(&str, &str)> {
    let rest = payload.trim_end().strip_suffix('}')?.trim_end().strip_suffix('"')?;
    let start = rest.len().checked_sub(DIGITS)?;
    let digits = rest.get(start..).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    let rest = rest.get(..start)?.strip_suffix('"')?.trim_end();
    let rest = rest.strip_suffix(':')?.trim_end().strip_suffix("\"hmac\"")?.trim_end();
    Some((rest.strip_suffix(',')?, digits))
}

/// Signs a command, as senders do.
#[cfg(test)]
pub(super) fn sign(key: &[u8], topic: &str, payload: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), format!("{topic}\n{payload}").as_bytes());
    let digits: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{},\"hmac\":\"{digits}\"}}", payload.strip_suffix('}').unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"0123456789abcdef";

    #[test]
    fn a_signed_command_is_known_whatever_its_spaces() {
        let signed = sign(KEY, "t", r#"{"id":"a"}"#);
        assert_eq!(verify(KEY, "t", &signed), Ok(()));
        assert_eq!(verify(KEY, "t", &signed.replace(",\"hmac\":\"", ", \"hmac\" : \"")), Ok(()));
        assert_eq!(verify(KEY, "t", &format!("{signed}\n")), Ok(()));
    }

    /// Made by `printf 't\n{"id":"a"}' | openssl dgst -sha256 -hmac 0123456789abcdef`.
    #[test]
    fn others_come_to_the_same_value() {
        let ours = sign(KEY, "t", r#"{"id":"a"}"#);
        assert!(ours.ends_with(&format!("\"hmac\":\"{OPENSSL}\"}}")), "{ours}");
    }

    const OPENSSL: &str = "dc9dccc0f15dd38c6a35536ae003d77205d4bc31ce1fb004caf288ffc88286ad";

    #[test]
    fn anything_else_is_not() {
        let signed = sign(KEY, "t", r#"{"id":"a","value":1}"#);
        assert!(verify(b"another key of 16", "t", &signed).unwrap_err().contains("wrong"));
        assert!(verify(KEY, "u", &signed).unwrap_err().contains("wrong"), "another topic");
        assert!(verify(KEY, "t", &signed.replace(":1", ":2")).unwrap_err().contains("wrong"));
        let last = signed.len() - 3;
        let turned = if &signed[last..=last] == "0" { "1" } else { "0" };
        assert!(verify(KEY, "t", &format!("{}{turned}\"}}", &signed[..last])).is_err());
        for text in ["", "}", "{}", r#"{"id":"a"}"#, r#"{"hmac":"00"}"#, "\"}", "é\"}"] {
            assert!(verify(KEY, "t", text).unwrap_err().contains("carries no HMAC"), "{text}");
        }
        let alone = format!("{{\"hmac\":\"{}\"}}", "0".repeat(64));
        assert!(verify(KEY, "t", &alone).is_err());
        let trailing = signed.replace('}', r#","id":"b"}"#);
        assert!(verify(KEY, "t", &trailing).is_err(), "nothing may follow it");
    }
}
