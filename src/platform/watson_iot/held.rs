//! What the platform may look at and set: location, metadata and device information, as long as the bridge runs. Readings keep
//! the place of the configuration. Says nothing itself.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::options::{METADATA, Managed};
use crate::platform::About;

/// Fields in one request, at most.
const FIELDS: usize = 16;

/// Longest text in the device information, bytes.
const TEXT: usize = 256;

/// Keys of the device information ("Device model": deviceInfo).
const DEVICE_INFO: [&str; 8] = [
    "serialNumber",
    "manufacturer",
    "model",
    "deviceClass",
    "description",
    "fwVersion",
    "hwVersion",
    "descriptiveLocation",
];

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Location,
    Metadata,
    DeviceInfo,
}

impl Field {
    fn named(name: &str) -> Option<Self> {
        [Field::Location, Field::Metadata, Field::DeviceInfo].into_iter().find(|field| field.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Field::Location => "location",
            Field::Metadata => "metadata",
            Field::DeviceInfo => "deviceInfo",
        }
    }
}

/// Return code and words of a request that cannot be met.
pub(super) type Refusal = (u16, String);

/// See the module.
#[derive(Debug)]
pub(super) struct Held {
    location: Option<Value>,
    metadata: Value,
    device_info: Value,
    observed: BTreeSet<Field>,
}

impl Held {
    pub(super) fn new(options: &Managed, about: &About) -> Self {
        let mut info = options.device_info.clone();
        info.fw_version.get_or_insert_with(|| format!("sensor-bridge {}", about.version));
        let place = about.place.as_ref();
        if info.descriptive_location.is_none() {
            info.descriptive_location = place.and_then(|place| place.name.clone());
        }
        let location = place.and_then(|place| {
            let mut location = json!({"latitude": place.latitude?, "longitude": place.longitude?});
            if let Some(altitude) = place.altitude {
                location["elevation"] = altitude.into();
            }
            Some(location)
        });
        Self {
            location,
            metadata: Value::Object(options.metadata.clone()),
            device_info: serde_json::to_value(info).unwrap_or_default(),
            observed: BTreeSet::new(),
        }
    }

    pub(super) fn location(&self) -> Option<&Value> {
        self.location.as_ref()
    }

    pub(super) fn metadata(&self) -> &Value {
        &self.metadata
    }

    pub(super) fn device_info(&self) -> &Value {
        &self.device_info
    }

    /// These fields as they are, for an answer or a notice.
    pub(super) fn shown(&self, fields: &[Field]) -> Value {
        let fields = fields.iter().map(|field| {
            let value = match field {
                Field::Location => self.location.as_ref().unwrap_or(&Value::Null),
                Field::Metadata => &self.metadata,
                Field::DeviceInfo => &self.device_info,
            };
            json!({"field": field.name(), "value": value})
        });
        json!({"fields": fields.collect::<Vec<_>>()})
    }

    /// From now on changes of these fields are told (true), or not any more. Answers which they are.
    pub(super) fn observe(&mut self, d: Option<&Value>, on: bool) -> Result<Vec<Field>, Refusal> {
        let fields: Vec<Field> = wanted(d)?.into_iter().map(|(field, _)| field).collect();
        for field in &fields {
            if on {
                self.observed.insert(*field);
            } else {
                self.observed.remove(field);
            }
        }
        Ok(fields)
    }

    /// Sets fields, all of them or none. Answers those that have changed and are observed.
    pub(super) fn update(&mut self, d: Option<&Value>) -> Result<Vec<Field>, Refusal> {
        let mut changes = Vec::new();
        for (field, value) in wanted(d)? {
            let value = match field {
                Field::Location => location(value)?,
                Field::Metadata => metadata(value)?,
                Field::DeviceInfo => self.merged(value)?,
            };
            changes.push((field, value));
        }
        let mut told = Vec::new();
        for (field, value) in changes {
            let (was, value) = match field {
                Field::Location => (self.location.replace(value), self.location.clone()),
                Field::Metadata => {
                    (Some(std::mem::replace(&mut self.metadata, value)), Some(self.metadata.clone()))
                }
                Field::DeviceInfo => {
                    (Some(std::mem::replace(&mut self.device_info, value)), Some(self.device_info.clone()))
                }
            };
            if was != value && self.observed.contains(&field) && !told.contains(&field) {
                told.push(field);
            }
        }
        Ok(told)
    }

