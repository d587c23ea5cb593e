//! Why a connection failed, in words for a person. Decides nothing.

use std::io;

use rumqttc::v5::mqttbytes::v5 as five;

/// Why a connection could not be made or has ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// DNS has no such name.
    #[error("the broker's name was not found ({0}); check mqtt.url and the network")]
    NameNotFound(String),
    /// Nobody listens there.
    #[error("connection refused: no broker listens there; check mqtt.url, or start the broker")]
    Refused,
    /// No way there.
    #[error("the broker's network cannot be reached")]
    Unreachable,
    /// No answer.
    #[error("timed out: the broker does not answer")]
    TimedOut,
    /// The TLS hand-shake failed.
    #[error("TLS: {0}")]
    Tls(String),
    /// The proxy did not open the way.
    #[error("proxy: {0}; check mqtt.proxy")]
    Proxy(String),
    /// No token could be had.
    #[error("token: {0}; check mqtt.token")]
    Token(String),
    /// The WebSocket hand-shake failed.
    #[error("WebSocket: {0}")]
    WebSocket(String),
    /// The broker says: bad user name or password.
    #[error("bad user name or password; check mqtt.username and mqtt.password_file")]
    Credentials,
    /// The broker says: not authorised.
    #[error("not authorised by the broker; check mqtt.username and the broker's access rules")]
    NotAuthorised,
    /// The broker says: client id not accepted.
    #[error("the broker does not accept the client id; choose another mqtt.client_id")]
    ClientId,
    /// Another connection came with our client id.
    #[error("another client uses the same client id and has taken over; give each its own mqtt.client_id")]
    TakenOver,
    /// The broker speaks another version of the protocol.
    #[error("the broker does not speak this protocol version; change mqtt.version")]
    Version,
    /// The broker cannot serve now.
    #[error("the broker is not available: {0}")]
    Unavailable(&'static str),
    /// A packet was larger than one side takes.
    #[error("a packet of {0} bytes is larger than allowed; see mqtt.max_packet_size and the broker's limit")]
    PacketTooLarge(usize),
    /// The broker ended the connection and gave a reason.
    #[error("ended by the broker: {0}")]
    Ended(String),
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(String),
    /// Nothing was heard for too long.
    #[error("nothing heard from the broker for {0} s")]
    Silent(u64),
    /// A message was not acknowledged for too long though the broker answers pings.
    #[error(
        "a message was not acknowledged within {0} s; the broker may have dropped it (max_inflight_messages)"
    )]
    Unacknowledged(u64),
    /// Something that is not MQTT, or not allowed by it.
    #[error("not understood: {0}; is this an MQTT broker?")]
    Protocol(String),
    /// The window logic of this program is wrong; the connection is given up before it can do harm.
    #[error("internal error: packet id {0} was used while still in flight; please report this")]
    Collision(u16),
}

/// From an operating system error.
fn from_io(error: &io::Error) -> Failure {
    use io::ErrorKind as Kind;
    if let Some(inner) = error.get_ref() {
        // rustls wraps its errors into io::Error; "invalid peer certificate: UnknownIssuer" and the like.
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return from_rustls(tls);
        }
    }
    match error.kind() {
        Kind::ConnectionRefused => Failure::Refused,
        Kind::TimedOut => Failure::TimedOut,
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => Failure::Unreachable,
        Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted | Kind::UnexpectedEof => {
            Failure::Lost("closed by the other side".to_owned())
        }
        _ => {
            // Rust has no kind of its own for a failed look-up.
            let text = error.to_string();
            match text.strip_prefix("failed to lookup address information: ") {
                Some(why) => Failure::NameNotFound(why.to_owned()),
                None => Failure::Lost(text),
            }
        }
    }
}

fn from_rustls(error: &rustls::Error) -> Failure {
    // What rustls has no word for it shows in the notation of its own debugging.
    if let rustls::Error::InvalidCertificate(rustls::CertificateError::Other(why)) = error {
        let why = why.to_string();
        let hint = match why.as_str() {
            "CaUsedAsEndEntity" => {
                "; it is signed by itself: name its fingerprint in mqtt.tls.pin, or give the broker a certificate \
                 issued by that authority"
            }
            _ => "",
        };
        return Failure::Tls(format!("invalid peer certificate: {why}{hint}"));
    }
    let hint = match error {
        rustls::Error::InvalidCertificate(
            rustls::CertificateError::UnknownIssuer | rustls::CertificateError::BadSignature,
        ) => "; if the broker has a certificate of its own authority, name it in mqtt.tls.ca_file",
        rustls::Error::InvalidCertificate(
            rustls::CertificateError::Expired
            | rustls::CertificateError::ExpiredContext { .. }
            | rustls::CertificateError::NotValidYet
            | rustls::CertificateError::NotValidYetContext { .. },
        ) => "; check the certificate's dates and this machine's clock",
        rustls::Error::InvalidCertificate(
            rustls::CertificateError::NotValidForName
            | rustls::CertificateError::NotValidForNameContext { .. },
        ) => "; give mqtt.url a name or address that stands in the broker's certificate",
        rustls::Error::InvalidMessage(_) => "; does this port speak TLS?",
        _ => "",
    };
    Failure::Tls(format!("{error}{hint}"))
}

