//! Which quantities of the log somebody means by `air.temperature`, `*.temperature` or `air`.

use super::{MOST_SERIES, Refused};
use crate::log::latest::Name;
use crate::log::query::fits;
use crate::reading::{STATE, ValueKind};

/// So many names are listed when none is right.
const MOST_NAMES: usize = 20;

/// The quantities meant, each once, in the order asked for. What a pattern or a sensor's name takes along that
/// is no number is left out; what is named itself must be one.
///
/// # Errors
/// There is no such quantity, it is no number, or they are too many.
pub fn choose<'a>(names: &'a [(Name, ValueKind)], wanted: &[String]) -> Result<Vec<&'a Name>, Refused> {
    let mut chosen: Vec<&Name> = Vec::new();
    for text in wanted {
        let meant = meant(names, text)?;
        for name in meant {
            // A quantity whose unit has changed has a name for each.
            let known = |other: &&Name| other.sensor == name.sensor && other.quantity == name.quantity;
            if !chosen.iter().any(known) {
                chosen.push(name);
            }
        }
    }
    if chosen.len() > MOST_SERIES {
        return Err(Refused::Series(chosen.len()));
    }
    Ok(chosen)
}

fn meant<'a>(names: &'a [(Name, ValueKind)], text: &str) -> Result<Vec<&'a Name>, Refused> {
    let whole = |name: &Name| format!("{}.{}", name.sensor, name.quantity);
    let found: Vec<_> = names.iter().filter(|(name, _)| fits(text, &whole(name))).collect();
    let of_sensor =
        || names.iter().filter(|(name, _)| name.sensor == text && name.quantity != STATE).collect();
    let found = if found.is_empty() { of_sensor() } else { found };
    let numbers: Vec<&Name> =
        found.iter().filter(|(_, kind)| is_number(*kind)).map(|(name, _)| name).collect();
    match found.first() {
        None => Err(Refused::Unknown(unknown(names, text))),
        Some(_) if !numbers.is_empty() => Ok(numbers),
        Some((name, kind)) => {
            let (sensor, quantity) = (name.sensor.clone(), name.quantity.clone());
            Err(match kind {
                ValueKind::Image => Refused::Picture { sensor, quantity },
                _ => Refused::Text { sensor, quantity },
            })
        }
    }
}

fn is_number(kind: ValueKind) -> bool {
    matches!(kind, ValueKind::Float | ValueKind::Integer | ValueKind::Bool)
}

fn unknown(names: &[(Name, ValueKind)], text: &str) -> String {
    let mut known: Vec<String> = names
        .iter()
        .filter(|(_, kind)| is_number(*kind))
        .map(|(name, _)| format!("{}.{}", name.sensor, name.quantity))
        .collect();
    known.dedup();
    if known.is_empty() {
        return format!("there is no {text:?}: the log has no numbers yet");
    }
    let nearest = known.iter().map(|name| (strsim::damerau_levenshtein(text, name), name)).min();
    let suggestion = match nearest {
        Some((distance, name)) if distance <= 1 + name.len() / 4 => format!("; did you mean {name:?}?"),
        _ => ";".to_owned(),
    };
    let more = known.len().saturating_sub(MOST_NAMES);
    known.truncate(MOST_NAMES);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("the log has no {text:?}{suggestion} there are: {}{rest}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<(Name, ValueKind)> {
        let name = |sensor: &str, quantity: &str, unit: &str, kind| {
            (Name { sensor: sensor.into(), quantity: quantity.into(), unit: unit.into() }, kind)
        };
        vec![
            name("air", "humidity", "%", ValueKind::Float),
            name("air", "state", "", ValueKind::Text),
            name("air", "temperature", "°C", ValueKind::Float),
            name("air", "temperature", "°F", ValueKind::Float),
            name("door.front", "open", "", ValueKind::Bool),
            name("sky", "image", "", ValueKind::Image),
        ]
    }

    fn chosen(wanted: &[&str]) -> Result<Vec<String>, String> {
        let names = names();
        let wanted: Vec<String> = wanted.iter().map(|text| (*text).to_owned()).collect();
        let whole = |name: &&Name| format!("{}.{}", name.sensor, name.quantity);
        let found = choose(&names, &wanted).map_err(|error| error.to_string())?;
        Ok(found.iter().map(whole).collect())
    }

    #[test]
    fn names_patterns_and_sensors() {
        let table: [(&[&str], &[&str]); 5] = [
            (&["air.temperature"], &["air.temperature"]),
            (&["door.front.open", "air.humidity"], &["door.front.open", "air.humidity"]),
            (&["*.t*", "air.temperature"], &["air.temperature"]),
            (&["air"], &["air.humidity", "air.temperature"]),
            (&["*"], &["air.humidity", "air.temperature", "door.front.open"]),
        ];
        for (wanted, expected) in table {
            assert_eq!(chosen(wanted).unwrap(), expected, "{wanted:?}");
        }
    }

    #[test]
    fn what_cannot_be_drawn_says_what_to_do() {
        for (wanted, expected) in [
            ("air.temprature", "did you mean \"air.temperature\"?"),
            ("soil.moisture", "the log has no \"soil.moisture\"; there are: air.humidity"),
            ("sky.image", "export --sensor sky --images"),
            ("sky", "pictures"),
            ("air.state", "sensor-bridge query air state"),
        ] {
            let error = chosen(&[wanted]).unwrap_err();
            assert!(error.contains(expected), "{wanted}: {error}");
        }
        assert!(choose(&[], &["a".into()]).unwrap_err().to_string().contains("no numbers yet"));
    }
}
