//! Percent-encoding (RFC 3986, section 2.1) of what stands in a URL, or in a topic that is written like one.

/// The text with everything but the unreserved characters of RFC 3986 encoded.
pub fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_unreserved_stay() {
        for (text, encoded) in [
            ("air-1_b.c~d", "air-1_b.c~d"),
            ("application/json", "application%2Fjson"),
            ("a b&c=d%", "a%20b%26c%3Dd%25"),
            ("°C", "%C2%B0C"),
        ] {
            assert_eq!(percent_encoded(text), encoded);
        }
    }
}
