//! Wrong passwords, per address: after a few, each further one costs a longer wait. Pure: the time is an argument.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Slips of the finger that cost nothing.
const FREE: u32 = 5;

/// The first wait; it doubles with each further attempt.
const FIRST: Duration = Duration::from_secs(2);

/// The longest.
const LONGEST: Duration = Duration::from_secs(300);

/// After this long without an attempt all is forgotten.
const FORGET: Duration = Duration::from_secs(3_600);

/// Addresses that are remembered.
const ADDRESSES: usize = 1_000;

/// Who has said wrong passwords lately.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    wrong: HashMap<IpAddr, Wrong>,
}

#[derive(Debug, Clone, Copy)]
struct Wrong {
    count: u32,
    last: Instant,
}

impl Wrong {
    fn wait(self) -> Duration {
        match self.count.checked_sub(FREE) {
            None => Duration::ZERO,
            Some(beyond) => FIRST.saturating_mul(1 << beyond.min(16)).min(LONGEST),
        }
    }
}

impl Attempts {
    /// Whether this address may try now; otherwise how long it has to wait.
    pub fn may_try(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let Some(wrong) = self.wrong.get(&network(peer)) else { return Ok(()) };
        let over = wrong.last + wrong.wait();
        if now >= over { Ok(()) } else { Err(over - now) }
    }

    /// It was wrong.
    pub fn failed(&mut self, peer: IpAddr, now: Instant) {
        let peer = network(peer);
        if !self.wrong.contains_key(&peer) && self.wrong.len() >= ADDRESSES {
            self.wrong.retain(|_, wrong| now < wrong.last + FORGET);
            // Still full: somebody has a thousand addresses. The one longest silent makes room.
            let oldest = self.wrong.iter().min_by_key(|(_, wrong)| wrong.last).map(|(peer, _)| *peer);
            if let Some(oldest) = oldest.filter(|_| self.wrong.len() >= ADDRESSES) {
                self.wrong.remove(&oldest);
            }
        }
        let wrong = self.wrong.entry(peer).or_insert(Wrong { count: 0, last: now });
        let count = if now >= wrong.last + FORGET { 0 } else { wrong.count };
        *wrong = Wrong { count: count.saturating_add(1), last: now };
    }

    /// It was right.
    pub fn succeeded(&mut self, peer: IpAddr) {
        self.wrong.remove(&network(peer));
    }
}

/// One household has one IPv4 address, or a /64 of IPv6 in which it can change its address at will.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn waits_double_up_to_a_bound_and_end_with_success_or_time() {
        let mut attempts = Attempts::default();
        let (peer, mut now) = (address("10.0.0.1"), Instant::now());
        for _ in 0..FREE {
            assert_eq!(attempts.may_try(peer, now), Ok(()));
            attempts.failed(peer, now);
        }
        let mut waits = Vec::new();
        for _ in 0..10 {
            let wait = attempts.may_try(peer, now).unwrap_err();
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(attempts.may_try(peer, now), Ok(()));
            attempts.failed(peer, now);
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(attempts.may_try(address("10.0.0.2"), now), Ok(()));
        now += FORGET;
        attempts.failed(peer, now);
        assert_eq!(attempts.may_try(peer, now), Ok(()), "forgotten");
        for _ in 0..FREE {
            attempts.failed(peer, now);
        }
        assert!(attempts.may_try(peer, now).is_err());
        attempts.succeeded(peer);
        assert_eq!(attempts.may_try(peer, now), Ok(()));
    }

    #[test]
    fn addresses_of_one_network_count_as_one_and_memory_is_bounded() {
        let mut attempts = Attempts::default();
        let now = Instant::now();
        for last in 0..=FREE {
            attempts.failed(address(&format!("2001:db8::{last:x}")), now);
        }
        assert!(attempts.may_try(address("2001:db8::ffff"), now).is_err());
        assert_eq!(attempts.may_try(address("2001:db8:0:1::"), now), Ok(()));
        for number in 0..3 * ADDRESSES as u32 {
            attempts.failed(IpAddr::V4(number.into()), now + Duration::from_millis(number.into()));
        }
        assert!(attempts.wrong.len() <= ADDRESSES, "{}", attempts.wrong.len());
    }
}
