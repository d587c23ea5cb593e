//! One trait over rumqttc's 3.1.1 and 5.0 interfaces, so that what is built on it is written once.
//!
//! One [`Connection`] is ONE network connection. After an error it is dropped, never polled again: rumqttc
//! would reconnect by itself, and its own reconnect drops queued publishes when the broker has no session,
//! replays stale events, resends with DUP=0 and lets packet ids collide. What must survive a connection is
//! in the log, not here.
//!
//! Nothing in this file decides what to send or when to try again.

use std::future::Future;
use std::time::Duration;

use super::access::Access;
use super::failure::Failure;
use crate::config;
use crate::config::Transport;
use crate::mirror::Response;
use crate::reading::Qos;

/// A connection attempt, and a flush on 3.1.1, that takes longer has failed. Long enough for a TLS
/// hand-shake over a mobile link.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a 5.0 broker keeps the session of a client that is away, seconds (a week). On 3.1.1 the
/// broker decides.
pub(crate) const SESSION_EXPIRY: u32 = 7 * 24 * 3600;

/// What one connection needs beyond `config::Mqtt`.
#[derive(Debug, Clone)]
pub(crate) struct Parameters {
    /// Client id: one for publishing, another for each mirror, because two connections with one id throw
    /// each other out for ever.
    pub client_id: String,
    /// Whether the broker shall forget what it keeps for this client id.
    pub clean: bool,
    /// What the broker says for us when we vanish.
    pub will: Option<Will>,
    /// Whether received messages are acknowledged by [`Requests::try_ack`] only.
    pub manual_acks: bool,
    /// Requests that can wait; must be larger than what is ever handed over at once, because the `try_…`
    /// calls never wait.
    pub capacity: usize,
    /// Most publishes in flight, and so the highest packet id that this connection hands out: ids run
    /// 1…slots and wrap (or 1…`receive_max` of the broker when that is less).
    pub slots: u16,
}

/// The last will.
#[derive(Debug, Clone)]
pub(crate) struct Will {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// Quality of service.
    pub qos: Qos,
    /// Retain flag.
    pub retain: bool,
}

/// What the broker said in its CONNACK.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Connected {
    /// The broker still has the session of this client id.
    pub session_present: bool,
    /// Most unacknowledged publishes that the broker takes; 65,535 on 3.1.1, which has no such word.
    pub receive_max: u16,
    /// Largest packet that the broker takes, bytes; `None` for no limit named.
    pub max_packet_size: Option<u32>,
    /// Highest quality of service that the broker takes.
    pub max_qos: Qos,
    /// Whether the broker keeps retained messages.
    pub retain_available: bool,
    /// The keep-alive in force: a 5.0 broker may overrule ours.
    pub keep_alive: Duration,
}

/// A message received.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    /// Packet id; 0 at QoS 0.
    pub pkid: u16,
    /// Quality of service.
    pub qos: Qos,
    /// The broker may have sent it before.
    pub dup: bool,
    /// Kept by the broker from before the subscription.
    pub retain: bool,
    /// Topic name.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// Where the sender wants an answer (5.0).
    pub response: Option<Response>,
}

/// What happened on a connection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// CONNACK with success; always the first.
    Connected(Connected),
    /// A PUBLISH was written and flushed; packet id 0 is QoS 0.
    Sent(u16),
    /// PUBREC: the broker has taken a QoS 2 message over (the PUBREL goes out by itself).
    Rec(u16),
    /// A publish has ended: PUBACK or PUBCOMP, or a negative PUBACK/PUBREC of 5.0.
    Done {
        /// Packet id.
        pkid: u16,
        /// Why the broker refused the message.
        refused: Option<&'static str>,
    },
    /// A message.
    Message(Message),
    /// PUBREL: the broker has seen our PUBREC; the PUBCOMP goes out by itself.
    Released(u16),
    /// A SUBSCRIBE went out; its SUBACK carries this packet id.
    Subscribing(u16),
    /// SUBACK: for each filter the QoS granted, or why it was refused.
    SubAck {
        /// Packet id of the SUBSCRIBE.
        pkid: u16,
        /// Per filter.
        granted: Vec<Result<Qos, &'static str>>,
    },
    /// An UNSUBSCRIBE went out; its UNSUBACK carries this packet id.
    Unsubscribing(u16),
    /// UNSUBACK.
    UnsubAck(u16),
    /// Our DISCONNECT was written and flushed.
    Disconnecting,
    /// The broker ends the connection and says why (5.0); the error follows.
    Disconnected(Failure),
    /// PINGRESP: the connection lives.
    Pong,
    /// Nothing to act on.
    Other,
}

