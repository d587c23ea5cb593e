//! Whether a text is as it was written: a CRC-32 against accidents, an HMAC-SHA-256 (RFC 2104) against people; and
//! names that only who has a key can tell. Pure; what is done with a text that is not, others decide.
//!
//! The value is the last member of a JSON object: `"crc32":"<8 hexadecimal digits>"` over the text as it was before
//! that member was added, or `"hmac":"<64 hexadecimal digits>"` over the topic, a line end, and that text.
//!
//! The text itself is protected, not what it means, so nobody has to agree on how numbers, spaces or the order of
//! keys are written, and nothing can hide in what two parsers read differently (a key that stands there twice, a
//! number with too many digits). The topic is under the HMAC, so that what was said to or of one device cannot be
//! played to another with the same key. It is not under the CRC-32, which a broker that renames topics need not
//! break: against accidents the text is enough.

use std::fmt;

use ring::hmac;

/// A shorter key could be guessed, bytes.
pub const SHORTEST_KEY: usize = 16;

/// Digits of a pseudonym: 64 bits, so that among a million devices no two are likely to share one.
const PSEUDONYM: usize = 16;

/// A key of an HMAC-SHA-256; its `Debug` prints stars.
#[derive(Clone)]
pub struct Key(hmac::Key);

impl Key {
    /// Of these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The name that stands for `id`: the first 16 hexadecimal digits of its HMAC. The same for the same key and id,
    /// and without the key nobody can find the id by trying.
    pub fn pseudonym(&self, id: &str) -> String {
        let mut name = hexadecimal(hmac::sign(&self.0, id.as_bytes()).as_ref());
        name.truncate(PSEUDONYM);
        name
    }

    /// The HMAC of topic and text.
    fn tag(&self, topic: &str, text: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        [topic.as_bytes(), b"\n", text].into_iter().for_each(|piece| context.update(piece));
        context.sign()
    }
}

/// By what they make of nothing: the key itself cannot be seen any more.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.tag("", b"").as_ref() == other.tag("", b"").as_ref()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a payload carries so that it can be checked.
#[derive(Debug, Clone, PartialEq)]
pub enum Integrity {
    /// A CRC-32 (ISO-HDLC, as in zip and PNG).
    Crc32,
    /// An HMAC-SHA-256 by the first key. By any of them when it is checked, so that keys can be changed.
    Hmac(Vec<Key>),
}

impl fmt::Display for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Integrity::Crc32 => f.write_str("a CRC-32"),
            Integrity::Hmac(keys) if keys.len() > 1 => {
                write!(f, "an HMAC-SHA-256 by one of {} keys", keys.len())
            }
            Integrity::Hmac(_) => f.write_str("an HMAC-SHA-256"),
        }
    }
}

impl Integrity {
    /// Adds its member to a JSON object that has members. Anything else is left as it is.
    pub fn seal(&self, topic: &str, payload: &mut Vec<u8>) {
        if !payload.starts_with(b"{\"") || !payload.ends_with(b"}") {
            return;
        }
        let (name, digits) = match self {
            Integrity::Crc32 => ("crc32", format!("{:08x}", crc32fast::hash(payload))),
            Integrity::Hmac(keys) => {
                let Some(key) = keys.first() else { return };
                ("hmac", hexadecimal(key.tag(topic, payload).as_ref()))
            }
        };
        payload.pop();
        payload.extend_from_slice(format!(",\"{name}\":\"{digits}\"}}").as_bytes());
    }

    /// Whether a payload carries the right value.
    ///
    /// # Errors
    /// What is wrong, without a word about what would be right.
    pub fn check(&self, topic: &str, payload: &[u8]) -> Result<(), &'static str> {
        match self {
            Integrity::Crc32 => crc(payload),
            Integrity::Hmac(keys) => verify(keys, topic, payload),
        }
    }
}

fn crc(payload: &[u8]) -> Result<(), &'static str> {
    const MISSING: &str = "carries no CRC-32: its last member must be \"crc32\", 8 hexadecimal digits";
    let (text, value) = split::<4>(payload, b"\"crc32\"").ok_or(MISSING)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(text);
    hasher.update(b"}");
    match hasher.finalize().to_be_bytes() == value {
        true => Ok(()),
        false => Err("carries a wrong CRC-32: it was changed on its way"),
    }
}

