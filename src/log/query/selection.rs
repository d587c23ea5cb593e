//! Which readings somebody asks for: by patterns of names, and by time.

use crate::reading::{Channel, Timestamp};

/// Which readings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Name of the sensor; `*` and `?` stand for any letters and any letter.
    pub sensor: Option<String>,
    /// Name of the quantity, as for the sensor.
    pub quantity: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// Whether a name fits a pattern in which `*` stands for any letters and `?` for any one.
///
/// Only the last `*` is ever gone back to: an earlier one could take no more than that one can. So it takes no longer
/// than name times pattern, whatever somebody types.
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut in_name) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == name[in_name] => {
                at += 1;
                in_name += 1;
            }
            _ => {
                let Some((place, taken)) = star else { return false };
                star = Some((place, taken + 1));
                at = place + 1;
                in_name = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

impl Selection {
    /// Whether a channel is among them, whatever the time.
    pub fn takes(&self, channel: &Channel) -> bool {
        let fit =
            |pattern: &Option<String>, name: &str| pattern.as_ref().is_none_or(|pattern| fits(pattern, name));
        fit(&self.sensor, channel.sensor.as_str()) && fit(&self.quantity, channel.quantity.as_str())
    }

    /// Whether a time is.
    pub fn covers(&self, time: Timestamp) -> bool {
        let (since, until) = self.range();
        (since..until).contains(&time.0)
    }

    pub(in crate::log) fn range(&self) -> (i64, i64) {
        (self.since.map_or(i64::MIN, |since| since.0), self.until.map_or(i64::MAX, |until| until.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a pattern means, letter by letter.
    fn means(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], name) => name.is_empty(),
            (['*', rest @ ..], name) => (0..=name.len()).any(|at| means(rest, &name[at..])),
            ([letter, rest @ ..], [other, name @ ..]) => {
                (*letter == '?' || letter == other) && means(rest, name)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_fits_what_it_means(pattern in "[abé?*]{0,8}", name in "[abé]{0,8}") {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(fits(&pattern, &name), means(&letters(&pattern), &letters(&name)));
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_longer_than_others() {
        // By going back to every star this would take longer than there is time.
        assert!(!fits(&("a*".repeat(60) + "b"), &"a".repeat(120)));
    }

    #[test]
    fn patterns() {
        let table = [
            ("air", "air", true),
            ("air", "airy", false),
            ("*", "", true),
            ("a*r", "air", true),
            ("a*", "b", false),
            ("?ir", "äir", true),
            ("*e*e*", "greenhouse", true),
            ("*e*e", "greenhousx", false),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
