//! Configurations, topic templates and topic filters out of any bytes, for `crate::fuzz`.

use super::topic::{Template, check_filter, check_topic, covers, overlaps, topic_matches, unshared};
use super::{read_with, registry};

/// Lines `MQTT__URL=…` for the environment, a NUL, and the file; without a NUL, the file alone.
pub(crate) fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (variables, yaml) = text.split_once('\0').unwrap_or(("", &text));
    let set = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((format!("SENSOR_BRIDGE__{name}"), value.to_owned()))
    };
    let said = match read_with(yaml, None, variables.lines().filter_map(set), registry::registry()) {
        Ok(checked) => checked.warnings.iter().map(ToString::to_string).collect(),
        Err(problems) => {
            assert!(!problems.list.is_empty(), "refused without a word");
            vec![problems.to_string()]
        }
    };
    for text in said {
        let control = text.chars().find(|letter| letter.is_control() && *letter != '\n');
        assert_eq!(control, None, "a message must not move the cursor of a terminal: {text:?}");
    }
}

/// Four lines: a template, two filters, a topic.
pub(crate) fn topics(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (template, one, other, topic) = (line(), line(), line(), line());
    if let Ok(template) = Template::parse(template) {
        let filled = template.fill("device", "sensor", "quantity");
        assert!(!filled.contains(['{', '}']), "{filled}");
        assert_eq!(template.has_quantity(), template.fill("d", "s", "a") != template.fill("d", "s", "b"));
        assert!(template.below().has_quantity());
    }
    let sound = check_filter(one).is_ok() && check_filter(other).is_ok();
    let matches = topic_matches(one, topic);
    if check_filter(one).is_ok() && check_topic(topic).is_ok() {
        let levels = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(matches, standard(&levels(unshared(one)), &levels(topic)), "{one} {topic}");
    }
    let (covers, overlaps) = (covers(one, other), overlaps(one, other));
    assert_eq!(overlaps, self::overlaps(other, one), "{one} {other}");
    if sound && check_topic(topic).is_ok() && topic_matches(other, topic) {
        assert!(!covers || matches, "{one} covers {other}, but not on {topic}");
        assert!(overlaps || !matches, "{one} and {other} meet on {topic}");
    }
}

/// MQTT 3.1.1 section 4.7 word by word. A topic of ours does not begin with `$`.
fn standard(filter: &[String], topic: &[String]) -> bool {
    match (filter, topic) {
        ([], []) => true,
        ([rest], _) if rest == "#" => true,
        ([level, filter @ ..], [name, topic @ ..]) => {
            (level == "+" || level == name) && standard(filter, topic)
        }
        _ => false,
    }
}
