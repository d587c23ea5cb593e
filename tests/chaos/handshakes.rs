//! What a broker's own log proves against it. Pure.

use std::collections::HashSet;

/// How often mosquitto (its log, `log_type all`) has sent this client a QoS 2 message again after the client
/// had its PUBREL and was therefore told to forget the packet id. Such a repeat is the broker's.
///
/// Two ways to it are known. A restart with more under way than its window: `support::WIDE_WINDOW`. And a
/// connection that breaks while the PUBRELs of an earlier one are being sent again: those not sent yet it
/// takes for messages never sent (`db__message_reconnect_reset_outgoing`, up to 2.0.20 at least; measured with
/// 6,000 hand-shakes and a reset right after the CONNACK: 6,000 sent again, none without the reset).
pub fn broken(log: &str, client: &str) -> usize {
    let mut released = HashSet::new();
    let mut count = 0;
    for line in log.lines() {
        // "1795170590: Sending PUBREL to <client> (m522)" and so on: the text after the time.
        let Some((_, text)) = line.split_once(": ") else { continue };
        let about = |what: &str| text.strip_prefix(what)?.strip_prefix(client)?.strip_prefix(" (");
        if let Some(rest) = about("Sending PUBREL to ") {
            released.extend(number(rest, "m"));
        } else if let Some(rest) = about("Received PUBCOMP from ") {
            released.retain(|id| Some(*id) != number(rest, "Mid: "));
        } else if let Some(rest) = about("Sending PUBLISH to ")
            && let Some((_, rest)) = rest.split_once(", q2, ")
            && let Some((_, rest)) = rest.split_once(", ")
            && number(rest, "m").is_some_and(|id| released.remove(&id))
        {
            count += 1;
        }
    }
    count
}

fn number(text: &str, name: &str) -> Option<u16> {
    let text = text.strip_prefix(name)?;
    text[..text.find(|letter: char| !letter.is_ascii_digit())?].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As mosquitto 2.0.11 wrote it.
    const BROKEN: &str = "\
1795170587: Sending PUBLISH to witness (d0, q2, r0, m522, 'outside/two/2', ... (9 bytes))
1795170588: Sending PUBLISH to witness (d1, q2, r0, m522, 'outside/two/2', ... (9 bytes))
1795170589: Received PUBREC from witness (Mid: 522)
1795170589: Sending PUBREL to witness (m522)
1795170590: mosquitto version 2.0.11 running
1795170590: Sending PUBLISH to witness (d1, q2, r0, m522, 'outside/two/2', ... (9 bytes))
1795170590: Received PUBREC from witness (Mid: 522)
";

    #[test]
    fn a_message_again_after_its_release_is_the_brokers_fault() {
        assert_eq!(broken(BROKEN, "witness"), 1);
        assert_eq!(broken(BROKEN, "another"), 0);
        assert_eq!(broken(BROKEN, "wit"), 0);
    }

    #[test]
    fn what_the_standard_allows_is_not() {
        let before_release = BROKEN.replace("Sending PUBREL", "Nothing");
        assert_eq!(broken(&before_release, "witness"), 0);
        let resent_release = BROKEN.replace(
            "1795170590: Sending PUBLISH to witness (d1, q2, r0, m522,",
            "1795170590: Sending PUBREL to witness (m522,",
        );
        assert_eq!(broken(&resent_release, "witness"), 0);
        let done = BROKEN
            .replace("mosquitto version 2.0.11 running", "Received PUBCOMP from witness (Mid: 522, RC:0)");
        assert_eq!(broken(&done, "witness"), 0, "the packet id is another message's");
        assert_eq!(broken(&BROKEN.replace("q2", "q1"), "witness"), 0);
    }
}
