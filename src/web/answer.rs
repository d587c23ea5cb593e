//! Answers, and the headers that every one of them carries. Knows nothing of what is answered.

use std::sync::LazyLock;

use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::body::Body;

/// An answer on its way.
pub(super) type Answer = Response<Body>;

/// No other site may frame the page, or use its pictures and data.
const SAFETY: &[(&str, &str)] = &[
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // Not `no-referrer`: with that, browsers send `Origin: null` with the form of the password.
    ("referrer-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Everything comes from this server, and only `script` runs and only `style` is applied, so a text that found its way
/// into a page cannot run.
pub(super) fn policy(script: &str, style: &str) -> String {
    format!(
        "default-src 'none'; script-src {script}; style-src {style}; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// Of nearly every answer: scripts and styles are files.
static FILES_ONLY: LazyLock<String> = LazyLock::new(|| policy("'self'", "'self'"));

/// An answer with a body that is known.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    with_body(status, content_type, Body::whole(body.into()))
}

/// An answer with any body.
pub(super) fn with_body(status: StatusCode, content_type: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    for (name, value) in SAFETY {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    with(answer, header::CONTENT_SECURITY_POLICY, &FILES_ONLY)
}

/// JSON, compact.
pub(super) fn json(value: &serde_json::Value) -> Answer {
    answer(StatusCode::OK, "application/json", value.to_string())
}

/// One line for a person.
pub(super) fn text(status: StatusCode, line: impl Into<String>) -> Answer {
    let mut line: String = line.into();
    line.push('\n');
    answer(status, "text/plain; charset=utf-8", line)
}

/// Somewhere else, with GET.
pub(super) fn see(path: &'static str) -> Answer {
    with(text(StatusCode::SEE_OTHER, path), header::LOCATION, path)
}

/// The answer with one more header; without it if the value cannot be one.
pub(super) fn with(mut answer: Answer, name: HeaderName, value: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}
