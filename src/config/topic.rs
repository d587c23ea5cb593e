//! MQTT topic names, topic filters and topic templates: which are valid, what matches what.
//!
//! Pure text, by the rules of MQTT 3.1.1 section 4.7 and MQTT 5 section 4.8.2 (shared subscriptions).

use super::problem::did_you_mean_or_list;

/// Longest topic name or filter in bytes: its length travels in 16 bits (MQTT 1.5.3).
const LONGEST: usize = 65_535;

/// Whether `topic` is one that we may publish to.
///
/// Stricter than MQTT: no empty levels (nearly always a slip such as `a//b`), no control characters,
/// nothing under `$`, which belongs to the broker.
///
/// # Errors
/// Says what is wrong, for a person.
pub fn check_topic(topic: &str) -> Result<(), String> {
    check_text("topic", topic)?;
    if topic.contains(['+', '#']) {
        return Err("a topic to publish to cannot have the wildcards \"+\" and \"#\"".into());
    }
    if topic.starts_with('$') {
        return Err("topics that begin with \"$\" belong to the broker".into());
    }
    check_levels("topic", topic)
}

/// Whether `filter` is a valid topic filter, `$share/group/filter` included.
///
/// # Errors
/// Says what is wrong, for a person.
pub fn check_filter(filter: &str) -> Result<(), String> {
    check_text("topic filter", filter)?;
    let mut levels = filter;
    if filter == "$share" || filter.starts_with("$share/") {
        let mut parts = filter.splitn(3, '/').skip(1);
        let group = parts.next().unwrap_or_default();
        levels = parts.next().unwrap_or_default();
        if group.is_empty() || levels.is_empty() {
            return Err("a shared subscription is written $share/<group>/<topic filter>".into());
        }
        if group.contains(['+', '#']) {
            return Err("the group of a shared subscription cannot have the wildcards \"+\" and \"#\"".into());
        }
    }
    check_levels("topic filter", levels)?;
    let last = levels.split('/').count() - 1;
    for (position, level) in levels.split('/').enumerate() {
        if level.len() > 1 && level.contains('+') {
            return Err(format!("\"+\" must stand alone between slashes, not in \"{level}\""));
        }
        if level.len() > 1 && level.contains('#') {
            return Err(format!("\"#\" must stand alone after a slash, not in \"{level}\""));
        }
        if level == "#" && position != last {
            return Err("\"#\" must be the last level".into());
        }
    }
    Ok(())
}

/// Whether `name` can be one level of a topic: a device, sensor or quantity.
///
/// # Errors
/// Says what is wrong, for a person.
pub fn check_level(name: &str) -> Result<(), String> {
    const LONGEST_LEVEL: usize = 128;
    if name.is_empty() {
        return Err("is empty".into());
    }
    if name.len() > LONGEST_LEVEL {
        return Err(format!("is longer than {LONGEST_LEVEL} bytes"));
    }
    if let Some(bad) = name.chars().find(|c| "/+#{}".contains(*c) || !allowed(*c)) {
        return Err(format!("cannot contain {bad:?}: it is a level of MQTT topics"));
    }
    if name.trim() != name {
        return Err("begins or ends with a space".into());
    }
    if name.starts_with('$') {
        return Err("cannot begin with \"$\"".into());
    }
    Ok(())
}

fn check_text(what: &str, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("an empty {what}"));
    }
    if text.len() > LONGEST {
        return Err(format!("the {what} has {} bytes; MQTT allows {LONGEST}", text.len()));
    }
    match text.chars().find(|c| !allowed(*c)) {
        Some('\0') => Err(format!("a {what} cannot contain the character NUL")),
        Some(bad) => Err(format!("a {what} cannot contain the character {}", bad.escape_unicode())),
        None => Ok(()),
    }
}

fn check_levels(what: &str, text: &str) -> Result<(), String> {
    if text.split('/').any(str::is_empty) {
        return Err(format!("the {what} has an empty level: a \"/\" at its begin or end, or \"//\""));
    }
    Ok(())
}

