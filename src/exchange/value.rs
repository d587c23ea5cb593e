//! Values as words, and what the values of one quantity are taken for. Pure.

use crate::reading::{Value, ValueKind};

use super::{Raw, shown};

/// What a word without a type looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Look {
    /// Nothing was measured: no word, `NaN`, `null`, `NA`.
    Missing,
    /// A whole number.
    Integer(i64),
    /// Another finite number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Anything else.
    Text,
}

/// What a word looks like.
pub fn look(word: &str) -> Look {
    let word = word.trim();
    let any_of = |words: &[&str]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
    if word.is_empty() || any_of(&["nan", "null", "na", "n/a", "none"]) {
        return Look::Missing;
    }
    if any_of(&["true", "false"]) {
        return Look::Bool(word.eq_ignore_ascii_case("true"));
    }
    // Only a float has a negative zero.
    if let Some(whole) = word.parse().ok().filter(|whole| *whole != 0 || !word.starts_with('-')) {
        return Look::Integer(whole);
    }
    // Rust also reads "inf" and "infinity".
    match word.parse::<f64>() {
        Ok(number) if number.is_finite() => Look::Float(number),
        _ => Look::Text,
    }
}

/// Whether a text in a file without types must be marked, lest it be read as something else.
pub fn must_be_quoted(text: &str) -> bool {
    look(text) != Look::Text
}

/// What the values of one quantity are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// All of one kind.
    All(ValueKind),
    /// Each by itself.
    Each,
}

impl Rule {
    /// As a word for people and programs: "numbers".
    pub fn word(self) -> &'static str {
        match self {
            Rule::All(ValueKind::Float) => "numbers",
            Rule::All(ValueKind::Integer | ValueKind::Image) => "whole numbers",
            Rule::All(ValueKind::Bool) => "true or false",
            Rule::All(ValueKind::Text) => "texts",
            Rule::Each => "values of several kinds",
        }
    }
}

/// How many values of each kind one quantity has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kinds {
    integers: u64,
    /// Of these, some that a float would change.
    large: bool,
    floats: u64,
    bools: u64,
    texts: u64,
    /// The first few of each class: line and value.
    examples: [Vec<(u64, String)>; 3],
}

/// Examples kept of numbers, truths and texts.
const EXAMPLES: usize = 3;

/// Largest whole number up to which floats have every one.
const EXACT: u64 = 1 << 53;

impl Kinds {
    pub fn add(&mut self, line: u64, raw: &Raw) {
        let class = match of(raw) {
            Look::Integer(whole) => {
                self.integers += 1;
                self.large |= whole.unsigned_abs() > EXACT;
                0
            }
            Look::Float(_) => {
                self.floats += 1;
                0
            }
            Look::Bool(_) => {
                self.bools += 1;
                1
            }
            Look::Text | Look::Missing => {
                self.texts += 1;
                2
            }
        };
        let examples = &mut self.examples[class];
        if examples.len() < EXAMPLES {
            let text = match raw {
                Raw::Word(word) => word.clone(),
                Raw::Is(value) => value.to_string(),
            };
            examples.push((line, text));
        }
    }

    /// What they are taken for. `known` are the kinds that the log has of this series.
    ///
    /// # Errors
    /// They are of several sorts: the lines of the fewest, and what is wrong with them.
    pub fn rule(&self, known: &[ValueKind]) -> Result<Rule, (Vec<u64>, String)> {
        let counts = [self.integers + self.floats, self.bools, self.texts];
        let sorts = counts.iter().filter(|count| **count > 0).count();
        if sorts > 1 {
            if known.contains(&ValueKind::Text) {
                return Ok(Rule::Each);
            }
            return Err(self.mixture(counts));
        }
        Ok(match counts {
            [_, 0, 0] if self.floats > 0 && self.large => Rule::Each,
            [_, 0, 0] if self.floats > 0 => Rule::All(ValueKind::Float),
            // A file of whole degrees joins the log's degrees.
            [_, 0, 0] if known.contains(&ValueKind::Float) && !self.large => {
                let too = known.contains(&ValueKind::Integer) || known.contains(&ValueKind::Image);
                Rule::All(if too { ValueKind::Integer } else { ValueKind::Float })
            }
            [_, 0, 0] => Rule::All(ValueKind::Integer),
            [_, _, 0] => Rule::All(ValueKind::Bool),
            _ => Rule::All(ValueKind::Text),
        })
    }