/// Whether a payload carries the HMAC by one of these keys.
///
/// # Errors
/// What is wrong, without a word about what would be right.
pub fn verify(keys: &[Key], topic: &str, payload: &[u8]) -> Result<(), &'static str> {
    const MISSING: &str = "carries no HMAC: its last member must be \"hmac\", 64 hexadecimal digits";
    let (text, value) = split::<32>(payload, b"\"hmac\"").ok_or(MISSING)?;
    let text = [topic.as_bytes(), b"\n", text, b"}"].concat();
    // Each in constant time.
    match keys.iter().any(|key| hmac::verify(&key.0, &text, &value).is_ok()) {
        true => Ok(()),
        false => Err("carries a wrong HMAC: another key, topic or text"),
    }
}

/// The text before the last member but for its last brace, and the value of that member.
fn split<'a, const BYTES: usize>(payload: &'a [u8], name: &[u8]) -> Option<(&'a [u8], [u8; BYTES])> {
    let before = |text: &'a [u8], end: &[u8]| Some(text.strip_suffix(end)?.trim_ascii_end());
    let rest = before(before(payload.trim_ascii_end(), b"}")?, b"\"")?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(2 * BYTES)?)?;
    let mut value = [0; BYTES];
    for (byte, pair) in value.iter_mut().zip(digits.chunks(2)) {
        for letter in pair {
            let digit = char::from(*letter).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(digit).ok()?;
        }
    }
    let rest = before(before(before(rest, b"\"")?, b":")?, name)?;
    Some((rest.strip_suffix(b",")?, value))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &[u8] = b"0123456789abcdef";

    fn kinds() -> [Integrity; 2] {
        [Integrity::Crc32, Integrity::Hmac(vec![Key::new(KEY)])]
    }

    fn sealed(integrity: &Integrity, topic: &str, text: &str) -> String {
        let mut payload = text.as_bytes().to_vec();
        integrity.seal(topic, &mut payload);
        String::from_utf8(payload).unwrap()
    }

    /// Made by `printf 't\n{"id":"a"}' | openssl dgst -sha256 -hmac 0123456789abcdef` and by
    /// `printf '{"id":"a"}' | gzip -c | tail -c8 | head -c4 | od -An -tx4`.
    #[test]
    fn others_come_to_the_same_values() {
        let [crc, hmac] = kinds().map(|kind| sealed(&kind, "t", r#"{"id":"a"}"#));
        assert_eq!(crc, r#"{"id":"a","crc32":"9aa4e643"}"#);
        assert_eq!(
            hmac,
            r#"{"id":"a","hmac":"dc9dccc0f15dd38c6a35536ae003d77205d4bc31ce1fb004caf288ffc88286ad"}"#
        );
        // printf greenhouse-pi | openssl dgst -sha256 -hmac 0123456789abcdef
        assert_eq!(Key::new(KEY).pseudonym("greenhouse-pi"), "30b3abc33010d943");
    }

    /// What somebody in between may do, and whether it is found by (CRC-32, HMAC).
    #[test]
    fn tampering() {
        const TEXT: &str = r#"{"id":"3f9c2a1b-7","device":"pi","value":21.4,"unit":"°C","time":"2026-11-20T07:00:00.123456Z","big":9007199254740993}"#;
        type Change = fn(&str) -> String;
        let cases: [(&str, Change, [bool; 2]); 17] = [
            ("nothing", |text| text.to_owned(), [false, false]),
            ("a line end after it", |text| format!("{text}\r\n"), [false, false]),
            (
                "spaces about the last member",
                |text| text.replace(",\"crc32\":", " , \"crc32\" : ").replace(",\"hmac\":", " , \"hmac\" : "),
                [true, true],
            ),
            ("another value", |text| text.replace("21.4", "21.5"), [true, true]),
            ("the same value written otherwise", |text| text.replace("21.4", "21.40"), [true, true]),
            ("another time", |text| text.replace("07:00:00.1", "08:00:00.1"), [true, true]),
            ("a huge number by one", |text| text.replace("0993", "0992"), [true, true]),
            ("a field dropped", |text| text.replace(r#""unit":"°C","#, ""), [true, true]),
            ("a field added in front", |text| text.replacen('{', r#"{"late":true,"#, 1), [true, true]),
            ("a field twice", |text| text.replacen(r#","unit""#, r#","value":99,"unit""#, 1), [true, true]),
            ("a field added behind", |text| text.replace("\"}", "\",\"value\":99}"), [true, true]),
            (
                "the last member twice",
                |text| {
                    let member = text.rsplit_once(',').unwrap().1.trim_end_matches('}').to_owned();
                    text.replace(&member, &format!("{member},{member}"))
                },
                [true, true],
            ),
            (
                "keys in another order",
                |text| text.replace(r#""device":"pi","value":21.4"#, r#""value":21.4,"device":"pi""#),
                [true, true],
            ),
            ("a letter written as an escape", |text| text.replace('°', "\\u00b0"), [true, true]),
            ("a letter in another form of Unicode", |text| text.replace("°C", "℃"), [true, true]),
            ("the member gone", |text| format!("{}}}", text.rsplit_once(',').unwrap().0), [true, true]),
            (
                "another object with a CRC of its own",
                |_| sealed(&Integrity::Crc32, "t", r#"{"id":"3f9c2a1b-8","value":99}"#),
                [false, true],
            ),
        ];
        for (what, change, found) in cases {
            for (kind, found) in kinds().iter().zip(found) {
                let changed = change(&sealed(kind, "castel/pi/air", TEXT));
                let verdict = kind.check("castel/pi/air", changed.as_bytes());
                assert_eq!(verdict.is_err(), found, "{what}: {kind:?} {changed} {verdict:?}");
            }
        }
        // The same message on another topic.
        let [crc, hmac] = kinds();
        assert_eq!(crc.check("castel/other/air", sealed(&crc, "castel/pi/air", TEXT).as_bytes()), Ok(()));
        let played = hmac.check("castel/other/air", sealed(&hmac, "castel/pi/air", TEXT).as_bytes());
        assert!(played.unwrap_err().contains("wrong HMAC"));
    }

    #[test]
    fn keys_can_be_changed() {
        let [old, new, other] = [KEY, b"another key, long", b"a key of nobody's"].map(Key::new);
        let by_old = sealed(&Integrity::Hmac(vec![old.clone()]), "t", r#"{"id":"a"}"#);
        assert_eq!(verify(&[new.clone(), old], "t", by_old.as_bytes()), Ok(()));
        assert!(verify(&[new, other], "t", by_old.as_bytes()).unwrap_err().contains("wrong"));
        assert!(verify(&[], "t", by_old.as_bytes()).is_err());
    }

    #[test]
    fn what_is_no_object_is_left_alone_and_carries_nothing() {
        for kind in kinds() {
            for text in ["", "21.4", "online", "{}", "[1]", "aGVsbG8=", "}", "\"}"] {
                assert_eq!(sealed(&kind, "t", text), text);
                assert!(kind.check("t", text.as_bytes()).unwrap_err().starts_with("carries no"), "{text}");
            }
            assert!(kind.check("t", "é\"}".as_bytes()).is_err());
            assert!(kind.check("t", &[b"\"hmac\":\"", &[0xFF; 64][..], b"\"}"].concat()).is_err());
            assert!(kind.check("t", format!("{{\"hmac\":\"{}\"}}", "0".repeat(64)).as_bytes()).is_err());
        }
    }

    #[test]
    fn a_key_is_not_printed() {
        let printed = format!("{:?}", Integrity::Hmac(vec![Key::new(KEY)]));
        assert_eq!(printed, "Hmac([***])");
    }

    proptest! {
        #[test]
        fn any_text_is_known_again_and_any_bytes_are_taken(
            topic in ".*", text in ".*", bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            for kind in kinds() {
                let object = serde_json::json!({ "text": text }).to_string();
                let payload = sealed(&kind, &topic, &object);
                prop_assert!(serde_json::from_str::<serde_json::Value>(&payload).is_ok());
                prop_assert_eq!(kind.check(&topic, payload.as_bytes()), Ok(()));
                prop_assert!(kind.check(&topic, &bytes).is_err());
            }
        }
    }
}
