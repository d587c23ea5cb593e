//! What every platform keeps to, whatever its protocol: one suite over the whole table.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::{Map, json};

pub(super) use super::testing::{about, channel, logged, moment, sample};
use super::testing::{cases, configured};
use super::*;

#[test]
fn every_platform_stands_in_the_suite_and_describes_its_options() {
    for kind in registry() {
        assert!(cases().iter().any(|(name, _)| *name == kind.name), "{} is missing in cases()", kind.name);
        let schema = (kind.options)();
        let text = schema.to_string();
        assert!(!text.contains("$ref") && !text.contains("$defs"), "{text}");
        for (key, property) in schema["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{}.{key} is not described", kind.name);
        }
        let unknown = Map::from_iter([("colour".to_owned(), json!("red"))]);
        let problems = (kind.configure)(&unknown, "d").unwrap_err();
        assert!(problems.iter().any(|problem| problem.key == "colour"), "{}: {problems:?}", kind.name);
    }
    let mut names: Vec<_> = registry().iter().map(|kind| kind.name).collect();
    names.dedup();
    assert_eq!(names.len(), registry().len());
    assert!(names.is_sorted(), "by name: {names:?}");
}

#[test]
fn what_is_configured_keeps_its_own_rules() {
    for (kind, platform) in configured() {
        assert_eq!(platform.name(), kind.name);
        let rules = platform.rules();
        if let Some(format) = &rules.format {
            assert!(find(format.name()).is_some_and(|kind| kind.format.is_some()), "{format:?}");
        }
        let sample = sample(&rules);
        let (mut buffer, mut again) = (b"left over".to_vec(), Vec::new());
        let message = match sample[0].channel.publish.as_ref().unwrap().shape {
            Shape::Sample => &sample[..],
            _ => &sample[..1],
        };
        write(&mut buffer, message, false);
        write(&mut again, message, false);
        assert!(!buffer.is_empty() && buffer == again, "{}", kind.name);
        assert!(rules.max_payload.is_none_or(|most| buffer.len() < most));
        if rules.alone {
            assert!(rules.client_id.is_some(), "{}: which identity?", kind.name);
        }
    }
}

#[test]
fn dialogues_begin_anew_on_each_connection_and_say_nothing_above_qos_1() {
    for (kind, platform) in configured() {
        let Some(mut dialogue) = platform.dialogue(&about(&platform.rules())) else { continue };
        let says = |acts: &[Act]| acts.iter().filter(|act| matches!(act, Act::Say(_))).count();
        dialogue.will();
        let first = dialogue.connected(moment(0));
        dialogue.will();
        let second = dialogue.connected(moment(1_000_000));
        assert_eq!(says(&first), says(&second), "{}", kind.name);
        for act in first.iter().chain(&second) {
            if let Act::Say(say) = act {
                assert!(
                    say.qos <= Qos::AtLeastOnce && !say.topic.is_empty() && !say.topic.contains(['+', '#'])
                );
                assert!(!platform.rules().no_retain || !say.retain, "{}: {say:?}", kind.name);
            }
        }
        for filter in dialogue.filters() {
            assert!(!filter.is_empty() && !filter.contains('\0'));
        }
    }
}

/// A topic that one of these filters lets through, or any.
fn topic(filters: Vec<String>) -> impl Strategy<Value = String> {
    let filters = if filters.is_empty() { vec!["a/#".to_owned()] } else { filters };
    (prop::sample::select(filters), "[a-z0-9+/$?=&]{0,12}", any::<bool>())
        .prop_map(|(filter, text, fits)| if fits { filter.replace(['+', '#'], &text) } else { text })
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        ".{0,64}".prop_map(String::into_bytes),
        prop::sample::select(vec![
            "{}",
            "[]",
            "null",
            "{\"d\":null}",
            "{\"d\":{\"fields\":[{\"field\":7}]},\"reqId\":[]}",
            "{\"method\":\"set\",\"params\":[]}",
            "{\"desired\":{\"fan\":{\"on\":1e999}}}",
            "{\"state\":{\"fan\":[]}}",
            "online",
            "ON",
            "-1",
            "1e999",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        // Sparkplug: a rebirth, and a metric that is on.
        Just(b"\x08\x01\x12\x18\x0a\x14Node Control/Rebirth\x70\x01".to_vec()),
        Just(b"\x08\x01\x12\x06\x0a\x02on\x70\x01".to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever comes in, a dialogue neither panics, nor answers with a flood, nor orders what our commands do not know.
    #[test]
    fn nonsense_is_borne(seed: prop::sample::Index, rounds in prop::collection::vec((any::<prop::sample::Index>(), payload(), any::<bool>()), 1..12)) {
        let all: Vec<_> = configured().collect();
        let (kind, platform) = &all[seed.index(all.len())];
        if let Some(mut dialogue) = platform.dialogue(&about(&platform.rules())) {
            let most = 100 + dialogue.connected(moment(0)).len();
            let mut runner = proptest::test_runner::TestRunner::deterministic();
            for (time, (_, payload, retained)) in (1..).zip(&rounds) {
                let topic = topic(dialogue.filters()).new_tree(&mut runner).unwrap().current();
                let now = moment(time * 1_000_000);
                let mut acts = dialogue.heard(Heard { topic: &topic, payload, retained: *retained }, now);
                if dialogue.due().is_some_and(|due| due <= now.since_boot) {
                    acts.extend(dialogue.tick(now));
                }
                prop_assert!(acts.len() <= most, "{}: {} acts", kind.name, acts.len());
                for act in acts {
                    if let Act::Do(order) = act {
                        let outcome = Outcome { rc: 200, message: "done".to_owned(), data: None };
                        dialogue.done(order.tag, &outcome, now);
                    }
                }
            }
        }
    }
}
