//! Carrying a command out: outputs are set, sensors are ordered about, the board is read. Who may ask for it has been
//! decided before.

use serde_json::{Map, Value, json};

use super::reload::ReloadError;
use super::request::{Changed, Request};
use super::{Answer, Means};
use crate::config::amount::format_duration;
use crate::output::{Level, OutputState, Refused, SetError};
use crate::reading;
use crate::sampling::{Order, OrderError};

/// Most parts of the board that a status tells of.
const MOST_PARTS: usize = 200;

/// Longest reason of a state in it, characters.
const LONGEST_REASON: usize = 200;

pub(super) fn carry_out(means: &Means, request: &Request) -> Answer {
    match request {
        Request::Set { output, level, hold } => match means.outputs.set(output, *level, *hold) {
            Ok(state) => {
                let time = hold.map(|hold| format!(" for {}", format_duration(hold))).unwrap_or_default();
                let message = format!("{output} is {}{time}", level_of(&state, *level));
                Answer { rc: 200, message, data: Some(output_data(&state)) }
            }
            Err(error) => Answer::new(rc_of_output(&error), format!("output {output}: {error}")),
        },
        Request::Status => status(means),
        Request::Reload => reload(means),
        Request::Read { sensor } => read(means, sensor, Order::Read, "read"),
        Request::Republish { sensor } => read(means, sensor, Order::Republish, "read and published"),
        Request::Interval { sensor, interval } => {
            let done = format!("{sensor} is read every {} from now on", format_duration(*interval));
            order(means, sensor, Order::Interval(*interval), done)
        }
        Request::Change { sensor, quantity, change } => {
            let done = format!("{sensor}/{quantity} passes on a change of {} from now on", Changed(*change));
            order(means, sensor, Order::Change(quantity.clone(), *change), done)
        }
        Request::Pause { sensor } => order(means, sensor, Order::Pause, format!("{sensor} is read no more")),
        Request::Resume { sensor } => order(means, sensor, Order::Resume, format!("{sensor} is read again")),
    }
}

/// Somebody else reads the file and goes over to it; here it is only said what came of it.
fn reload(means: &Means) -> Answer {
    match means.reload.ask() {
        Ok(done) => Answer::new(200, format!("reloaded: {done}")),
        Err(error @ ReloadError::Bad(_)) => Answer::new(422, error.to_string()),
        Err(error @ ReloadError::Failed(_)) => Answer::new(500, error.to_string()),
        Err(error @ (ReloadError::Busy | ReloadError::Nobody)) => Answer::new(503, error.to_string()),
    }
}

fn level_of(state: &OutputState, asked: Level) -> String {
    match (asked, state.digital, state.level) {
        (Level::Off, ..) | (_, _, 0.0) => "off".to_owned(),
        (_, true, _) => "on".to_owned(),
        (_, false, level) => format!("at {level} %"),
    }
}

fn rc_of_output(error: &SetError) -> u16 {
    match error {
        SetError::Unknown(_) => 404,
        SetError::NotDigital(_) | SetError::Refused(Refused::Outside { .. }) => 422,
        SetError::Refused(Refused::TooSoon(_)) => 429,
        SetError::Failed(_) => 500,
        SetError::Busy | SetError::Leaving => 503,
    }
}

fn order(means: &Means, sensor: &str, order: Order, done: String) -> Answer {
    match means.control.order(sensor, order) {
        Ok(_) => Answer::new(200, done),
        Err(error) => Answer::new(rc_of_sensor(&error), error.to_string()),
    }
}

fn read(means: &Means, sensor: &str, order: Order, done: &str) -> Answer {
    let values = match means.control.order(sensor, order) {
        Ok(values) => values,
        Err(error) => return Answer::new(rc_of_sensor(&error), error.to_string()),
    };
    let data: Map<String, Value> =
        values.iter().map(|(quantity, value, _)| (quantity.to_string(), json_value(value))).collect();
    let shown: Vec<String> = values
        .iter()
        .map(|(quantity, value, unit)| format!("{quantity} {value} {unit}").trim_end().to_owned())
        .collect();
    let message = match shown.is_empty() {
        true => format!("{sensor} was {done}; it has nothing to say yet"),
        false => format!("{sensor} was {done}: {}", shown.join(", ")),
    };
    Answer { rc: 200, message, data: Some(Value::Object(data)) }
}

fn rc_of_sensor(error: &OrderError) -> u16 {
    match error {
        OrderError::UnknownSensor(_) | OrderError::UnknownQuantity(..) => 404,
        OrderError::Failed(..) => 500,
        OrderError::Busy(_) | OrderError::Ended => 503,
    }
}

/// A picture is only named: its bytes go the way of readings.
fn json_value(value: &reading::Value) -> Value {
    match value {
        reading::Value::Float(number) => json!(number),
        reading::Value::Integer(number) => json!(number),
        reading::Value::Bool(state) => json!(state),
        other => json!(other.to_string()),
    }
}

fn status(means: &Means) -> Answer {
    let outputs: Map<String, Value> =
        means.outputs.list().iter().map(|state| (state.id.to_string(), output_data(state))).collect();
    let parts = means.board.parts();
    let told = parts.iter().take(MOST_PARTS).map(|part| {
        let state: String = part.state().0.to_string().chars().take(LONGEST_REASON).collect();
        (part.name().to_owned(), Value::String(state))
    });
    let told: Map<String, Value> = told.collect();
    let message = match parts.len().checked_sub(told.len()) {
        Some(left @ 1..) => format!("{} of {} parts; {left} are left out", told.len(), parts.len()),
        _ => format!("{} parts", told.len()),
    };
    Answer { rc: 200, message, data: Some(json!({"parts": told, "outputs": outputs})) }
}

fn output_data(state: &OutputState) -> Value {
    let mut data = match state.digital {
        true => json!({"on": state.level > 0.0}),
        false => json!({"level": state.level}),
    };
    if let Some(since) = state.since {
        data["since"] = json!(since.to_string());
    }
    if let Some(cause) = state.cause {
        data["cause"] = json!(cause.to_string());
    }
    if let Some(failure) = &state.failure {
        data["failure"] = json!(failure);
    }
    data
}
