//! `device`: id and place.

use super::super::model::Device;
use super::super::problem::{KeyPath, Report};
use super::super::raw;
use super::super::topic::check_level;
use crate::reading::Place;

pub(super) fn check(raw: raw::Device, path: &KeyPath, report: &mut Report) -> Device {
    let at = path.key("id");
    let id = match raw.id {
        Some(id) => match check_level(&id) {
            Ok(()) => id,
            Err(why) => {
                report.problem(&at, why);
                stand_in()
            }
        },
        None if report.has_problem_at(&at) => stand_in(),
        None => host_name(&at, report),
    };
    let place = raw.location.and_then(|location| place(location, &path.key("location"), report));
    Device { id, pseudonym: None, place }
}

fn host_name(at: &KeyPath, report: &mut Report) -> String {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy().into_owned();
    if name == "(none)" || check_level(&name).is_err() {
        let message = format!("the host name {name:?} cannot serve as the device's id");
        report.suggest(at, message, Some("name the device under `device: {id: …}`".into()));
        return stand_in();
    }
    name
}

/// Lets the checks that need a device id go on.
fn stand_in() -> String {
    "device".to_owned()
}

fn place(raw: raw::Location, path: &KeyPath, report: &mut Report) -> Option<Place> {
    match (raw.latitude, raw.longitude) {
        (Some(_), None) if !report.has_problem_at(&path.key("longitude")) => {
            report.problem(&path.key("longitude"), "is missing beside `latitude`");
        }
        (None, Some(_)) if !report.has_problem_at(&path.key("latitude")) => {
            report.problem(&path.key("latitude"), "is missing beside `longitude`");
        }
        (None, None) if raw.precision.is_some() && !report.has_problem_at(path) => {
            report.problem(&path.key("precision"), "rounds `latitude` and `longitude`, which are not given");
        }
        _ => {}
    }
    let rounded = |degrees: f64| match raw.precision {
        None => degrees,
        Some(decimals) => {
            let scale = 10f64.powi(i32::from(decimals));
            (degrees * scale).round() / scale
        }
    };
    let place = Place {
        name: raw.name.filter(|name| !name.trim().is_empty()),
        latitude: raw.latitude.map(rounded),
        longitude: raw.longitude.map(rounded),
        altitude: raw.altitude,
    };
    (place != Place::default()).then_some(place)
}
