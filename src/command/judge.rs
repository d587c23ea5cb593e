//! Whether a command that came over MQTT is carried out. Pure: the time is an argument.

use std::time::Duration;

use super::request::{Parsed, Request, parse};
use super::{Answer, sign};
use crate::config::{CommandSource, Permission};
use crate::mirror::Incoming;
use crate::reading::{Clock, Moment, Timestamp};

/// A larger command is none, bytes.
const LARGEST: usize = 8 * 1024;

/// A command may be good for this long at most: so long its id is remembered.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// What a command is taken for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judged {
    /// The sender's id, if it could be read.
    pub(super) id: Option<String>,
    /// Until when it is good.
    pub(super) expires: Option<Timestamp>,
    /// What is to be done, or the answer why nothing is.
    pub(super) request: Result<Request, Answer>,
}

/// Judges a message on the topic of `source`.
pub(super) fn judge(source: &CommandSource, message: &Incoming, now: Moment) -> Judged {
    let refuse = |id: Option<String>, expires, rc, why: String| Judged {
        id,
        expires,
        request: Err(Answer::new(rc, why)),
    };
    if message.payload.len() > LARGEST {
        return refuse(None, None, 413, format!("the command has more than {LARGEST} bytes"));
    }
    let Ok(text) = std::str::from_utf8(&message.payload) else {
        return refuse(None, None, 400, "the command is not UTF-8 text".to_owned());
    };
    let Parsed { id, expires, request } = parse(text);
    // Whoever has no key learns nothing of what is understood here.
    if let Some(key) = &source.key
        && let Err(why) = sign::verify(&key.0, &message.topic, text)
    {
        return refuse(id, expires, 401, format!("the command {why}"));
    }
    if message.retained {
        let why = "the command was retained: the broker would give it again at every connection; publish it without";
        return refuse(id, expires, 410, why.to_owned());
    }
    let request = match request {
        Ok(request) => request,
        Err(why) => return refuse(id, expires, 400, why),
    };
    if let Err(answer) = in_time(source, expires, now) {
        return Judged { id, expires, request: Err(answer) };
    }
    if !may(source, &request) {
        return refuse(id, expires, 403, format!("not allowed here: {request}"));
    }
    Judged { id, expires, request: Ok(request) }
}

/// Whether a command has not expired, and whether that can be known.
pub(super) fn in_time(source: &CommandSource, expires: Option<Timestamp>, now: Moment) -> Result<(), Answer> {
    // Without a time it was not understood, and refused before.
    let Some(expires) = expires else { return Ok(()) };
    if now.clock == Clock::Unsynced && !source.obey_unsynced {
        let why = "the clock is not synchronised, so nobody knows whether the command has expired; `unsynced: obey` would take the clock as it is";
        return Err(Answer::new(503, why));
    }
    if expires <= now.wall {
        return Err(Answer::new(408, format!("the command expired at {expires}, and it is {}", now.wall)));
    }
    let longest = i64::try_from(LONGEST_LIFE.as_micros()).unwrap_or(i64::MAX);
    if expires.0.saturating_sub(now.wall.0) > longest {
        return Err(Answer::new(400, "the command may expire in at most 24 hours"));
    }
    Ok(())
}

