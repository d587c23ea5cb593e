//! Commands out of any bytes, for `crate::fuzz`.

use std::time::Duration;

use super::judge::{in_time, judge};
use super::{Request, kept};
use crate::config::{Action, CommandSource, Permission};
use crate::integrity::Key;
use crate::mirror::Incoming;
use crate::reading::{Clock, Moment, Qos, Timestamp};

/// 2026-11-20T07:00:00Z.
const NOW: Moment =
    Moment { wall: Timestamp(1_795_158_000_000_000), since_boot: 60_000_000, clock: Clock::Synced };

/// The payload of a command to a fan that may be set, a sensor that may be read and others that may be paused.
pub(crate) fn command(bytes: &[u8]) {
    let source = CommandSource {
        topic: "t".into(),
        qos: Qos::AtLeastOnce,
        allow: vec![
            Permission::Output("fan".into()),
            Permission::Action { action: Action::Read, sensor: Some("air".into()) },
            Permission::Action { action: Action::Change, sensor: None },
            Permission::Action { action: Action::Interval, sensor: None },
        ],
        key: None,
        reply: None,
        obey_unsynced: false,
    };
    let signed = CommandSource {
        // Nobody who mutates bytes finds an HMAC with it.
        key: Some(Key::new(b"a key that no corpus was signed with")),
        ..source.clone()
    };
    let message = Incoming {
        topic: "t".into(),
        payload: bytes.to_owned(),
        qos: Qos::AtLeastOnce,
        retained: false,
        received: NOW,
        packet_id: 1,
        dup: false,
        hash: 0,
        response: None,
    };
    assert!(judge(&signed, &message, NOW).request.is_err(), "obeyed without the key");
    let retained = Incoming { retained: true, ..message.clone() };
    assert!(judge(&source, &retained, NOW).request.is_err(), "obeyed though retained");

    let judged = judge(&source, &message, NOW);
    if let Some(id) = &judged.id {
        assert!((1..=64).contains(&id.len()) && !id.contains(char::is_control), "{id:?}");
    }
    let said = match &judged.request {
        Ok(request) => {
            assert!(judged.id.is_some(), "without an id a repeat is not known");
            assert!(judged.expires.is_some_and(|expires| expires > NOW.wall), "{:?}", judged.expires);
            let later = Moment { wall: Timestamp(i64::MAX), ..NOW };
            assert!(in_time(&source, judged.expires, later).is_err(), "good for ever");
            allowed(request);
            request.to_string()
        }
        Err(answer) => {
            assert!((400..600).contains(&answer.rc));
            answer.message.clone()
        }
    };
    assert!(!said.contains(char::is_control), "one line in the journal: {said:?}");
    assert!(said.len() < 1_000, "short: {said}");
    let kept = kept(&String::from_utf8_lossy(bytes));
    assert!(kept.chars().count() <= 501);
}

/// What comes through is what may.
fn allowed(request: &Request) {
    match request {
        Request::Set { output, level: _, hold } => {
            assert_eq!(output, "fan");
            assert!(hold.is_none_or(|hold| !hold.is_zero()));
        }
        Request::Read { sensor } => assert_eq!(sensor, "air"),
        Request::Interval { interval, .. } => {
            assert!((Duration::from_millis(10)..=Duration::from_secs(86_400)).contains(interval));
        }
        Request::Change { .. } => {}
        other => panic!("not allowed: {other}"),
    }
}
