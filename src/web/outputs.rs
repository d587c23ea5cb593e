//! Outputs on the page: what they are, and switching those that `web.allow` names. Who asks has been judged at the
//! door; what is commanded goes the way of every command, the log included.

use hyper::StatusCode;
use serde_json::{Value as Json, json};

use super::answer::{self, Answer, text};
use super::question;
use crate::command::{Commander, Request};
use crate::facts::words;
use crate::output::{Level, OutputState};

/// The outputs of a bridge and those that may be set from here.
pub(super) struct Outputs {
    commander: Commander,
    allowed: Vec<String>,
}

impl Outputs {
    pub fn new(commander: &Commander, allowed: &[String]) -> Self {
        Self { commander: commander.clone(), allowed: allowed.to_vec() }
    }

    /// One piece for each: its name, and what is shown of it.
    pub fn pieces(&self) -> Vec<(String, Json)> {
        self.commander.outputs().iter().map(|state| (state.id.to_string(), self.piece(state))).collect()
    }

    fn piece(&self, state: &OutputState) -> Json {
        let level = words::level(state.level, state.digital);
        let cause = state.cause.map(|cause| format!(", because {cause}")).unwrap_or_default();
        let shown = match &state.failure {
            Some(why) => format!("{level}; cannot be driven: {why}"),
            None => format!("{level}{cause}"),
        };
        json!({
            "state": if state.failure.is_some() { "failed" } else { "ok" },
            "shown": shown,
            "on": state.level > 0.0,
            "level": state.level,
            "digital": state.digital,
            "min": state.limits.0,
            "max": state.limits.1,
            "may": self.allowed.iter().any(|name| name == state.id.as_str()),
        })
    }

    /// Sets an output as a form asks: `name`, and `level` as `on`, `off` or percent.
    pub async fn set(&self, form: &str) -> Answer {
        let (Some(name), Some(level)) = (question::field(form, "name"), question::field(form, "level"))
        else {
            return text(StatusCode::BAD_REQUEST, "name and level are missing");
        };
        let level = match (level.as_str(), level.parse()) {
            ("on", _) => Level::On,
            ("off", _) => Level::Off,
            (_, Ok(percent)) => Level::Percent(percent),
            _ => return text(StatusCode::BAD_REQUEST, "level is on, off or percent"),
        };
        if !self.allowed.contains(&name) {
            return text(StatusCode::FORBIDDEN, "web.allow does not name this output");
        }
        let commander = self.commander.clone();
        let request = Request::Set { output: name, level, hold: None };
        // It waits for the log and for the output.
        let done = tokio::task::spawn_blocking(move || commander.submit("web", request)).await;
        match done {
            Ok(Ok(done)) => {
                let status = StatusCode::from_u16(done.rc).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                answer::answer(
                    status,
                    "application/json",
                    json!({"rc": done.rc, "message": done.message}).to_string(),
                )
            }
            Ok(Err(error)) => text(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}
