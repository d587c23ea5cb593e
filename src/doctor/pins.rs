//! Whether the pins that sensors and outputs sit on are there. Opens none.

use std::path::Path;

use super::Verdict;
use super::devices::{model, seated};
use crate::config::Config;

/// Sensors and outputs with the pin of the header (BCM number) that each has.
pub(super) fn wanted(config: &Config) -> Vec<(u8, String)> {
    seated(config).filter_map(|(place, id)| Some((place.header_pin()?, id))).collect()
}

/// GPIOs at the 26 pins of the first models (revision 2 of the board).
const OF_26: [u8; 17] = [2, 3, 4, 7, 8, 9, 10, 11, 14, 15, 17, 18, 22, 23, 24, 25, 27];

/// A verdict for each pin that this Pi has not.
pub(super) fn look(root: &Path, wanted: &[(u8, String)]) -> Vec<Verdict> {
    let model = model(root);
    // On a Compute Module all that the chip has can be wired; what is no Pi has no pins at all, which is said elsewhere.
    if !model.contains("Raspberry Pi") || model.contains("Compute Module") {
        return Vec::new();
    }
    let first = ["Raspberry Pi Model A Rev", "Raspberry Pi Model B Rev"];
    let (there, which): (fn(u8) -> bool, &str) = match first.iter().any(|name| model.starts_with(name)) {
        true => (|pin| OF_26.contains(&pin), "2, 3, 4, 7 to 11, 14, 15, 17, 18, 22 to 25, 27"),
        false => (|pin| pin <= 27, "0 to 27"),
    };
    let verdict = |(pin, sensor): &(u8, String)| {
        let what = format!("{model} has no pin {pin} on its header (for {sensor})");
        let remedy = format!("pins are BCM numbers, here {which}: `pinout` draws them");
        Verdict::trouble("pin", what, remedy)
    };
    wanted.iter().filter(|(pin, _)| !there(*pin)).map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use crate::doctor::devices::tests::tree;

    #[test]
    fn a_pin_that_a_model_has_not_is_named() {
        for (model, pin, missing) in [
            ("Raspberry Pi 4 Model B Rev 1.4\0", 27, false),
            ("Raspberry Pi 4 Model B Rev 1.4\0", 28, true),
            ("Raspberry Pi Model B Plus Rev 1.2\0", 26, false),
            ("Raspberry Pi Model B Rev 2\0", 26, true),
            ("Raspberry Pi Model B Rev 2\0", 17, false),
            ("Raspberry Pi Compute Module 4 Rev 1.0\0", 40, false),
        ] {
            let root = tree(&[("proc/device-tree/model", model)]);
            let verdicts = look(root.path(), &[(pin, "door".to_owned())]);
            assert_eq!(!verdicts.is_empty(), missing, "{model} {pin}: {verdicts:?}");
            for verdict in verdicts {
                let State::Trouble { remedy } = &verdict.state else { panic!("{verdict:?}") };
                assert!(
                    verdict.what.contains(&format!("no pin {pin} on its header (for door)")),
                    "{verdict:?}"
                );
                assert!(remedy.contains("`pinout`"), "{remedy}");
            }
        }
    }
}
