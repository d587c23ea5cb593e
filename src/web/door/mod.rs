//! Who may come in, and who may change something. Everything else of the page may take it for granted.
//!
//! Three questions, in this order: is the page asked for under a name of ours (DNS rebinding: a foreign site
//! whose name suddenly means this machine); does another site ask through the visitor's browser; does the
//! visitor know the password, if there is one.

mod attempts;
mod sessions;

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use hyper::HeaderMap;
use hyper::header::{self, HeaderName};
use sha2::{Digest, Sha256};

use self::attempts::Attempts;
use self::sessions::Sessions;
use crate::config;
use crate::status::Figure;

/// A header that only our own page sets; another site's form cannot.
pub(super) const TOKEN: HeaderName = HeaderName::from_static("x-sensor-bridge-token");

/// How long a browser stays logged in.
const SESSION: Duration = Duration::from_secs(30 * 86_400);

/// The door.
#[derive(Debug)]
pub(super) struct Door {
    /// Digest of the password: of one length whatever its own is.
    password: Option<[u8; 32]>,
    /// Whether names have to be ours: on the loopback, where nothing else keeps foreign sites out.
    is_loopback: bool,
    hosts: Vec<String>,
    cookie: String,
    sessions: Mutex<Sessions>,
    attempts: Mutex<Attempts>,
    refused: Figure,
}

/// Who is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Visitor {
    /// There is no password, so anybody: may look.
    Anybody,
    /// Sent the password with the request: may look and change.
    Program,
    /// Has logged in; with the token that changes need.
    Person {
        /// To be sent as [`TOKEN`].
        token: String,
    },
}

/// Why somebody does not come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No host, or a foreign one.
    Host,
    /// Another site asks, through the browser of somebody who may.
    Site,
    /// Has not said the password.
    Stranger,
    /// Has said a wrong one.
    Wrong,
    /// Has said too many wrong ones; try again after so many seconds.
    TooMany(u64),
    /// There is no password, so nobody may change anything.
    NobodyMay,
}

impl Door {
    /// The door as configured.
    pub fn new(settings: &config::Web, refused: Figure) -> Self {
        Self {
            password: settings.password.as_ref().map(|password| digest(password.0.as_bytes())),
            is_loopback: settings.listen.ip().to_canonical().is_loopback(),
            hosts: settings.hosts.clone(),
            // Cookies do not tell ports apart, and there may be two bridges on one machine.
            cookie: format!("sensor-bridge-{}", settings.listen.port()),
            sessions: Mutex::default(),
            attempts: Mutex::default(),
            refused,
        }
    }

    /// Whether there is no password.
    pub fn is_open(&self) -> bool {
        self.password.is_none()
    }

    /// Whether the request is for us and not another site's: needed for everything, the way in included.
    pub fn is_ours(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = text(headers, header::HOST).ok_or(Refusal::Host)?;
        if self.is_loopback && !self.is_name_of_ours(host) {
            return Err(self.refuse(Refusal::Host));
        }
        let from_elsewhere = text(headers, HeaderName::from_static("sec-fetch-site")) == Some("cross-site");
        let visits = text(headers, HeaderName::from_static("sec-fetch-mode")) == Some("navigate");
        if from_elsewhere && !visits {
            return Err(self.refuse(Refusal::Site));
        }
        Ok(())
    }

