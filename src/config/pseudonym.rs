//! A device's pseudonym, and where its id stands in a text. Chooses neither.

/// The name that stands for the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pseudonym {
    /// The device id. It must not leave this machine.
    pub id: String,
    /// The name in its place.
    pub name: String,
}

impl Pseudonym {
    /// Whether the id stands in a text, however it is capitalised, and not as a part of a longer word: the id `pi` is not
    /// in `pine`.
    pub fn slips_out_in(&self, text: &str) -> bool {
        places(&text.to_lowercase(), &self.id.to_lowercase()).next().is_some()
    }

    /// A text with the name where the id stood as a word.
    pub fn put_into(&self, text: &str) -> String {
        let (mut changed, mut end) = (String::with_capacity(text.len()), 0);
        for at in places(text, &self.id) {
            changed.push_str(&text[end..at]);
            changed.push_str(&self.name);
            end = at + self.id.len();
        }
        changed.push_str(&text[end..]);
        changed
    }
}

/// Where `word` stands in `text` as a word of its own.
fn places<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> {
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let (before, after) = (text[..*at].chars().next_back(), text[at + word.len()..].chars().next());
        [before, after].into_iter().flatten().all(|neighbour| !neighbour.is_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_from_parts_of_words() {
        let pseudonym = Pseudonym { id: "pi".into(), name: "30b3".into() };
        for (text, slips, changed) in [
            ("castel/pi/air", true, "castel/30b3/air"),
            ("pi/pi-pi/pine/api", true, "30b3/30b3-30b3/pine/api"),
            ("sensor-bridge-PI", true, "sensor-bridge-PI"),
            ("pi", true, "30b3"),
            ("castel/pine/air", false, "castel/pine/air"),
            ("", false, ""),
            ("Größe/épi", false, "Größe/épi"),
        ] {
            assert_eq!(pseudonym.slips_out_in(text), slips, "{text}");
            assert_eq!(pseudonym.put_into(text), changed);
        }
    }
}