    fn mixture(&self, counts: [u64; 3]) -> (Vec<u64>, String) {
        const NAMES: [&str; 3] = ["numbers", "true or false", "texts"];
        let sorts = || (0..3).filter(|sort| counts[*sort] > 0);
        let fewest = sorts().min_by_key(|sort| counts[*sort]).unwrap_or(2);
        let most = sorts().max_by_key(|sort| counts[*sort]).unwrap_or(0);
        let example = self.examples[fewest].first().map(|(_, text)| shown(text)).unwrap_or_default();
        let what =
            format!("\"{example}\" is not as the {} other values, which are {}", counts[most], NAMES[most]);
        (self.examples[fewest].iter().map(|(line, _)| *line).collect(), what)
    }
}

fn of(raw: &Raw) -> Look {
    match raw {
        Raw::Word(word) => look(word),
        Raw::Is(Value::Integer(whole)) => Look::Integer(*whole),
        Raw::Is(Value::Float(number)) => Look::Float(*number),
        Raw::Is(Value::Bool(state)) => Look::Bool(*state),
        Raw::Is(Value::Text(_) | Value::Image(_)) => Look::Text,
    }
}

/// The value by the rule of its quantity.
pub(super) fn settle(raw: &Raw, rule: Rule) -> Value {
    let text = || match raw {
        Raw::Word(word) => Value::Text(word.as_str().into()),
        Raw::Is(value) => value.clone(),
    };
    let float = rule == Rule::All(ValueKind::Float);
    match of(raw) {
        Look::Integer(whole) if float => Value::Float(whole as f64),
        Look::Integer(whole) => Value::Integer(whole),
        Look::Float(number) => Value::Float(number),
        Look::Bool(state) => Value::Bool(state),
        Look::Text | Look::Missing => text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_what_they_look_like() {
        for (word, expected) in [
            ("21", Look::Integer(21)),
            (" +21 ", Look::Integer(21)),
            ("-0", Look::Float(-0.0)),
            ("007", Look::Integer(7)),
            ("9223372036854775808", Look::Float(9_223_372_036_854_775_808.0)),
            ("21.50", Look::Float(21.5)),
            ("1e3", Look::Float(1000.0)),
            ("inf", Look::Text),
            ("NaN", Look::Missing),
            ("", Look::Missing),
            ("TRUE", Look::Bool(true)),
            ("ok", Look::Text),
            ("21 °C", Look::Text),
        ] {
            assert_eq!(look(word), expected, "{word}");
        }
    }

    fn rule(words: &[&str], known: &[ValueKind]) -> Result<Rule, (Vec<u64>, String)> {
        let mut kinds = Kinds::default();
        for (line, word) in (1..).zip(words) {
            kinds.add(line, &Raw::Word((*word).to_owned()));
        }
        kinds.rule(known)
    }

    #[test]
    fn values_of_a_quantity_are_of_one_kind() {
        use ValueKind::{Bool, Float, Image, Integer, Text};
        for (words, known, expected) in [
            (&["1", "2"][..], &[][..], Rule::All(Integer)),
            (&["1", "2"], &[Float], Rule::All(Float)),
            (&["1", "2"], &[Float, Integer], Rule::All(Integer)),
            (&["1", "2"], &[Image], Rule::All(Integer)),
            (&["1", "2.5"], &[], Rule::All(Float)),
            (&["9007199254740993", "2.5"], &[], Rule::Each),
            (&["9007199254740993"], &[Float], Rule::All(Integer)),
            (&["true", "False"], &[], Rule::All(Bool)),
            (&["ok", "failed: x"], &[], Rule::All(Text)),
            (&["ok", "1"], &[Text], Rule::Each),
        ] {
            assert_eq!(rule(words, known), Ok(expected), "{words:?} {known:?}");
        }
        let (lines, what) = rule(&["1", "2", "21.x", "3"], &[]).unwrap_err();
        assert_eq!(
            (lines, what.as_str()),
            (vec![3], "\"21.x\" is not as the 3 other values, which are numbers")
        );
        let (lines, _) = rule(&["ok", "ok", "true"], &[]).unwrap_err();
        assert_eq!(lines, [3]);
    }

    #[test]
    fn values_settle_by_the_rule() {
        let word = |word: &str| Raw::Word(word.to_owned());
        assert_eq!(settle(&word("21"), Rule::All(ValueKind::Float)), Value::Float(21.0));
        assert_eq!(settle(&word("21"), Rule::Each), Value::Integer(21));
        assert_eq!(settle(&word("True"), Rule::Each), Value::Bool(true));
        assert_eq!(settle(&word(" ok"), Rule::Each), Value::Text(" ok".into()));
        assert_eq!(settle(&Raw::Is(Value::Text("21".into())), Rule::Each), Value::Text("21".into()));
    }
}