impl Event {
    /// Whether this proves that the broker is alive. Our own writes do not: they can go into a socket
    /// whose other end is gone for as long as the send buffer lasts.
    pub(crate) fn is_heard(&self) -> bool {
        !matches!(
            self,
            Event::Sent(_)
                | Event::Subscribing(_)
                | Event::Unsubscribing(_)
                | Event::Disconnecting
                | Event::Other
        )
    }
}

/// The connection is over.
#[derive(Debug)]
pub(crate) struct Dead {
    /// Why.
    pub why: Failure,
    /// What the broker had said before, read already and not reported yet: acknowledgements among them
    /// are as good as any. What we wrote ourselves is left out, because it proves nothing.
    pub last: Vec<Event>,
}

/// A request was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTaken {
    /// As many requests as [`Parameters::capacity`] wait already.
    #[error("the connection's request queue is full")]
    Full,
    /// The topic or filter is not valid.
    #[error("the topic or filter is not valid")]
    Invalid,
}

/// A network connection to the broker: what it reports.
///
/// `poll` is the only place where bytes move. Dropping its future half-way is NOT safe, neither while
/// connecting (the attempt is lost and its time-out with it) nor afterwards: rumqttc marks a packet as sent
/// before it awaits the socket, so on a full send buffer a dropped future loses the packet and the window
/// waits for its acknowledgement for ever. Keep the future pinned over a `select!` loop and make requests
/// through the [`Requests`] handle meanwhile; drop it only together with the connection.
pub(crate) trait Connection: Sized {
    /// The handle for requests.
    type Requests: Requests;

    /// Prepares a connection; the first `poll` makes it. `access` is user name and password, fetched for this
    /// connection. Fails when the TLS certificates cannot be read.
    fn open(config: &config::Mqtt, parameters: &Parameters, access: Option<&Access>)
    -> Result<Self, Failure>;

    /// A handle for requests on this connection; useless once the connection is dropped.
    fn requests(&self) -> Self::Requests;

    /// Waits for the next event. The first is [`Event::Connected`].
    fn poll(&mut self) -> impl Future<Output = Result<Event, Dead>>;

    /// An event that came with the last one: taken without waiting.
    fn buffered(&mut self) -> Option<Event>;

    /// Sends a publish again that an earlier connection sent with this packet id, DUP set. Only right after
    /// `Connected` with a session.
    fn resume_publish(&mut self, pkid: u16, message: Outgoing);

    /// Sends a PUBREL again for this packet id. Only right after `Connected` with a session.
    fn resume_pubrel(&mut self, pkid: u16);

    /// Makes rumqttc answer every PUBREL with PUBCOMP, also those of hand-shakes begun before this
    /// connection: an unknown one would end the connection, and the broker would send it again on the next,
    /// for ever (rumqtt issue 664). Needs `manual_acks`. `None`: all ids, once, right after `Connected`;
    /// `Some(id)`: again after `Released(id)`.
    fn prime(&mut self, pkid: Option<u16>);

    /// Slots of the window that rumqttc has lost count of: on 5.0 it does not free a slot after a negative
    /// PUBREC or PUBCOMP. When they run out, it sends nothing any more and says nothing.
    fn lost_slots(&self) -> u16;
}

/// What can be asked of a connection while it is being polled. None of these waits: awaiting a full queue
/// in the task that polls would be a deadlock.
pub(crate) trait Requests: Clone {
    /// Hands over a publish.
    fn try_publish(&self, message: Outgoing) -> Result<(), NotTaken> {
        self.try_answer(message, None)
    }
    /// Hands over a publish with Correlation Data, which 3.1.1 leaves out.
    fn try_answer(&self, message: Outgoing, correlation: Option<Vec<u8>>) -> Result<(), NotTaken>;
    /// Hands over a SUBSCRIBE of one filter.
    fn try_subscribe(&self, filter: &str, qos: Qos) -> Result<(), NotTaken>;
    /// Hands over an UNSUBSCRIBE of one filter.
    fn try_unsubscribe(&self, filter: &str) -> Result<(), NotTaken>;
    /// Acknowledges a received message (PUBACK or PUBREC; nothing at QoS 0). Never for a message of an
    /// earlier connection: its packet id may be another message's by now.
    fn try_ack(&self, pkid: u16, qos: Qos) -> Result<(), NotTaken>;
    /// Hands over a DISCONNECT: an end in order, without the last will.
    fn try_disconnect(&self) -> Result<(), NotTaken>;
}