    /// The device information with these texts in it.
    fn merged(&self, value: &Value) -> Result<Value, Refusal> {
        let refusal = (400, format!("deviceInfo is an object of texts of at most {TEXT} bytes"));
        let Value::Object(texts) = value else { return Err(refusal) };
        let mut merged = self.device_info.clone();
        for (key, text) in texts {
            if !DEVICE_INFO.contains(&key.as_str()) {
                return Err((404, format!("deviceInfo knows only {}", DEVICE_INFO.join(", "))));
            }
            match text {
                Value::String(text) if text.len() <= TEXT => merged[key] = text.as_str().into(),
                _ => return Err(refusal),
            }
        }
        Ok(merged)
    }
}

/// The fields that a request names, with the values that it gives them.
fn wanted(d: Option<&Value>) -> Result<Vec<(Field, &Value)>, Refusal> {
    let fields = d.and_then(|d| d.get("fields")).and_then(Value::as_array);
    let Some(fields) = fields.filter(|fields| (1..=FIELDS).contains(&fields.len())) else {
        let shape = "{\"d\":{\"fields\":[{\"field\":…}]}}";
        return Err((400, format!("a request is {shape}, with {FIELDS} fields at most")));
    };
    let known = fields.iter().map(|one| {
        let Some(name) = one.get("field").and_then(Value::as_str) else {
            return Err((400, "a field without a name".to_owned()));
        };
        let unknown = || (404, "there are the fields location, metadata and deviceInfo".to_owned());
        let field = Field::named(name).ok_or_else(unknown)?;
        Ok((field, one.get("value").unwrap_or(&Value::Null)))
    });
    known.collect()
}

/// A location ("Update location requests"): WGS 84 degrees, metres, ISO 8601. What else stands in it is left out.
fn location(value: &Value) -> Result<Value, Refusal> {
    let number = |key: &str| value.get(key).and_then(Value::as_f64);
    let within = |key: &str, most: f64| number(key).filter(|degrees| degrees.abs() <= most);
    let (Some(latitude), Some(longitude)) = (within("latitude", 90.0), within("longitude", 180.0)) else {
        return Err((400, "a location has latitude -90 to 90 and longitude -180 to 180".to_owned()));
    };
    let mut location = Map::from_iter([
        ("latitude".to_owned(), latitude.into()),
        ("longitude".to_owned(), longitude.into()),
    ]);
    for key in ["elevation", "accuracy"] {
        match value.get(key) {
            None | Some(Value::Null) => {}
            Some(Value::Number(number)) => {
                location.insert(key.to_owned(), number.clone().into());
            }
            Some(_) => return Err((400, format!("{key} of a location is a number"))),
        }
    }
    for key in ["measuredDateTime", "updatedDateTime"] {
        match value.get(key) {
            None | Some(Value::Null) => {}
            Some(Value::String(time)) if time.parse::<jiff::Timestamp>().is_ok() => {
                location.insert(key.to_owned(), time.as_str().into());
            }
            Some(_) => return Err((400, format!("{key} of a location is a time after ISO 8601"))),
        }
    }
    Ok(location.into())
}

fn metadata(value: &Value) -> Result<Value, Refusal> {
    if !value.is_object() {
        return Err((400, "metadata is an object".to_owned()));
    }
    if value.to_string().len() > METADATA {
        return Err((500, format!("metadata of more than {METADATA} bytes is not kept here")));
    }
    Ok(value.clone())
}