    fn is_name_of_ours(&self, host: &str) -> bool {
        let name = host_name(host).to_ascii_lowercase();
        let name = name.trim_end_matches('.');
        if let Ok(ip) = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return ip.to_canonical().is_loopback();
        }
        name == "localhost" || name.ends_with(".localhost") || self.hosts.iter().any(|host| host == name)
    }

    /// Who is there.
    pub fn visitor(&self, headers: &HeaderMap, peer: IpAddr, now: Instant) -> Result<Visitor, Refusal> {
        if self.is_open() {
            return Ok(Visitor::Anybody);
        }
        if let Some(password) = sent_password(headers) {
            return self.knows(password.as_bytes(), peer, now).map(|()| Visitor::Program);
        }
        let session = self.cookie_of(headers).and_then(|id| lock(&self.sessions).token(&digest(id), now));
        session.map(|token| Visitor::Person { token }).ok_or(Refusal::Stranger)
    }

    /// Whether the request may change something: a program with the password, or our own page in the browser
    /// of somebody who has logged in.
    pub fn may_change(&self, headers: &HeaderMap, peer: IpAddr, now: Instant) -> Result<(), Refusal> {
        match self.visitor(headers, peer, now)? {
            Visitor::Anybody => Err(Refusal::NobodyMay),
            Visitor::Program => Ok(()),
            Visitor::Person { token } => {
                self.is_same_site(headers)?;
                let sent = text(headers, TOKEN).unwrap_or_default();
                match is_equal(&digest(sent.as_bytes()), &digest(token.as_bytes())) {
                    true => Ok(()),
                    false => Err(self.refuse(Refusal::Site)),
                }
            }
        }
    }

    /// Whether our own page asks. The browser's own word counts first: it is right behind a proxy as well.
    pub fn is_same_site(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let same = match text(headers, HeaderName::from_static("sec-fetch-site")) {
            Some(site) => site == "same-origin",
            None => {
                let origin = text(headers, header::ORIGIN).and_then(|origin| origin.split_once("://"));
                let host = text(headers, header::HOST);
                host.is_some() && origin.map(|(_, host)| host) == host
            }
        };
        if same { Ok(()) } else { Err(self.refuse(Refusal::Site)) }
    }

    /// A new session for who knows the password, as the value of a `Set-Cookie` header.
    pub fn enter(
        &self,
        password: &str,
        headers: &HeaderMap,
        peer: IpAddr,
        now: Instant,
    ) -> Result<String, Refusal> {
        self.knows(password.as_bytes(), peer, now)?;
        // Without randomness there is no session: rather nobody comes in than anybody.
        let id = sessions::random().map_err(|error| {
            tracing::error!("web: no random number for a session: {error}");
            Refusal::Stranger
        })?;
        let token = sessions::random().map_err(|_| Refusal::Stranger)?;
        lock(&self.sessions).add(digest(id.as_bytes()), token, now + SESSION);
        // What a proxy on this machine says of the way to it.
        let is_safe = peer.to_canonical().is_loopback()
            && text(headers, HeaderName::from_static("x-forwarded-proto")) == Some("https");
        let secure = if is_safe { "; Secure" } else { "" };
        let (name, age) = (&self.cookie, SESSION.as_secs());
        Ok(format!("{name}={id}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}"))
    }

    /// Ends the session, as the value of a `Set-Cookie` header.
    pub fn leave(&self, headers: &HeaderMap) -> String {
        if let Some(id) = self.cookie_of(headers) {
            lock(&self.sessions).remove(&digest(id));
        }
        format!("{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict", self.cookie)
    }

    fn knows(&self, password: &[u8], peer: IpAddr, now: Instant) -> Result<(), Refusal> {
        let Some(expected) = &self.password else { return Ok(()) };
        let mut attempts = lock(&self.attempts);
        attempts.may_try(peer, now).map_err(|wait| {
            self.refused.add(1);
            Refusal::TooMany(wait.as_secs() + 1)
        })?;
        if is_equal(expected, &digest(password)) {
            attempts.succeeded(peer);
            return Ok(());
        }
        attempts.failed(peer, now);
        drop(attempts);
        tracing::warn!("web: wrong password from {peer}");
        Err(self.refuse(Refusal::Wrong))
    }

    fn cookie_of<'a>(&self, headers: &'a HeaderMap) -> Option<&'a [u8]> {
        let mut pairs = headers.get_all(header::COOKIE).iter().filter_map(|cookie| cookie.to_str().ok());
        pairs.find_map(|cookie| {
            let mut pairs = cookie.split(';').filter_map(|pair| pair.trim().split_once('='));
            pairs.find(|(name, _)| *name == self.cookie).map(|(_, id)| id.as_bytes())
        })
    }

    fn refuse(&self, refusal: Refusal) -> Refusal {
        self.refused.add(1);
        refusal
    }
}

