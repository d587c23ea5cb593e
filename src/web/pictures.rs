//! Pictures: which there are, and one of them.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header;
use serde_json::json;

use super::answer::{self, Answer, with};
use super::pool::{Lane, Pool};
use crate::reading::Timestamp;
use crate::reading::picture::ContentType;
use crate::sensor::camera::preview;

/// Most in one answer.
const LIMIT: u32 = 60;

/// Of a preview, pixels: twice what the page gives it, for screens that show two of them as one.
const PREVIEW_HEIGHT: u32 = 216;

/// Which pictures a camera took before the one of row `before` and up to a time, newest first.
pub(super) async fn list(
    pool: Arc<Pool>,
    sensor: String,
    quantity: String,
    before: (i64, Timestamp),
) -> Answer {
    let shots = pool.read(Lane::Quick, move |reader| reader.shots(&sensor, &quantity, before, LIMIT)).await;
    let Some((shots, oldest)) = shots else { return super::route::log_unreadable() };
    let shots = shots.iter().map(|shot| {
        json!({"row": shot.row, "t": shot.at.0 / 1000, "w": shot.width, "h": shot.height, "size": shot.size})
    });
    let oldest = oldest.map(|time| time.0 / 1000);
    answer::json(&json!({"pictures": shots.collect::<Vec<_>>(), "oldest": oldest, "limit": LIMIT}))
}

/// One picture, or a preview of it. It never changes, so the browser may keep it.
pub(super) async fn one(pool: Arc<Pool>, row: i64, is_preview: bool) -> Answer {
    let found = pool.read(Lane::Picture, move |reader| {
        // On this thread, too: decoding takes longer than reading.
        Ok(reader.image(row)?.map(|image| {
            match is_preview.then(|| preview(&image.bytes, PREVIEW_HEIGHT)).flatten() {
                Some(small) => (ContentType::Jpeg, small),
                None => (image.content_type, image.bytes),
            }
        }))
    });
    let Some(found) = found.await else { return super::route::log_unreadable() };
    let Some((content_type, bytes)) = found else {
        return answer::text(StatusCode::NOT_FOUND, "this picture is not there (any more)");
    };
    let answer = answer::answer(StatusCode::OK, content_type.as_str(), bytes);
    with(answer, header::CACHE_CONTROL, "private, max-age=31536000, immutable")
}