/// A message to be published.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outgoing {
    /// Topic name.
    pub topic: String,
    /// Quality of service.
    pub qos: Qos,
    /// Retain flag.
    pub retain: bool,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Outgoing {
    /// An upper bound of its PUBLISH packet, bytes: fixed header 5, topic length 2, packet id 2, and on 5.0
    /// an empty property list 1 (OASIS MQTT 5.0, 3.3).
    pub(crate) fn packet_size(&self) -> usize {
        10 + self.topic.len() + self.payload.len()
    }
}

/// Host as rumqttc wants it: it appends `:port` itself and takes an IPv6 address without brackets; a
/// WebSocket goes to a URL.
pub(crate) fn address(broker: &config::Broker) -> String {
    let host = broker.host.trim_start_matches('[').trim_end_matches(']');
    let scheme = match broker.transport {
        Transport::Tcp | Transport::Tls => return host.to_owned(),
        Transport::WebSocket => "ws",
        Transport::SecureWebSocket => "wss",
    };
    let brackets = if host.contains(':') { ("[", "]") } else { ("", "") };
    format!("{scheme}://{}{host}{}:{}{}", brackets.0, brackets.1, broker.port, broker.path)
}

/// The transport.
pub(crate) fn transport(broker: &config::Broker) -> Result<rumqttc::Transport, Failure> {
    let tls = || super::tls::client_config(&broker.tls);
    Ok(match broker.transport {
        Transport::Tcp => rumqttc::Transport::tcp(),
        Transport::Tls => rumqttc::Transport::tls_with_config(tls()?.into()),
        Transport::WebSocket => rumqttc::Transport::ws(),
        Transport::SecureWebSocket => rumqttc::Transport::wss_with_config(tls()?.into()),
    })
}

/// The proxy as rumqttc wants it.
pub(crate) fn proxy(broker: &config::Broker) -> Option<rumqttc::Proxy> {
    let proxy = broker.proxy.as_ref()?;
    let brackets = if proxy.host.contains(':') { ("[", "]") } else { ("", "") };
    Some(rumqttc::Proxy {
        ty: rumqttc::ProxyType::Http,
        auth: match &proxy.credentials {
            None => rumqttc::ProxyAuth::None,
            Some((username, password)) => {
                rumqttc::ProxyAuth::Basic { username: username.clone(), password: password.0.clone() }
            }
        },
        addr: format!("{}{}{}", brackets.0, proxy.host, brackets.1),
        port: proxy.port,
    })
}

/// The request that opens a WebSocket, with the headers of the configuration, whose syntax is checked.
pub(crate) fn with_headers(broker: &config::Broker, mut request: http::Request<()>) -> http::Request<()> {
    for (name, value) in &broker.headers {
        if let (Ok(name), Ok(value)) =
            (name.parse::<http::HeaderName>(), value.0.parse::<http::HeaderValue>())
        {
            request.headers_mut().insert(name, value);
        }
    }
    request
}

/// Keep-alive within what the protocol (16 bits of seconds) and rumqttc (it panics below 5 s) take.
pub(crate) fn keep_alive(config: &config::Mqtt) -> Duration {
    config.keep_alive.clamp(Duration::from_secs(5), Duration::from_secs(u64::from(u16::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (transport, host, expected) in [
            (Transport::Tcp, "broker.example", "broker.example"),
            (Transport::Tls, "[::1]", "::1"),
            (Transport::WebSocket, "broker.example", "ws://broker.example:9001/mqtt"),
            (Transport::SecureWebSocket, "::1", "wss://[::1]:9001/mqtt"),
        ] {
            let broker = config::Broker {
                transport,
                host: host.to_owned(),
                port: 9001,
                path: "/mqtt".to_owned(),
                headers: Vec::new(),
                proxy: None,
                tls: crate::config::Tls::default(),
            };
            assert_eq!(address(&broker), expected);
        }
    }
}
