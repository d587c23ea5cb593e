//! Which question gets which answer. Every question passes the door first.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::header::{self, HeaderName};
use hyper::{HeaderMap, Method, Request, StatusCode};
use serde_json::json;

use super::answer::{self, Answer, see, text, with};
use super::door::{Door, Refusal, Visitor};
use super::live::Live;
use super::outputs::Outputs;
use super::plots::{self, Wanted};
use super::pool::Pool;
use super::{collect, page, pictures, question};
use crate::facts::{Facts, Snapshot, prometheus};
use crate::reading::Timestamp;

/// Everything that answers.
pub(super) struct Site {
    /// Who may come in.
    pub door: Door,
    /// What is new.
    pub live: Arc<Live>,
    /// The log.
    pub pool: Arc<Pool>,
    /// What the bridge says of itself.
    pub facts: Facts,
    /// The outputs, where there are any to know.
    pub outputs: Option<Arc<Outputs>>,
}

/// Answers one request.
pub(super) async fn answer(site: &Site, request: Request<Incoming>, peer: IpAddr) -> Answer {
    let headers = request.headers();
    if let Err(refusal) = site.door.is_ours(headers) {
        return refused(refusal);
    }
    let path = request.uri().path();
    match (request.method(), path) {
        (&Method::POST, "/login") => login(site, request, peer).await,
        (&Method::POST, "/logout") => logout(site, request, peer),
        (&Method::POST, "/output") => set_output(site, request, peer).await,
        (&Method::GET | &Method::HEAD, "/healthz") => healthy(site, headers, peer).await,
        (&Method::GET | &Method::HEAD, _) => match page::file(path, headers) {
            Some(file) => file,
            None => inside(site, &request, peer).await,
        },
        (_, "/login" | "/logout" | "/output") => not_so("POST"),
        _ => not_so("GET, HEAD"),
    }
}

/// What only those may look at who have said the password, where there is one.
async fn inside(site: &Site, request: &Request<Incoming>, peer: IpAddr) -> Answer {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    match site.door.visitor(request.headers(), peer, Instant::now()) {
        Ok(visitor) => look(site, path, query, visitor).await,
        Err(Refusal::Stranger) if path == "/" => see("/login"),
        Err(refusal) => refused(refusal),
    }
}

/// What may be looked at by who is in. Nothing here changes anything.
async fn look(site: &Site, path: &str, query: &str, visitor: Visitor) -> Answer {
    let field = |name: &str| question::field(query, name);
    match path {
        "/" => page::document(session(&visitor), site.live.clone()),
        "/metrics" => match snapshot(site).await {
            Some(snapshot) => {
                answer::answer(StatusCode::OK, prometheus::CONTENT_TYPE, prometheus::render(&snapshot))
            }
            None => log_unreadable(),
        },
        "/api/status" => match snapshot(site).await {
            Some(snapshot) => answer::json(&json!(snapshot)),
            None => log_unreadable(),
        },
        "/api/session" => answer::json(&session(&visitor)),
        "/api/live" => live(site),
        "/api/series" => {
            let wanted = wanted(site, field("sensor"), field("quantity"));
            let seconds = plots::seconds(&field("range").unwrap_or_else(|| "24h".to_owned()));
            let buckets = field("buckets").map_or(Some(600), |text| text.parse().ok());
            match (wanted, seconds, buckets) {
                (Some(wanted), Some(seconds), Some(buckets)) => {
                    plots::plot(site.pool.clone(), wanted, seconds, buckets).await
                }
                (None, ..) => text(StatusCode::NOT_FOUND, "there is no such sensor and quantity"),
                _ => text(StatusCode::BAD_REQUEST, "range is 1h, 24h, 7d or 30d, buckets a number"),
            }
        }
        "/api/texts" => match wanted(site, field("sensor"), field("quantity")) {
            Some(wanted) => plots::texts(site.pool.clone(), wanted).await,
            None => text(StatusCode::NOT_FOUND, "there is no such sensor and quantity"),
        },
        "/api/sparks" => {
            let names = field("of").unwrap_or_default();
            let pairs = names.split('\n').take(plots::SPARKS).filter_map(|name| name.split_once('/'));
            let all = pairs.filter_map(|(sensor, quantity)| {
                wanted(site, Some(sensor.to_owned()), Some(quantity.to_owned()))
            });
            plots::sparks(site.pool.clone(), all.collect()).await
        }
        "/api/pictures" => {
            let number = |name| field(name).map_or(Some(i64::MAX), |text| text.parse::<i64>().ok());
            match (field("sensor"), field("quantity"), number("before"), number("until")) {
                (Some(sensor), Some(quantity), Some(before), Some(until)) => {
                    // Times of the page are ms.
                    let until = Timestamp(until.saturating_mul(1000).saturating_add(999));
                    pictures::list(site.pool.clone(), sensor, quantity, (before, until)).await
                }
                _ => {
                    let line = "sensor and quantity are missing, or before or until is no number";
                    text(StatusCode::BAD_REQUEST, line)
                }
            }
        }
        _ => match path.strip_prefix("/picture/").map(str::parse) {
            Some(Ok(row)) => pictures::one(site.pool.clone(), row, query == "small").await,
            _ => nowhere(),
        },
    }
}