/// `Authorization: Bearer <password>`, or `Basic` with any user name.
fn sent_password(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) = text(headers, header::AUTHORIZATION)?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    let is_basic = scheme.eq_ignore_ascii_case("basic");
    let decoded = base64::engine::general_purpose::STANDARD.decode(rest.trim()).ok().filter(|_| is_basic)?;
    String::from_utf8(decoded).ok()?.split_once(':').map(|(_, password)| password.to_owned())
}

/// A header's value, if it is there once and plain text.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(first)
}

/// `pi:8480` without its port; `[::1]:8480` as `[::1]`.
fn host_name(host: &str) -> &str {
    match host.rfind(']') {
        Some(end) => &host[..=end],
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Takes as long whether they differ early, late or not at all.
fn is_equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let differences = a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(differences) == 0
}

/// Held for a few instructions that cannot panic halfway, so a poisoned one is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Board;

    const HERE: &str = "127.0.0.1:8480";

    fn door(listen: &str, password: Option<&str>) -> Door {
        let settings = config::Web {
            listen: listen.parse().unwrap(),
            password: password.map(|text| config::Secret(text.to_owned())),
            allow: Vec::new(),
            hosts: vec!["pi.example.org".to_owned()],
        };
        Door::new(&settings, Board::new().part("web").figure("refused"))
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        pairs.collect()
    }

    fn peer() -> IpAddr {
        "192.168.0.9".parse().unwrap()
    }

    #[test]
    fn on_the_loopback_only_names_of_ours_are_answered() {
        let (here, open) = (door(HERE, None), door("0.0.0.0:8480", Some("correct horse")));
        for (host, is_ours) in [
            ("127.0.0.1:8480", true),
            ("127.0.0.1", true),
            ("127.1.2.3:9", true),
            ("[::1]:8480", true),
            ("LocalHost:8480", true),
            ("localhost.", true),
            ("bridge.localhost:80", true),
            ("pi.example.org", true),
            ("PI.example.org:443", true),
            ("evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example:8480", false),
            ("192.168.0.1:8480", false),
            ("", false),
            ("[::2]:8480", false),
        ] {
            let asked = headers(&[("host", host)]);
            assert_eq!(here.is_ours(&asked).is_ok(), is_ours, "{host}");
            assert!(open.is_ours(&asked).is_ok(), "{host}: there the password keeps others out");
        }
        assert_eq!(here.is_ours(&HeaderMap::new()), Err(Refusal::Host));
        let two = headers(&[("host", "localhost"), ("host", "evil.example")]);
        assert_eq!(here.is_ours(&two), Err(Refusal::Host));
    }

    #[test]
    fn other_sites_may_link_here_and_nothing_else() {
        let here = door(HERE, None);
        let from = |site: &str, mode: &str| {
            here.is_ours(&headers(&[("host", HERE), ("sec-fetch-site", site), ("sec-fetch-mode", mode)]))
        };
        assert_eq!(from("cross-site", "no-cors"), Err(Refusal::Site));
        assert_eq!(from("cross-site", "cors"), Err(Refusal::Site));
        assert_eq!(from("cross-site", "navigate"), Ok(()));
        assert_eq!(from("same-origin", "cors"), Ok(()));
        assert_eq!(from("none", "navigate"), Ok(()));
    }

    #[test]
    fn the_password_opens_as_bearer_as_basic_and_as_a_session() {
        let door = door("0.0.0.0:8480", Some("correct horse"));
        let now = Instant::now();
        let sent = |value: &str| door.visitor(&headers(&[("authorization", value)]), peer(), now);
        assert_eq!(door.visitor(&HeaderMap::new(), peer(), now), Err(Refusal::Stranger));
        assert_eq!(sent("Bearer correct horse"), Ok(Visitor::Program));
        assert_eq!(sent("bearer wrong horse"), Err(Refusal::Wrong));
        // "anna:correct horse"
        assert_eq!(sent("Basic YW5uYTpjb3JyZWN0IGhvcnNl"), Ok(Visitor::Program));
        assert_eq!(sent("Basic %%%"), Err(Refusal::Stranger));
        assert_eq!(sent("Digest x"), Err(Refusal::Stranger));

        let cookie = door.enter("correct horse", &HeaderMap::new(), peer(), now).unwrap();
        assert!(cookie.ends_with("; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict"), "{cookie}");
        let pair = cookie.split(';').next().unwrap();
        let person = headers(&[("cookie", &format!("other=1; {pair}"))]);
        assert!(matches!(door.visitor(&person, peer(), now), Ok(Visitor::Person { .. })));
        let late = now + SESSION + Duration::from_secs(1);
        assert_eq!(door.visitor(&person, peer(), late), Err(Refusal::Stranger));
        let forged = headers(&[("cookie", "sensor-bridge-8480=00")]);
        assert_eq!(door.visitor(&forged, peer(), now), Err(Refusal::Stranger));
        assert!(door.leave(&person).contains("Max-Age=0"));
        assert_eq!(door.visitor(&person, peer(), now), Err(Refusal::Stranger));
    }

    #[test]
    fn a_change_needs_the_password_or_a_session_with_its_token_from_our_own_page() {
        let door = door("0.0.0.0:8480", Some("correct horse"));
        let now = Instant::now();
        let cookie = door.enter("correct horse", &HeaderMap::new(), peer(), now).unwrap();
        let pair = cookie.split(';').next().unwrap();
        let Ok(Visitor::Person { token }) = door.visitor(&headers(&[("cookie", pair)]), peer(), now) else {
            panic!("not in")
        };
        let may = |more: &[(&str, &str)]| {
            let all = [&[("host", "pi:8480"), ("cookie", pair)], more].concat();
            door.may_change(&headers(&all), peer(), now)
        };
        let (token, name) = (token.as_str(), "x-sensor-bridge-token");
        assert_eq!(may(&[("origin", "http://pi:8480"), (name, token)]), Ok(()));
        assert_eq!(may(&[("sec-fetch-site", "same-origin"), (name, token)]), Ok(()));
        assert_eq!(may(&[("origin", "http://pi:8480")]), Err(Refusal::Site), "no token");
        assert_eq!(may(&[("origin", "http://pi:8480"), (name, "x")]), Err(Refusal::Site));
        assert_eq!(may(&[("origin", "http://evil:8480"), (name, token)]), Err(Refusal::Site));
        assert_eq!(may(&[("origin", "null"), (name, token)]), Err(Refusal::Site));
        assert_eq!(may(&[(name, token)]), Err(Refusal::Site), "no origin");
        assert_eq!(may(&[("sec-fetch-site", "same-site"), (name, token)]), Err(Refusal::Site));
        let program = headers(&[("authorization", "Bearer correct horse")]);
        assert_eq!(door.may_change(&program, peer(), now), Ok(()));
        let nobody = super::tests::door(HERE, None);
        assert_eq!(nobody.may_change(&headers(&[("host", HERE)]), peer(), now), Err(Refusal::NobodyMay));
    }

    #[test]
    fn guessing_is_slowed_down_for_the_guesser_only() {
        let door = door("0.0.0.0:8480", Some("correct horse"));
        let now = Instant::now();
        let other: IpAddr = "192.168.0.10".parse().unwrap();
        let enter = |password: &str, peer| door.enter(password, &HeaderMap::new(), peer, now).err();
        while enter("wrong", peer()) == Some(Refusal::Wrong) {}
        assert!(matches!(enter("correct horse", peer()), Some(Refusal::TooMany(1..))), "even the right one");
        assert_eq!(enter("correct horse", other), None);
    }
}
