//! The page and its files: written by hand, part of the program, nothing from elsewhere.
//!
//! The page is one answer: how it looks, its script and, last, what there is to see now. So a browser has values to
//! paint at once; each file that it would have to ask for first, and the stream of news, cost it more time than all
//! else.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use hyper::header;
use hyper::{HeaderMap, StatusCode};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::answer::{self, Answer, with};
use super::body::Body;
use super::live::Live;

/// A file beside the page, for whoever has not said the password yet.
struct File {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! style {
    () => {
        include_str!("page/style.css")
    };
}

/// The parts of the page's script; each knows those before it.
macro_rules! script {
    () => {
        concat!(
            include_str!("page/elements.js"),
            include_str!("page/words.js"),
            include_str!("page/plot.js"),
            include_str!("page/pictures.js"),
            include_str!("page/page.js"),
        )
    };
}

/// The page as far as it is always the same. Its script runs when all of the page has come.
const BEGINNING: &str = concat!(
    include_str!("page/head.html"),
    "<style>",
    style!(),
    "</style>\n</head>\n<body>\n",
    include_str!("page/body.html"),
    "<script type=\"module\">",
    script!(),
    "</script>\n",
);

/// Nothing runs in the page, and nothing dresses it, but these two texts.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let only = |text| format!("'sha256-{}'", sha256(text));
    answer::policy(&only(script!()), &only(style!()))
});

/// The page for a visitor of whom it must know `session`.
pub(super) fn document(session: Json, live: Arc<Live>) -> Answer {
    let (sender, frames) = mpsc::channel(1);
    tokio::spawn(async move {
        // Who does not wait for all of it has gone.
        if sender.send(Bytes::from_static(BEGINNING.as_bytes())).await.is_ok() {
            let pieces = live.glance(Instant::now()).await.unwrap_or_else(|| "null".to_owned());
            sender.send(ending(&session, &pieces).into()).await.unwrap_or_default();
        }
    });
    let answer = answer::with_body(StatusCode::OK, HTML, Body::Frames(frames));
    with(answer, header::CONTENT_SECURITY_POLICY, &POLICY)
}

/// What the script begins with. No text in it can end the element that it stands in.
fn ending(session: &Json, pieces: &str) -> String {
    let first = format!("{{\"session\":{session},\"pieces\":{pieces}}}").replace('<', "\\u003c");
    format!("<script type=\"application/json\" id=\"first\">{first}</script>\n</body>\n</html>\n")
}

const FILES: &[File] = &[
    File { path: "/style.css", content_type: "text/css; charset=utf-8", text: style!() },
    File { path: "/icon.svg", content_type: "image/svg+xml", text: include_str!("page/icon.svg") },
    File { path: "/login", content_type: HTML, text: include_str!("page/login.html") },
    File { path: "/login.js", content_type: SCRIPT, text: include_str!("page/login.js") },
];

/// The file of this path. Browsers keep it and ask whether it is still the same.
pub(super) fn file(path: &str, headers: &HeaderMap) -> Option<Answer> {
    let file = FILES.iter().find(|file| file.path == path)?;
    let tag = format!("\"{}\"", sha256(file.text));
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let answer = match known {
        true => answer::answer(StatusCode::NOT_MODIFIED, file.content_type, ""),
        false => answer::answer(StatusCode::OK, file.content_type, file.text),
    };
    Some(with(with(answer, header::CACHE_CONTROL, "no-cache"), header::ETAG, &tag))
}

fn sha256(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of what is written for people's browsers, each text.
    fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
        FILES.iter().map(|file| (file.path, file.text)).chain([("the page", BEGINNING)])
    }

    #[test]
    fn the_page_is_small_and_asks_nobody_else() {
        assert!(BEGINNING.len() < 80_000, "{} bytes", BEGINNING.len());
        for (path, text) in texts() {
            let text = text.replace("http://www.w3.org/2000/svg", "").replace("url(#", "");
            for address in ["http://", "https://", "\"//", "'//", "url(", "@import", "eval(", "innerHTML"] {
                assert!(!text.contains(address), "{path}: {address}");
            }
        }
    }

    #[test]
    fn nothing_is_inline_but_the_one_script_and_the_one_style() {
        for (path, text) in texts() {
            let text = text.replacen(style!(), "", 1).replacen(script!(), "", 1);
            for element in ["<style>", "<script type=\"module\">"] {
                assert_eq!(text.contains(element), path == "the page", "{path}: {element}");
            }
            let text =
                text.replacen("<style></style>", "", 1).replacen("<script type=\"module\"></script>", "", 1);
            for inline in ["<style", "style=", "<script>", "onclick", "onload", "javascript:"] {
                assert!(!text.contains(inline), "{path}: {inline}");
            }
        }
        // They end where they end.
        assert!(!style!().contains("</") && !script!().contains("</") && !script!().contains("<!--"));
    }

    #[test]
    fn no_text_ends_the_element_that_it_stands_in() {
        let ending = ending(&Json::Null, r#"{"topic/</script><script>alert(1)//":"<!-- \u003c"}"#);
        assert_eq!(ending.matches('<').count(), 4, "{ending}");
        let first = ending.split_once('>').unwrap().1.split_once('<').unwrap().0;
        let first: Json = serde_json::from_str(first).unwrap();
        assert_eq!(first["pieces"]["topic/</script><script>alert(1)//"], "<!-- <");
    }

    #[test]
    fn a_known_file_is_not_sent_again() {
        let first = file("/login", &HeaderMap::new()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(file("/login", &headers).unwrap().status(), StatusCode::NOT_MODIFIED);
        assert!(file("/nowhere", &headers).is_none());
    }
}