/// No control characters and no Unicode non-characters (MQTT 1.5.3 lets a receiver close the connection).
fn allowed(c: char) -> bool {
    let code = c as u32;
    !(c.is_control() || (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe)
}

/// The topic filter without `$share/group/`.
pub fn unshared(filter: &str) -> &str {
    match filter.strip_prefix("$share/") {
        Some(rest) => rest.split_once('/').map_or(rest, |(_, filter)| filter),
        None => filter,
    }
}

/// Whether a message on `topic` reaches a subscription of `filter`.
///
/// `#` matches its parent level too (`a/#` matches `a`); wildcards in the first level do not match
/// topics that begin with `$` (MQTT 4.7.2).
pub fn topic_matches(filter: &str, topic: &str) -> bool {
    let filter = unshared(filter);
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut names = topic.split('/');
    for level in filter.split('/') {
        match (level, names.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

/// Whether every topic that `narrow` matches is matched by `wide` too.
pub fn covers(wide: &str, narrow: &str) -> bool {
    let (wide, narrow) = (unshared(wide), unshared(narrow));
    // A wildcard in the first level leaves out what begins with `$`.
    if narrow.starts_with('$') && wide.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = narrow.split('/');
    for level in wide.split('/') {
        match (level, levels.next()) {
            ("#", _) => return true,
            ("+", Some(other)) if other != "#" => {}
            (level, Some(other)) if level == other => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// Whether some topic matches both: such a message would arrive once per filter.
pub fn overlaps(one: &str, other: &str) -> bool {
    let (one, other) = (unshared(one), unshared(other));
    let wild = |filter: &str| filter.starts_with(['+', '#']);
    if (one.starts_with('$') && wild(other)) || (other.starts_with('$') && wild(one)) {
        return false;
    }
    let (mut left, mut right) = (one.split('/'), other.split('/'));
    loop {
        match (left.next(), right.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(a), Some(b)) if a == b || a == "+" || b == "+" => {}
            _ => return false,
        }
    }
}

/// A topic with placeholders, for example `castel/{device}/{sensor}/{quantity}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Device,
    Sensor,
    Quantity,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub suggestion: Option<String>,
}

impl Template {
    /// Reads a template; the finished topic is judged by [`check_topic`] once it is filled in.
    ///
    /// # Errors
    /// An unknown placeholder or a lone brace.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        const KNOWN: [&str; 3] = ["{device}", "{sensor}", "{quantity}"];
        let pieces = split_placeholders(text)
            .map_err(|message| TemplateError { message, suggestion: Some(possible(&KNOWN)) })?;
        let pieces = pieces.into_iter().map(|piece| match piece {
            Ok(text) => Ok(Piece::Text(text.to_owned())),
            Err("device") => Ok(Piece::Device),
            Err("sensor") => Ok(Piece::Sensor),
            Err("quantity") => Ok(Piece::Quantity),
            Err(name) => Err(unknown_placeholder(name, &KNOWN)),
        });
        Ok(Self(pieces.collect::<Result<_, _>>()?))
    }

    /// Whether `{device}` occurs, and so on.
    pub fn has_sensor(&self) -> bool {
        self.0.contains(&Piece::Sensor)
    }

    /// Whether `{quantity}` occurs: then each quantity is a message of its own.
    pub fn has_quantity(&self) -> bool {
        self.0.contains(&Piece::Quantity)
    }

    /// The topic one level below this one, named by the quantity.
    pub fn below(mut self) -> Self {
        self.0.extend([Piece::Text("/".to_owned()), Piece::Quantity]);
        self
    }

    /// The topic with everything filled in; a template without `{quantity}` ignores `quantity`.
    pub fn fill(&self, device: &str, sensor: &str, quantity: &str) -> String {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text,
                Piece::Device => device,
                Piece::Sensor => sensor,
                Piece::Quantity => quantity,
            })
            .collect()
    }
}

/// Splits `a{b}c` into `Ok("a"), Err("b"), Ok("c")`: text and names of placeholders.
pub(crate) fn split_placeholders(text: &str) -> Result<Vec<Result<&str, &str>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(start);
        let end = brace.find('}').filter(|_| brace.starts_with('{'));
        let Some(end) = end else {
            return Err("a single brace: placeholders are written {like_this}".to_owned());
        };
        let name = brace.get(1..end).unwrap_or_default();
        if name.contains('{') {
            return Err("a single brace: placeholders are written {like_this}".to_owned());
        }
        if !before.is_empty() {
            pieces.push(Ok(before));
        }
        pieces.push(Err(name));
        rest = brace.get(end + 1..).unwrap_or_default();
    }
    if !rest.is_empty() {
        pieces.push(Ok(rest));
    }
    Ok(pieces)
}

/// What to say of a placeholder that is not one of `known`, all of them in braces.
pub(crate) fn unknown_placeholder(name: &str, known: &[&str]) -> TemplateError {
    let written = format!("{{{name}}}");
    TemplateError {
        suggestion: did_you_mean_or_list(&written, known),
        message: format!("unknown placeholder {}", super::problem::quoted(&written)),
    }
}

