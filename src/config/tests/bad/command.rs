//! Section `commands`.

use super::*;

#[test]
fn commands() {
    let outputs = "outputs: [{id: fan, driver: digital-output, pin: 4}]\nmqtt: {url: \"mqtt://b\"}";
    let cases = [
        (
            "topic: \"c/#\", allow: [fan]",
            "topic: a topic to publish to cannot have the wildcards \"+\" and \"#\"",
        ),
        (
            "topic: \"c/{sensor}\", allow: [fan]",
            "topic: cannot contain {sensor} or {quantity}: a command names what it is for",
        ),
        ("topic: c, allow: [fan, fan]", "allow[1]: \"fan\" stands here already"),
        (
            "topic: c, allow: [fam]",
            "allow[0]: \"fam\" is neither an output nor an action; did you mean \"fan\"?",
        ),
        ("topic: c, allow: [\"read:b\"]", "allow[0]: there is no sensor \"b\"; possible: air"),
        ("topic: c, allow: []", "allow: needs at least 1 item(s), has 0"),
        ("topic: c, allow: [fan], reply: c", "reply: answers would come in as commands on \"c\""),
        ("topic: c, allow: [fan], hmac_key_file: /dev/null", "hmac_key_file: \"/dev/null\" is not a file"),
    ];
    let mut table = Table::default();
    for (keys, expected) in cases {
        let yaml = format!("commands: [{{{keys}}}]\n{outputs}\n{SENSOR}");
        table.row(&yaml, &format!("line 1: commands[0].{expected}"));
    }
    table.end();
    expect(&[
        (
            "commands: [{topic: c, allow: [status]}]\nsensors: [{id: a, driver: panel}]",
            "line 1: commands: commands need a broker to come from; add `mqtt:` with the `url` of the broker",
        ),
        (
            "commands:\n  - {topic: c, allow: [status]}\n  - {topic: c, allow: [read]}\nmqtt: {url: \"mqtt://b\"}\nsensors: [{id: a, driver: panel}]",
            "line 3: commands[1].topic: is that of commands[0] already; a topic has one list of what it may do",
        ),
    ]);
}
