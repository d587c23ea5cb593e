//! The primary host application: whether it is there to take what we have (specification 3.0.0, sections 4.3 and 5.4).

use serde::Deserialize;

/// What is known of it.
#[derive(Debug)]
pub(super) struct Host {
    topic: String,
    online: bool,
    /// Timestamp of the last STATE that counted, ms since 1970 by the host's clock.
    last: Option<f64>,
    /// The same of the last that said online.
    last_online: Option<f64>,
}

const NO_STATE: &str = "the STATE of the primary host is not {\"online\":true,\"timestamp\":…}";

#[derive(Deserialize)]
struct State {
    online: bool,
    timestamp: f64,
}

impl Host {
    pub(super) fn new(id: &str) -> Self {
        Self { topic: format!("spBv1.0/STATE/{id}"), online: false, last: None, last_online: None }
    }

    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    pub(super) fn is_online(&self) -> bool {
        self.online
    }

    /// A new connection: nothing counts before the broker has said it again.
    pub(super) fn forget(&mut self) {
        self.online = false;
    }

    /// A STATE message.
    ///
    /// # Errors
    /// It is none. In fixed words: what somebody sends must not fill the log.
    pub(super) fn heard(&mut self, payload: &[u8]) -> Result<(), &'static str> {
        let State { online, timestamp } = serde_json::from_slice(payload).map_err(|_| NO_STATE)?;
        // What an earlier session of the host left behind, and a will that comes late, do not count.
        let before = if online { self.last } else { self.last_online };
        if before.is_some_and(|before| timestamp < before) {
            return Ok(());
        }
        self.online = online;
        self.last = Some(timestamp);
        if online {
            self.last_online = Some(timestamp);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_does_not_count() {
        let mut host = Host::new("scada");
        assert_eq!(host.topic(), "spBv1.0/STATE/scada");
        for (payload, online) in [
            (r#"{"online":false,"timestamp":100}"#, false),
            (r#"{"online":true,"timestamp":99}"#, false),
            (r#"{"online":true,"timestamp":200}"#, true),
            (r#"{"online":false,"timestamp":199}"#, true),
            (r#"{"online":false,"timestamp":200}"#, false),
            (r#"{"timestamp":200,"online":true,"more":[]}"#, true),
        ] {
            host.heard(payload.as_bytes()).unwrap();
            assert_eq!(host.is_online(), online, "{payload}");
        }
        for nonsense in ["ONLINE", "{}", r#"{"online":"true","timestamp":300}"#] {
            assert!(host.heard(nonsense.as_bytes()).is_err(), "{nonsense}");
        }
        assert!(host.is_online());
        host.forget();
        assert!(!host.is_online());
    }
}