fn possible(known: &[&str]) -> String {
    format!("possible: {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn matching_as_in_the_standard() {
        // Examples of MQTT 3.1.1, 4.7.1 and 4.7.2, and 5.0, 4.8.2.
        for (filter, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("#", "a/b", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/a", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/a", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("$share/group/a/+", "a/b", true),
            ("$share/group/#", "$SYS/a", false),
            ("a", "A", false),
        ] {
            assert_eq!(topic_matches(filter, topic), expected, "{filter} on {topic}");
        }
    }

    #[test]
    fn filters_that_are_none() {
        for (filter, word) in [
            ("", "empty"),
            ("a/#/b", "last"),
            ("a#", "alone"),
            ("a/b+", "alone"),
            ("a//b", "empty level"),
            ("/a", "empty level"),
            ("a/", "empty level"),
            ("a\0b", "NUL"),
            ("a\u{7}b", "\\u{7}"),
            ("$share/g", "$share/<group>"),
            ("$share", "$share/<group>"),
            ("$share//a", "$share/<group>"),
            ("$share/+/a", "group"),
            ("$share/g/a/#/b", "last"),
        ] {
            let error = check_filter(filter).unwrap_err();
            assert!(error.contains(word), "{filter}: {error}");
        }
        for filter in ["#", "+", "a/+/b/#", "$share/g/a/#", "$SYS/#", "a b/ü"] {
            assert_eq!(check_filter(filter), Ok(()), "{filter}");
        }
    }

    #[test]
    fn topics_that_are_none() {
        let long = "x".repeat(65_536);
        for (topic, word) in [
            ("a/+", "wildcards"),
            ("a/#", "wildcards"),
            ("$SYS/x", "broker"),
            ("a//b", "empty level"),
            ("a\0", "NUL"),
            (long.as_str(), "65536 bytes"),
        ] {
            let error = check_topic(topic).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        assert_eq!(check_topic(&"x".repeat(65_535)), Ok(()));
    }

    #[test]
    fn covering_and_overlapping() {
        for (one, other, covering, overlapping) in [
            ("a/#", "a/b", true, true),
            ("a/#", "a", true, true),
            ("a/#", "a/#", true, true),
            ("a/+", "a/b", true, true),
            ("a/+", "a/#", false, true),
            ("a/+", "+/b", false, true),
            ("a/b", "a/c", false, false),
            ("#", "$SYS/#", false, false),
            ("$share/g/a/#", "a/b", true, true),
            ("a/+/c", "a/b", false, false),
            ("+/b/#", "a/+", false, true),
        ] {
            assert_eq!(covers(one, other), covering, "{one} covers {other}");
            assert_eq!(overlaps(one, other), overlapping, "{one} overlaps {other}");
            assert_eq!(overlaps(other, one), overlapping, "{other} overlaps {one}");
        }
    }

    #[test]
    fn templates() {
        let template = Template::parse("castel/{device}/{sensor}/{quantity}").unwrap();
        assert_eq!(template.fill("pi", "air", "temperature"), "castel/pi/air/temperature");
        assert!(template.has_quantity());
        assert!(!Template::parse("castel/{device}").unwrap().has_sensor());
        let error = Template::parse("a/{sensr}").unwrap_err();
        assert_eq!(error.message, "unknown placeholder \"{sensr}\"");
        assert_eq!(error.suggestion.as_deref(), Some("did you mean \"{sensor}\"?"));
        for lone in ["a/{sensor", "a/}", "a/{{sensor}"] {
            assert!(Template::parse(lone).unwrap_err().message.contains("single brace"), "{lone}");
        }
    }

    /// Filters and topics over a tiny alphabet, so that they meet often.
    fn filter() -> impl Strategy<Value = String> {
        (prop::collection::vec(prop::sample::select(vec!["a", "b", "+", "$x"]), 1..4), any::<bool>())
            .prop_map(|(mut levels, rest)| {
                if rest {
                    levels.push("#");
                }
                levels.join("/")
            })
    }

    fn topic() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "$x"]), 1..5).prop_map(|l| l.join("/"))
    }

    proptest! {
        #[test]
        fn a_covering_filter_matches_all_that_the_other_does(wide in filter(), narrow in filter(), topic in topic()) {
            if covers(&wide, &narrow) && topic_matches(&narrow, &topic) {
                prop_assert!(topic_matches(&wide, &topic));
            }
        }

        #[test]
        fn what_matches_both_overlaps(one in filter(), other in filter(), topic in topic()) {
            if topic_matches(&one, &topic) && topic_matches(&other, &topic) {
                prop_assert!(overlaps(&one, &other));
            }
        }

        #[test]
        fn overlapping_filters_share_a_topic(one in filter(), other in filter()) {
            // The topic that is in both, level by level.
            let (a, b): (Vec<_>, Vec<_>) = (one.split('/').collect(), other.split('/').collect());
            if overlaps(&one, &other) {
                let levels = a.len().max(b.len());
                let shared: Vec<&str> = (0..levels).map_while(|i| match (a.get(i), b.get(i)) {
                    (Some(&"#"), Some(&"#")) => None,
                    (Some(&"#" | &"+"), Some(&level)) | (Some(&level), Some(&"#" | &"+")) => Some(level),
                    (Some(&level), _) | (_, Some(&level)) if level != "#" => Some(level),
                    _ => None,
                }).map(|level| if level == "+" || level == "#" { "c" } else { level }).collect();
                let shared = shared.join("/");
                prop_assert!(topic_matches(&one, &shared), "{one} {shared}");
                prop_assert!(topic_matches(&other, &shared), "{other} {shared}");
            }
        }

        #[test]
        fn a_topic_matches_itself(topic in topic()) {
            prop_assert!(topic_matches(&topic, &topic));
        }

        #[test]
        fn no_text_panics(one in "\\PC{0,12}", other in "[a+#/$]{0,12}") {
            for text in [&one, &other] {
                if check_topic(text).is_ok() {
                    prop_assert!(check_filter(text).is_ok());
                }
                let braces = text.contains(['{', '}']);
                prop_assert!(Template::parse(text).is_ok() || braces);
            }
            topic_matches(&one, &other);
            covers(&other, &one);
            overlaps(&one, &other);
        }
    }
}