fn from_tls(error: &rumqttc::TlsError) -> Failure {
    match error {
        rumqttc::TlsError::Io(error) => match from_io(error) {
            Failure::Lost(why) => Failure::Tls(why),
            other => other,
        },
        rumqttc::TlsError::TLS(error) => from_rustls(error),
        rumqttc::TlsError::DNSName(error) => Failure::Tls(format!("not a host name: {error}")),
        other => Failure::Tls(other.to_string()),
    }
}

/// From an error of the 3.1.1 client.
pub(super) fn from_v4(error: &rumqttc::ConnectionError) -> Failure {
    use rumqttc::ConnectionError as E;
    use rumqttc::StateError as S;
    match error {
        E::MqttState(S::Io(error)) | E::Io(error) => from_io(error),
        E::MqttState(S::ConnectionAborted) => Failure::Lost("closed by the other side".to_owned()),
        E::MqttState(S::AwaitPingResp) => Failure::TimedOut,
        E::MqttState(S::Deserialization(rumqttc::Error::Io(error))) => from_io(error),
        E::MqttState(S::Deserialization(rumqttc::Error::PayloadSizeLimitExceeded(size))) => {
            Failure::PacketTooLarge(*size)
        }
        E::MqttState(other) => Failure::Protocol(other.to_string()),
        E::NetworkTimeout | E::FlushTimeout => Failure::TimedOut,
        E::Tls(error) => from_tls(error),
        E::ConnectionRefused(code) => refused_v4(*code),
        E::NotConnAck(_) => Failure::Protocol("the first answer is no CONNACK".to_owned()),
        E::Websocket(_) | E::WsConnect(_) | E::InvalidUrl(_) => Failure::WebSocket(error.to_string()),
        E::ResponseValidation(why) => Failure::WebSocket(why.to_string()),
        // Its type has no name outside of the library.
        E::Proxy(error) => Failure::Proxy(error.to_string()),
        E::RequestsDone => Failure::Lost("ended by this side".to_owned()),
    }
}

fn refused_v4(code: rumqttc::ConnectReturnCode) -> Failure {
    use rumqttc::ConnectReturnCode as C;
    match code {
        C::RefusedProtocolVersion => Failure::Version,
        C::BadClientId => Failure::ClientId,
        C::ServiceUnavailable => Failure::Unavailable("it says so"),
        C::BadUserNamePassword => Failure::Credentials,
        C::NotAuthorized => Failure::NotAuthorised,
        C::Success => Failure::Protocol("refused with success".to_owned()),
    }
}

/// From an error of the 5.0 client.
pub(super) fn from_v5(error: &rumqttc::v5::ConnectionError) -> Failure {
    use rumqttc::v5::ConnectionError as E;
    use rumqttc::v5::StateError as S;
    use rumqttc::v5::mqttbytes::Error as M;
    match error {
        E::MqttState(S::Io(error)) | E::Io(error) => from_io(error),
        E::MqttState(S::Deserialization(M::Io(error))) => from_io(error),
        E::MqttState(S::Deserialization(M::PayloadSizeLimitExceeded { pkt_size, .. })) => {
            Failure::PacketTooLarge(*pkt_size)
        }
        E::MqttState(S::ConnectionAborted) => Failure::Lost("closed by the other side".to_owned()),
        E::MqttState(S::AwaitPingResp) => Failure::TimedOut,
        E::MqttState(S::OutgoingPacketTooLarge { pkt_size, .. }) => {
            Failure::PacketTooLarge(*pkt_size as usize)
        }
        E::MqttState(S::IncomingPacketTooLarge { pkt_size, .. }) => Failure::PacketTooLarge(*pkt_size),
        E::MqttState(S::ServerDisconnect { reason_code, reason_string }) => {
            disconnected_v5(*reason_code, reason_string.as_deref())
        }
        E::MqttState(S::ConnFail { reason }) | E::ConnectionRefused(reason) => refused_v5(*reason),
        E::MqttState(other) => Failure::Protocol(other.to_string()),
        E::Timeout(_) => Failure::TimedOut,
        E::Tls(error) => from_tls(error),
        E::NotConnAck(_) => Failure::Protocol("the first answer is no CONNACK".to_owned()),
        E::Websocket(_) | E::WsConnect(_) | E::InvalidUrl(_) => Failure::WebSocket(error.to_string()),
        E::ResponseValidation(why) => Failure::WebSocket(why.to_string()),
        // Its type has no name outside of the library.
        E::Proxy(error) => Failure::Proxy(error.to_string()),
        E::RequestsDone => Failure::Lost("ended by this side".to_owned()),
    }
}