pub(super) fn may(source: &CommandSource, request: &Request) -> bool {
    source.allow.iter().any(|permission| match (permission, request.action()) {
        (Permission::Output(output), None) => output.as_str() == request.target(),
        (Permission::Action { action, sensor }, Some(wanted)) => {
            *action == wanted && sensor.as_ref().is_none_or(|sensor| sensor.as_str() == request.target())
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Action, SecretBytes};
    use crate::mirror::fingerprint;
    use crate::reading::Qos;

    const NOW: i64 = 1_795_158_000_000_000;

    fn source() -> CommandSource {
        let read_air = Permission::Action { action: Action::Read, sensor: Some("air".into()) };
        let pause = Permission::Action { action: Action::Pause, sensor: None };
        CommandSource {
            topic: "t".into(),
            qos: Qos::AtLeastOnce,
            allow: vec![Permission::Output("fan".into()), read_air, pause],
            key: None,
            reply: None,
            obey_unsynced: false,
        }
    }

    fn message(payload: &str) -> Incoming {
        Incoming {
            topic: "t".into(),
            payload: payload.into(),
            qos: Qos::AtLeastOnce,
            retained: false,
            received: now(),
            packet_id: 1,
            dup: false,
            hash: fingerprint("t", payload.as_bytes()),
            response: None,
        }
    }

    fn now() -> Moment {
        Moment { wall: Timestamp(NOW), since_boot: 1, clock: Clock::Synced }
    }

    fn command(seconds: i64, rest: &str) -> String {
        format!("{{\"id\":\"a\",\"expires\":{},{rest}}}", NOW / 1_000_000 + seconds)
    }

    fn rc(source: &CommandSource, message: &Incoming, now: Moment) -> u16 {
        judge(source, message, now).request.map_or_else(|answer| answer.rc, |_| 0)
    }

    #[test]
    fn only_what_is_allowed_is_carried_out() {
        for (rest, expected) in [
            (r#""action":"set","output":"fan","value":1"#, 0),
            (r#""action":"set","output":"pump","value":1"#, 403),
            (r#""action":"set","output":"air","value":1"#, 403),
            (r#""action":"read","sensor":"air""#, 0),
            (r#""action":"read","sensor":"soil""#, 403),
            (r#""action":"pause","sensor":"soil""#, 0),
            (r#""action":"status""#, 403),
            (r#""action":"boil""#, 400),
        ] {
            assert_eq!(rc(&source(), &message(&command(60, rest)), now()), expected, "{rest}");
        }
        let nothing = CommandSource { allow: Vec::new(), ..source() };
        let on = message(&command(60, r#""action":"set","output":"fan","value":1"#));
        assert_eq!(rc(&nothing, &on, now()), 403);
    }

    #[test]
    fn old_retained_and_timeless_commands_are_refused() {
        let at = |seconds| message(&command(seconds, r#""action":"set","output":"fan","value":1"#));
        for (seconds, expected) in [(1, 0), (0, 408), (-60, 408), (86_400, 0), (86_401, 400)] {
            assert_eq!(rc(&source(), &at(seconds), now()), expected, "{seconds} s");
        }
        assert_eq!(rc(&source(), &Incoming { retained: true, ..at(60) }, now()), 410);
        let unsynced = Moment { clock: Clock::Unsynced, ..now() };
        assert_eq!(rc(&source(), &at(60), unsynced), 503);
        let obeys = CommandSource { obey_unsynced: true, ..source() };
        assert_eq!([60, -1].map(|seconds| rc(&obeys, &at(seconds), unsynced)), [0, 408]);
    }

    #[test]
    fn with_a_key_only_signed_commands_count() {
        let key = b"0123456789abcdef";
        let keyed = CommandSource { key: Some(SecretBytes(key.to_vec())), ..source() };
        let text = command(60, r#""action":"set","output":"fan","value":1"#);
        assert_eq!(rc(&keyed, &message(&text), now()), 401);
        assert_eq!(rc(&keyed, &message(&sign::sign(key, "t", &text)), now()), 0);
        assert_eq!(rc(&keyed, &message(&sign::sign(key, "u", &text)), now()), 401);
        assert_eq!(
            rc(&source(), &message(&sign::sign(b"another", "t", &text)), now()),
            0,
            "no key, no question"
        );
        assert_eq!(rc(&keyed, &message("nonsense"), now()), 401, "before anything is said of it");
    }

    #[test]
    fn what_is_no_text_or_too_much_is_refused() {
        let large = message(&format!("{{\"id\":\"{}\"}}", "x".repeat(LARGEST)));
        assert_eq!(rc(&source(), &large, now()), 413);
        assert_eq!(rc(&source(), &Incoming { payload: vec![0xFF, 0xFE], ..large }, now()), 400);
    }
}
