//! Section `device`.

use super::*;

#[test]
fn device() {
    expect_in(
        "device",
        &[
            ("id: a/b", "id: cannot contain '/': it is a level of MQTT topics"),
            ("id: \"\"", "id: is empty"),
            ("id: \"a+\"", "id: cannot contain '+': it is a level of MQTT topics"),
            (
                "location: {latitude: 91, longitude: 0}",
                "location.latitude: must be between -90 and 90 °, not 91",
            ),
            ("location: {latitude: 1}", "location.longitude: is missing beside `latitude`"),
            (
                "location: {precision: 2}",
                "location.precision: rounds `latitude` and `longitude`, which are not given",
            ),
            (
                "location: {latitude: \"1\", longitude: 0}",
                "location.latitude: expected a number such as 47.59, found the text \"1\"; write 1 without quotes",
            ),
        ],
    );
}