fn refused_v5(code: five::ConnectReturnCode) -> Failure {
    use five::ConnectReturnCode as C;
    match code {
        C::RefusedProtocolVersion | C::UnsupportedProtocolVersion => Failure::Version,
        C::BadClientId | C::ClientIdentifierNotValid => Failure::ClientId,
        C::BadUserNamePassword => Failure::Credentials,
        C::NotAuthorized => Failure::NotAuthorised,
        C::ServiceUnavailable | C::ServerUnavailable => Failure::Unavailable("it says so"),
        C::ServerBusy => Failure::Unavailable("busy"),
        C::Banned => Failure::Unavailable("this client is banned"),
        C::ConnectionRateExceeded => Failure::Unavailable("too many connections in a short time"),
        C::QuotaExceeded => Failure::Unavailable("a quota is exceeded"),
        C::UseAnotherServer | C::ServerMoved => Failure::Unavailable("it names another server"),
        other => Failure::Ended(format!("{other:?}")),
    }
}

/// From the reason in a 5.0 DISCONNECT.
pub(super) fn disconnected_v5(code: five::DisconnectReasonCode, text: Option<&str>) -> Failure {
    use five::DisconnectReasonCode as C;
    match code {
        C::SessionTakenOver => Failure::TakenOver,
        C::NotAuthorized => Failure::NotAuthorised,
        C::ServerShuttingDown => Failure::Unavailable("shutting down"),
        C::ServerBusy => Failure::Unavailable("busy"),
        C::PacketTooLarge => Failure::Ended("a packet was too large for it".to_owned()),
        other => Failure::Ended(
            text.map_or_else(|| format!("{other:?}"), |text| format!("{other:?}: {}", told(text))),
        ),
    }
}

/// The beginning of what a broker says, which may be 64 kB of anything, fit for a line.
fn told(text: &str) -> String {
    const MOST: usize = 200;
    text.chars().take(MOST).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operating_system_errors_in_words() {
        let lookup = io::Error::other("failed to lookup address information: Name or service not known");
        for (error, expected) in [
            (io::Error::from(io::ErrorKind::ConnectionRefused), Failure::Refused),
            (io::Error::from(io::ErrorKind::TimedOut), Failure::TimedOut),
            (io::Error::from(io::ErrorKind::NetworkUnreachable), Failure::Unreachable),
            (lookup, Failure::NameNotFound("Name or service not known".to_owned())),
            (
                io::Error::from(io::ErrorKind::ConnectionReset),
                Failure::Lost("closed by the other side".to_owned()),
            ),
        ] {
            assert_eq!(from_io(&error), expected);
        }
    }

    #[test]
    fn an_unknown_authority_points_to_ca_file() {
        let error = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let failure = from_io(&io::Error::new(io::ErrorKind::InvalidData, error)).to_string();
        assert!(failure.starts_with("TLS: invalid peer certificate"), "{failure}");
        assert!(failure.contains("mqtt.tls.ca_file"), "{failure}");
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_with_what_to_do() {
        use rustls::CertificateError as C;
        let other = |text: &str| rustls::OtherError(std::sync::Arc::new(io::Error::other(text.to_owned())));
        for (error, expected) in [
            (C::Expired, "this machine's clock"),
            (C::NotValidYet, "this machine's clock"),
            (C::NotValidForName, "mqtt.url"),
            (C::UnknownIssuer, "mqtt.tls.ca_file"),
            (C::Other(other("CaUsedAsEndEntity")), "certificate: CaUsedAsEndEntity; it is signed by itself"),
            (C::Other(other("its fingerprint is 12")), "certificate: its fingerprint is 12"),
        ] {
            let failure = from_rustls(&rustls::Error::InvalidCertificate(error)).to_string();
            assert!(failure.contains(expected), "{failure}");
        }
    }

    #[test]
    fn what_the_broker_answers_in_words() {
        let v4 = |code| from_v4(&rumqttc::ConnectionError::ConnectionRefused(code));
        assert_eq!(v4(rumqttc::ConnectReturnCode::BadUserNamePassword), Failure::Credentials);
        assert_eq!(v4(rumqttc::ConnectReturnCode::NotAuthorized), Failure::NotAuthorised);
        assert_eq!(v4(rumqttc::ConnectReturnCode::BadClientId), Failure::ClientId);
        assert_eq!(disconnected_v5(five::DisconnectReasonCode::SessionTakenOver, None), Failure::TakenOver);
        let said = "x\n<0>y\u{1b}[2J".to_owned() + &"z".repeat(60_000);
        let ended = disconnected_v5(five::DisconnectReasonCode::QuotaExceeded, Some(&said)).to_string();
        assert!(ended.contains("QuotaExceeded: x\\n<0>y\\u{1b}[2Jz") && ended.len() < 300, "{ended}");
    }
}
