//! Channels as rows: found or inserted by every field, read back as they were.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::reading::{Channel, ChannelId, Format, Place, Publish, Qos, Shape, ValueKind};

const COLUMNS: &str = "id, device, sensor, quantity, unit, kind, topic, late_topic, qos, retain, shape, format, \
                       buffer, place, latitude, longitude, altitude";

/// Finds the row of a channel or inserts it. `IS` so that an absent field equals an absent field.
pub(super) fn register(connection: &Connection, channel: &Channel) -> rusqlite::Result<ChannelId> {
    let publish = channel.publish.as_ref();
    // A place with nothing in it says no more than no place.
    let place = channel.place.clone().unwrap_or_default();
    let fields = named_params! {
        ":device": channel.device,
        ":sensor": channel.sensor.as_str(),
        ":quantity": channel.quantity.as_str(),
        ":unit": channel.unit,
        ":kind": kind_word(channel.kind),
        ":topic": publish.map(|publish| &publish.topic),
        ":late_topic": publish.and_then(|publish| publish.late_topic.as_ref()),
        ":qos": publish.map(|publish| publish.qos as i64),
        ":retain": publish.map(|publish| publish.retain),
        ":shape": publish.map(|publish| shape_word(publish.shape)),
        ":format": publish.and_then(|publish| publish.format.as_ref()).map(Format::as_str),
        ":buffer": publish.map(|publish| publish.buffer),
        ":place": place.name,
        ":latitude": place.latitude,
        ":longitude": place.longitude,
        ":altitude": place.altitude,
    };
    let found: Option<i64> = connection
        .prepare_cached(
            "SELECT id FROM channel WHERE sensor = :sensor AND quantity = :quantity AND device = :device
               AND unit = :unit AND kind = :kind AND topic IS :topic AND late_topic IS :late_topic
               AND qos IS :qos AND retain IS :retain AND shape IS :shape AND format IS :format
               AND buffer IS :buffer AND place IS :place AND latitude IS :latitude AND longitude IS :longitude
               AND altitude IS :altitude",
        )?
        .query_row(fields, |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        return Ok(ChannelId(id));
    }
    connection
        .prepare_cached(
            "INSERT INTO channel (device, sensor, quantity, unit, kind, topic, late_topic, qos, retain, shape,
               format, buffer, place, latitude, longitude, altitude)
             VALUES (:device, :sensor, :quantity, :unit, :kind, :topic, :late_topic, :qos, :retain, :shape,
               :format, :buffer, :place, :latitude, :longitude, :altitude)",
        )?
        .execute(fields)?;
    Ok(ChannelId(connection.last_insert_rowid()))
}

/// Every channel by row id.
pub(super) fn load(connection: &Connection) -> rusqlite::Result<HashMap<i64, Arc<Channel>>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM channel"))?;
    let rows = statement.query_map([], |row| Ok((row.get("id")?, Arc::new(from_row(row)?))))?;
    rows.collect()
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Channel> {
    let topic: Option<String> = row.get("topic")?;
    let publish = match topic {
        None => None,
        Some(topic) => Some(Publish {
            topic,
            late_topic: row.get("late_topic")?,
            qos: Qos::try_from(row.get::<_, i64>("qos")?)
                .map_err(|level| rusqlite::Error::IntegralValueOutOfRange(8, level))?,
            retain: row.get("retain")?,
            shape: match row.get_ref("shape")?.as_str()? {
                "sample" => Shape::Sample,
                "base64" => Shape::Base64,
                "binary" => Shape::Binary,
                _ => Shape::Quantity,
            },
            format: row.get::<_, Option<String>>("format")?.map(|text| Format::from(text.as_str())),
            buffer: row.get("buffer")?,
        }),
    };
    let place = Place {
        name: row.get("place")?,
        latitude: row.get("latitude")?,
        longitude: row.get("longitude")?,
        altitude: row.get("altitude")?,
    };
    Ok(Channel {
        device: row.get("device")?,
        sensor: row.get::<_, String>("sensor")?.into(),
        quantity: row.get::<_, String>("quantity")?.into(),
        unit: row.get("unit")?,
        kind: kind_of(row.get_ref("kind")?.as_str()?),
        publish,
        place: (place != Place::default()).then_some(place),
    })
}

fn kind_word(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Float => "float",
        ValueKind::Integer => "integer",
        ValueKind::Bool => "bool",
        ValueKind::Text => "text",
        ValueKind::Image => "image",
    }
}

/// The schema's CHECK allows no other word than these five.
fn kind_of(word: &str) -> ValueKind {
    match word {
        "float" => ValueKind::Float,
        "integer" => ValueKind::Integer,
        "bool" => ValueKind::Bool,
        "image" => ValueKind::Image,
        _ => ValueKind::Text,
    }
}

fn shape_word(shape: Shape) -> &'static str {
    match shape {
        Shape::Quantity => "quantity",
        Shape::Sample => "sample",
        Shape::Base64 => "base64",
        Shape::Binary => "binary",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::schema;

    #[test]
    fn equal_channels_are_one_row_and_any_difference_makes_another() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, 0, schema::STEPS).unwrap();
        let plain = crate::log::testing::channel("temperature");
        let publish = plain.publish.clone().unwrap();
        let variants = [
            plain.clone(),
            Channel { unit: "°F".into(), ..plain.clone() },
            Channel { publish: None, ..plain.clone() },
            Channel { kind: ValueKind::Bool, ..plain.clone() },
            Channel { place: Some(Place { altitude: Some(3.5), ..Place::default() }), ..plain.clone() },
            Channel { publish: Some(Publish { qos: Qos::AtMostOnce, ..publish.clone() }), ..plain.clone() },
            Channel {
                publish: Some(Publish { late_topic: Some("l".into()), ..publish.clone() }),
                ..plain.clone()
            },
            Channel { publish: Some(Publish { shape: Shape::Sample, ..publish.clone() }), ..plain.clone() },
            Channel { publish: Some(Publish { buffer: false, ..publish.clone() }), ..plain.clone() },
            Channel { kind: ValueKind::Image, ..plain.clone() },
            Channel {
                publish: Some(Publish { format: Some(Format::new("custom", "a b")), ..publish.clone() }),
                ..plain.clone()
            },
            Channel { publish: Some(Publish { shape: Shape::Base64, ..publish.clone() }), ..plain.clone() },
            Channel { publish: Some(Publish { shape: Shape::Binary, ..publish.clone() }), ..plain.clone() },
            Channel { publish: Some(Publish { retain: true, ..publish }), ..plain.clone() },
        ];
        let ids: Vec<_> = variants.iter().map(|channel| register(&connection, channel).unwrap()).collect();
        let again: Vec<_> = variants.iter().map(|channel| register(&connection, channel).unwrap()).collect();
        assert_eq!(ids, again);
        let loaded = load(&connection).unwrap();
        assert_eq!(loaded.len(), variants.len());
        for (id, channel) in ids.iter().zip(&variants) {
            assert_eq!(*loaded[&id.0], *channel);
        }
    }
}
