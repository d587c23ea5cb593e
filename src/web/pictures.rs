//! Pictures: which there are, and one of them.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header;
use serde_json::json;

use super::answer::{self, Answer, with};
use super::pool::Pool;
use crate::reading::picture::ContentType;

/// Most in one answer.
const LIMIT: u32 = 60;

/// Which pictures a camera took before the one of row `before`, newest first.
pub(super) async fn list(pool: Arc<Pool>, sensor: String, quantity: String, before: i64) -> Answer {
    let shots = pool.read(move |reader| reader.shots(&sensor, &quantity, before, LIMIT)).await;
    let Some(shots) = shots else { return super::route::log_unreadable() };
    let shots = shots.iter().map(|shot| {
        json!({"row": shot.row, "t": shot.at.0 / 1000, "w": shot.width, "h": shot.height, "size": shot.size})
    });
    answer::json(&json!({"pictures": shots.collect::<Vec<_>>(), "limit": LIMIT}))
}

/// One picture. It never changes, so the browser may keep it.
pub(super) async fn one(pool: Arc<Pool>, row: i64) -> Answer {
    let Some(image) = pool.read(move |reader| reader.image(row)).await else {
        return super::route::log_unreadable();
    };
    let Some(image) = image else {
        return answer::text(StatusCode::NOT_FOUND, "this picture is not there (any more)");
    };
    let content_type = match image.content_type {
        ContentType::Jpeg => "image/jpeg",
        ContentType::Png => "image/png",
    };
    let answer = answer::answer(StatusCode::OK, content_type, image.bytes);
    with(answer, header::CACHE_CONTROL, "private, max-age=31536000, immutable")
}
