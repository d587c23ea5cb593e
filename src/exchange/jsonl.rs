//! JSON lines: one object a line. Knows no columns.

use serde_json::{Map, Value as Json};

use super::columns::Cell;
use super::shown;
use crate::reading::Value;

/// The object of a line.
pub(super) fn object(line: &str) -> Result<Map<String, Json>, String> {
    match serde_json::from_str(line) {
        Ok(Json::Object(object)) => Ok(object),
        Ok(_) => Err(format!("is JSON, but no object: {}", shown(line))),
        Err(error) => Err(format!("is no JSON ({error}): {}", shown(line))),
    }
}

/// What stands under a key.
pub(super) fn cell<'a>(object: &'a Map<String, Json>, key: &str) -> Cell<'a> {
    match object.get(key) {
        None | Some(Json::Null) => Cell::Nothing,
        Some(json) => value(json).map_or(Cell::Nothing, Cell::Is),
    }
}

/// A JSON value as one of ours; lists and objects stay as they are written.
pub(super) fn value(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(state) => Value::Bool(*state),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Integer(whole),
            (None, Some(number)) => Value::Float(number),
            (None, None) => return None,
        },
        Json::String(text) => Value::Text(text.as_str().into()),
        other => Value::Text(other.to_string().into()),
    })
}
