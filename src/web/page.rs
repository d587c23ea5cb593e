//! The files of the page: written by hand, part of the program, nothing from elsewhere.

use hyper::header;
use hyper::{HeaderMap, StatusCode};

use super::answer::{self, Answer, with};

const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// A file of the page.
struct File {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
    /// Whether it may be seen before the password is known.
    is_public: bool,
}

impl File {
    const fn of(path: &'static str, content_type: &'static str, text: &'static str) -> Self {
        Self { path, content_type, text, is_public: false }
    }

    const fn public(self) -> Self {
        Self { is_public: true, ..self }
    }
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const FILES: &[File] = &[
    File::of("/", HTML, include_str!("page/index.html")),
    File::of("/early.js", SCRIPT, include_str!("page/early.js")),
    File::of("/page.js", SCRIPT, include_str!("page/page.js")),
    File::of("/plot.js", SCRIPT, include_str!("page/plot.js")),
    File::of("/style.css", "text/css; charset=utf-8", include_str!("page/style.css")).public(),
    File::of("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")).public(),
    File::of("/login", HTML, include_str!("page/login.html")).public(),
    File::of("/login.js", SCRIPT, include_str!("page/login.js")).public(),
];

/// Whether a file of this path may be seen by anybody.
pub(super) fn is_public(path: &str) -> bool {
    FILES.iter().any(|file| file.path == path && file.is_public)
}

/// The file of this path. Browsers keep it and ask whether it is still the same.
pub(super) fn file(path: &str, headers: &HeaderMap) -> Option<Answer> {
    let file = FILES.iter().find(|file| file.path == path)?;
    // A file changes only with the program; in between versions, its length tells most changes.
    let tag = format!("\"{PROGRAM}-{:x}\"", checksum(file.text));
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let answer = match known {
        true => answer::answer(StatusCode::NOT_MODIFIED, file.content_type, ""),
        false => answer::answer(StatusCode::OK, file.content_type, file.text),
    };
    Some(with(with(answer, header::CACHE_CONTROL, "no-cache"), header::ETAG, &tag))
}

/// Tells one text from another (FNV-1a); not against malice.
fn checksum(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_asks_nobody_else() {
        let all: usize = FILES.iter().map(|file| file.text.len()).sum();
        assert!(all < 80_000, "{all} bytes");
        for file in FILES {
            let text = file.text.replace("http://www.w3.org/2000/svg", "").replace("url(#", "");
            for address in ["http://", "https://", "\"//", "'//", "url(", "@import", "eval(", "innerHTML"] {
                assert!(!text.contains(address), "{}: {address}", file.path);
            }
        }
    }

    #[test]
    fn nothing_is_inline() {
        for file in FILES.iter().filter(|file| file.content_type == HTML) {
            for text in ["<style", "style=", "<script>", "onclick", "onload", "javascript:"] {
                assert!(!file.text.contains(text), "{}: {text}", file.path);
            }
        }
    }

    #[test]
    fn a_known_file_is_not_sent_again() {
        let first = file("/", &HeaderMap::new()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(file("/", &headers).unwrap().status(), StatusCode::NOT_MODIFIED);
        assert!(file("/nowhere", &headers).is_none());
    }
}
