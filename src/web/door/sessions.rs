//! Who has logged in. In memory only: a restart asks for the password again.

use std::io::Read;
use std::time::Instant;

/// Browsers that are logged in at once; one more and the oldest has to log in again.
const MOST: usize = 64;

/// The sessions, oldest first.
#[derive(Debug, Default)]
pub(super) struct Sessions(Vec<Session>);

#[derive(Debug)]
struct Session {
    /// Digest of what the browser keeps, so that looking it up tells nothing by the time it takes.
    id: [u8; 32],
    token: String,
    until: Instant,
}

impl Sessions {
    /// A new one.
    pub fn add(&mut self, id: [u8; 32], token: String, until: Instant) {
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push(Session { id, token, until });
    }

    /// Ends one.
    pub fn remove(&mut self, id: &[u8; 32]) {
        self.0.retain(|session| session.id != *id);
    }

    /// The token of a session that is not over.
    pub fn token(&mut self, id: &[u8; 32], now: Instant) -> Option<String> {
        self.0.retain(|session| now < session.until);
        self.0.iter().find(|session| session.id == *id).map(|session| session.token.clone())
    }
}

/// 128 random bits from the kernel as 32 hexadecimal digits.
///
/// # Errors
/// There is no `/dev/urandom`.
pub(super) fn random() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn their_number_is_bounded() {
        let mut sessions = Sessions::default();
        let now = Instant::now();
        let until = now + std::time::Duration::from_secs(1);
        for number in 0..=MOST as u8 {
            sessions.add([number; 32], number.to_string(), until);
        }
        assert_eq!(sessions.token(&[0; 32], now), None);
        assert_eq!(sessions.token(&[1; 32], now).as_deref(), Some("1"));
        assert_eq!(sessions.token(&[MOST as u8; 32], now).as_deref(), Some("64"));
        assert_eq!(sessions.token(&[1; 32], until), None);
        assert_eq!(sessions.0.len(), 0);
    }

    #[test]
    fn random_is_not_twice_the_same() {
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 32);
    }
}
