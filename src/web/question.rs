//! What a request asks for: the parameters of its address, the fields of a form. Bounded, and never trusted.

use std::time::Duration;

use hyper::body::{Body as _, Incoming};

/// A form of ours has one password; that fits.
const LARGEST_FORM: usize = 70_000;

/// Filling in took place before; sending takes no time.
const SLOWEST_FORM: Duration = Duration::from_secs(5);

/// The value of a field in `a=b&c=d`, decoded; the first if there are several.
pub(super) fn field(encoded: &str, name: &str) -> Option<String> {
    encoded.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key)? == name).then(|| decode(value)).flatten()
    })
}

/// `%C2%B0` and `+` (application/x-www-form-urlencoded); `None` for what is not UTF-8 or cut off.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut letters = text.bytes();
    while let Some(letter) = letters.next() {
        bytes.push(match letter {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(letters.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The text of a form; `None` when it is too long, too slow or no text.
pub(super) async fn form(mut body: Incoming) -> Option<String> {
    let read = async {
        let mut text = Vec::new();
        while let Some(frame) = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await
        {
            if let Ok(bytes) = frame.ok()?.into_data() {
                if text.len() + bytes.len() > LARGEST_FORM {
                    return None;
                }
                text.extend_from_slice(&bytes);
            }
        }
        String::from_utf8(text).ok()
    };
    tokio::time::timeout(SLOWEST_FORM, read).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded() {
        let query = "sensor=air&quantity=temp%C3%A9rature+2&empty=&flag&sensor=other&bad=%f";
        assert_eq!(field(query, "sensor").as_deref(), Some("air"));
        assert_eq!(field(query, "quantity").as_deref(), Some("température 2"));
        assert_eq!(field(query, "empty").as_deref(), Some(""));
        assert_eq!(field(query, "flag").as_deref(), Some(""));
        assert_eq!(field(query, "none"), None);
        assert_eq!(field(query, "bad"), None);
        assert_eq!(decode("%ff"), None);
    }
}
