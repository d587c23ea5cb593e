//! Section `sensors.quantities`: numbers, texts and pictures.

use super::*;

#[test]
fn quantities() {
    let mut table = Table::default();
    let cases = [
        ("unit: hPa", "unit: \"°C\" cannot be converted to \"hPa\"; possible: °C, °F, K"),
        ("unit: bananas", "unit: unknown unit \"bananas\" for a value in \"°C\"; possible: °C, °F, K"),
        ("scale: 0", "scale: must not be 0: every value would be the same"),
        (
            "polynomial: [0, 1], offset: 1",
            "offset: cannot stand beside `polynomial`; the first two coefficients are offset and scale",
        ),
        ("polynomial: [5]", "polynomial: is constant: every value would be the same"),
        ("polynomial: [0,1,2,3,4,5,6,7,8,9,10]", "polynomial: needs 1 to 10 item(s), has 11"),
        ("polynomial: [0, x]", "polynomial[1]: expected a number, found the text \"x\""),
        ("round: 20", "round: must be between 0 and 12 decimals, not 20"),
        ("change: 0", "change: must be greater than 0; for every sample write always, for every change any"),
        (
            "change: sometimes",
            "change: \"sometimes\" is no size of change; write any, always, a number such as 0.1 or a percentage such as 1%",
        ),
        ("change: 5000%", "change: must be at most 1000%"),
        (
            "change: -1%",
            "change: must be greater than 0; for every sample write always, for every change any",
        ),
        (
            "change: true",
            "change: expected text or a number such as 0.1, found true; write \"true\" in quotes",
        ),
        (
            "heartbeat: 1m, min_interval: 5m",
            "heartbeat: is shorter than `min_interval`, so it could never be kept",
        ),
        (
            "valid: [85, -40]",
            "valid: the smaller value stands first: [85, -40] allows nothing; write [-40, 85]",
        ),
        ("valid: 5", "valid: expected a list such as [-40,85], found the number 5; write [5]"),
        ("chnage: 1", "chnage: unknown key \"chnage\"; did you mean \"change\"?"),
    ];
    for (keys, expected) in cases {
        let yaml =
            format!("sensors: [{{id: a, driver: bme280, bus: b, quantities: {{temperature: {{{keys}}}}}}}]");
        table.row(&yaml, &format!("line 1: sensors[0].quantities.temperature.{expected}"));
    }
    for (quantity, expected) in [
        ("Door: {change: 1}", "Door.change: the values are no numbers; write any or always"),
        ("mode: {scale: 2}", "mode.scale: the values are text, not numbers; leave it out"),
        (
            "count: {unit: m}",
            "count.unit: the value has no unit, which cannot be converted to \"m\"; leave `unit` out",
        ),
    ] {
        let yaml = format!("sensors: [{{id: a, driver: panel, quantities: {{{quantity}}}}}]");
        table.row(&yaml, &format!("line 1: sensors[0].quantities.{expected}"));
    }
    table.end();
}

#[test]
fn pictures() {
    let camera = |keys: &str| format!("sensors: [{{id: sky, driver: camera{keys}}}]");
    let mut table = Table::default();
    for (keys, expected) in [
        (
            ", quantities: {image: {change: 5}}",
            "quantities.image.change: the values are pictures; write any, always, or a percentage of full contrast such as 2%",
        ),
        (
            ", quantities: {image: {change: 101%}}",
            "quantities.image.change: must be at most 100%: white after black",
        ),
        (
            ", quantities: {image: {change: 0%}}",
            "quantities.image.change: must be greater than 0; for every sample write always, for every change any",
        ),
        (
            ", quantities: {image: {round: 1}}",
            "quantities.image.round: the values are pictures, not numbers; leave it out",
        ),
        (", format: gif", "format: unknown value \"gif\"; possible: json, base64, binary"),
    ] {
        table.row(&camera(keys), &format!("line 1: sensors[0].{expected}"));
    }
    table.row(
        "sensors: [{id: p, driver: panel, format: binary}]",
        "line 1: sensors[0].format: the sensor takes no pictures; leave it out: only pictures have a choice",
    );
    table.row(
        "sensors: [{id: p, driver: panel, quantities: {mode: {format: binary}}}]",
        "line 1: sensors[0].quantities.mode.format: the values are no pictures; leave it out: only pictures have a choice",
    );
    table.row(
        "log: {retention: {images: {max_size: 1kB}}}\nsensors: [{id: p, driver: panel}]",
        "line 1: log.retention.images.max_size: must be at least 1MB, not 1kB",
    );
    table.end();
}