/// All facts. Gathering them may read the log, so a thread that may wait does it.
async fn snapshot(site: &Site) -> Option<Snapshot> {
    let facts = site.facts.clone();
    tokio::task::spawn_blocking(move || facts.snapshot()).await.ok()
}

/// For what restarts or balances: 200 when all is well, 503 when not. Why is for those who know the password.
async fn healthy(site: &Site, headers: &HeaderMap, peer: IpAddr) -> Answer {
    let may_know = site.door.visitor(headers, peer, Instant::now()).is_ok();
    let Some(snapshot) = snapshot(site).await else { return log_unreadable() };
    let (status, word) = match snapshot.health.healthy {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not healthy"),
    };
    match may_know && !snapshot.health.healthy {
        true => text(status, format!("{word}\n{}", snapshot.health.reasons.join("\n"))),
        false => text(status, word),
    }
}

/// What the page must know of its visitor.
fn session(visitor: &Visitor) -> serde_json::Value {
    match visitor {
        Visitor::Anybody => json!({"password": false, "token": null}),
        Visitor::Program => json!({"password": true, "token": null}),
        Visitor::Person { token } => json!({"password": true, "token": token}),
    }
}

fn wanted(site: &Site, sensor: Option<String>, quantity: Option<String>) -> Option<Wanted> {
    let (sensor, quantity) = (sensor?, quantity?);
    collect::wanted(&site.facts.config(), &sensor, &quantity)
}

fn live(site: &Site) -> Answer {
    match site.live.stream(Instant::now()) {
        Some(body) => answer::with_body(StatusCode::OK, "text/event-stream", body),
        None => {
            let line = "as many pages are open as can be kept up to date; close one";
            with(text(StatusCode::SERVICE_UNAVAILABLE, line), header::RETRY_AFTER, "10")
        }
    }
}

async fn login(site: &Site, request: Request<Incoming>, peer: IpAddr) -> Answer {
    if let Err(refusal) = site.door.is_same_site(request.headers()) {
        return refused(refusal);
    }
    let (parts, body) = request.into_parts();
    let Some(password) = question::form(body).await.and_then(|form| question::field(&form, "password"))
    else {
        return text(StatusCode::BAD_REQUEST, "a password is missing");
    };
    match site.door.enter(&password, &parts.headers, peer, Instant::now()) {
        Ok(cookie) => with(see("/"), header::SET_COOKIE, &cookie),
        Err(Refusal::Wrong) => see("/login?wrong"),
        Err(Refusal::TooMany(_)) => see("/login?wait"),
        Err(refusal) => refused(refusal),
    }
}

fn logout(site: &Site, request: Request<Incoming>, peer: IpAddr) -> Answer {
    match site.door.may_change(request.headers(), peer, Instant::now()) {
        Ok(()) => with(see("/login"), header::SET_COOKIE, &site.door.leave(request.headers())),
        Err(refusal) => refused(refusal),
    }
}

async fn set_output(site: &Site, request: Request<Incoming>, peer: IpAddr) -> Answer {
    if let Err(refusal) = site.door.may_change(request.headers(), peer, Instant::now()) {
        return refused(refusal);
    }
    match (&site.outputs, question::form(request.into_body()).await) {
        (Some(outputs), Some(form)) => outputs.set(&form).await,
        (None, _) => nowhere(),
        (_, None) => text(StatusCode::BAD_REQUEST, "name and level are missing"),
    }
}

fn refused(refusal: Refusal) -> Answer {
    match refusal {
        Refusal::Host => text(
            StatusCode::MISDIRECTED_REQUEST,
            "this page is not known under this name; if it should be, add the name to web.hosts",
        ),
        Refusal::Site => text(StatusCode::FORBIDDEN, "another site asks; only the page itself may"),
        Refusal::NobodyMay => {
            text(StatusCode::FORBIDDEN, "without web.password_file nobody may change anything")
        }
        Refusal::Stranger | Refusal::Wrong => {
            let line = "the password is missing or wrong; send it as \"Authorization: Bearer …\"";
            with(text(StatusCode::UNAUTHORIZED, line), header::WWW_AUTHENTICATE, "Bearer")
        }
        Refusal::TooMany(seconds) => {
            let line = format!("too many wrong passwords; try again in {seconds} s");
            with(text(StatusCode::TOO_MANY_REQUESTS, line), header::RETRY_AFTER, &seconds.to_string())
        }
    }
}

fn nowhere() -> Answer {
    text(StatusCode::NOT_FOUND, "there is nothing here")
}

fn not_so(allowed: &str) -> Answer {
    let answer = text(StatusCode::METHOD_NOT_ALLOWED, format!("this takes {allowed}"));
    with(answer, HeaderName::from_static("allow"), allowed)
}

/// The log could not be read; the journal says why.
pub(super) fn log_unreadable() -> Answer {
    text(StatusCode::SERVICE_UNAVAILABLE, "the log cannot be read just now; the journal says why")
}
