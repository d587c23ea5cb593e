//! [`Connection`] over rumqttc's MQTT 5.0 client. Translates, decides nothing.

use std::time::Duration;

use rumqttc::Outgoing as Wrote;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectProperties, LastWill, Packet, PubAckReason, PubCompReason, PubRecReason, PubRel, Publish,
    PublishProperties, SubscribeReasonCode,
};
use rumqttc::v5::mqttbytes::{QoS, valid_filter, valid_topic};
use rumqttc::v5::{AsyncClient, ClientError, Event as Raw, EventLoop, MqttOptions, Request};
use tracing::error;

use super::access::Access;
use super::connection::{
    CONNECT_TIMEOUT, Connected, Connection, Dead, Event, Message, NotTaken, Outgoing, Parameters, Requests,
    SESSION_EXPIRY, address, keep_alive, proxy, transport, with_headers,
};
use super::failure::{Failure, disconnected_v5, from_v5};
use crate::config;
use crate::mirror::Response;
use crate::reading::Qos;

/// One network connection.
pub(crate) struct V5 {
    client: AsyncClient,
    event_loop: EventLoop,
    collision: Option<u16>,
    lost_slots: u16,
    keep_alive: Duration,
}

fn raw(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

fn known(qos: QoS) -> Qos {
    match qos {
        QoS::AtMostOnce => Qos::AtMostOnce,
        QoS::AtLeastOnce => Qos::AtLeastOnce,
        QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}

impl Connection for V5 {
    type Requests = AsyncClient;

    fn open(
        config: &config::Mqtt,
        parameters: &Parameters,
        access: Option<&Access>,
    ) -> Result<Self, Failure> {
        let broker = &config.broker;
        let mut options = MqttOptions::new(&parameters.client_id, address(broker), broker.port);
        let mut properties = ConnectProperties::new();
        // No Topic Alias Maximum: rumqttc reports a message before it has put the alias's topic in.
        properties.session_expiry_interval = (!parameters.clean).then_some(SESSION_EXPIRY);
        // Guards against rumqttc's default of 10 KiB: an image is larger.
        properties.max_packet_size = Some(config.max_packet_size);
        options
            .set_transport(transport(broker)?)
            .set_clean_start(parameters.clean)
            .set_keep_alive(keep_alive(config))
            .set_manual_acks(parameters.manual_acks)
            .set_connect_properties(properties)
            .set_connection_timeout(CONNECT_TIMEOUT.as_secs())
            // Without it rumqttc makes room for 65,535 publishes (5 MB).
            .set_outgoing_inflight_upper_limit(parameters.slots.max(1));
        if let Some(access) = access {
            options.set_credentials(&access.username, &access.password.0);
        }
        if let Some(proxy) = proxy(broker) {
            options.set_proxy(proxy);
        }
        if !broker.headers.is_empty() {
            let broker = broker.clone();
            options.set_request_modifier(move |request| std::future::ready(with_headers(&broker, request)));
        }
        if let Some(will) = &parameters.will {
            options.set_last_will(LastWill::new(
                &will.topic,
                will.payload.clone(),
                raw(will.qos),
                will.retain,
                None,
            ));
        }
        let mut network = options.network_options();
        // rumqttc flushes each publish; with Nagle's algorithm that costs a round trip each.
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        let (client, event_loop) = AsyncClient::new(options, parameters.capacity);
        Ok(Self { client, event_loop, collision: None, lost_slots: 0, keep_alive: keep_alive(config) })
    }

    fn requests(&self) -> Self::Requests {
        self.client.clone()
    }

    async fn poll(&mut self) -> Result<Event, Dead> {
        if let Some(pkid) = self.collision {
            return Err(Dead { why: Failure::Collision(pkid), last: Vec::new() });
        }
        match self.event_loop.poll().await {
            Ok(event) => Ok(self.event(event)),
            Err(why) => {
                // What had been read before the error is still here, and nowhere else.
                let left = std::mem::take(&mut self.event_loop.state.events);
                let heard = left.into_iter().filter(|event| matches!(event, Raw::Incoming(_)));
                let last = heard.map(|event| self.event(event)).collect();
                Err(Dead { why: from_v5(&why), last })
            }
        }
    }

    fn buffered(&mut self) -> Option<Event> {
        let event = self.event_loop.state.events.pop_front()?;
        Some(self.event(event))
    }

    fn resume_publish(&mut self, pkid: u16, message: Outgoing) {
        let mut publish = Publish::new(message.topic, raw(message.qos), message.payload, None);
        publish.pkid = pkid;
        publish.dup = true;
        publish.retain = message.retain;
        self.event_loop.pending.push_back(Request::Publish(publish));
    }

    fn resume_pubrel(&mut self, pkid: u16) {
        self.event_loop.pending.push_back(Request::PubRel(PubRel::new(pkid, None)));
    }

    fn prime(&mut self, pkid: Option<u16>) {
        let ids = pkid.map_or(1..=u16::MAX, |id| id..=id);
        for id in ids {
            let mut publish = Publish::new("", QoS::ExactlyOnce, Vec::new(), None);
            publish.pkid = id;
            // With manual acks this only notes the id as received; the event it makes is taken back.
            match self.event_loop.state.handle_incoming_packet(Packet::Publish(publish)) {
                Ok(_) => drop(self.event_loop.state.events.pop_back()),
                Err(why) => error!("packet id {id} cannot be prepared: {why}"),
            }
        }
    }

    fn lost_slots(&self) -> u16 {
        self.lost_slots
    }
}

impl V5 {
    fn event(&mut self, event: Raw) -> Event {
        match event {
            Raw::Incoming(packet) => self.heard(packet),
            Raw::Outgoing(Wrote::Publish(pkid)) => Event::Sent(pkid),
            Raw::Outgoing(Wrote::Subscribe(pkid)) => Event::Subscribing(pkid),
            Raw::Outgoing(Wrote::Unsubscribe(pkid)) => Event::Unsubscribing(pkid),
            Raw::Outgoing(Wrote::Disconnect) => Event::Disconnecting,
            Raw::Outgoing(Wrote::AwaitAck(pkid)) => {
                // rumqttc would hold this publish back and stop sending. Our window never lets it come to
                // that; if it does, the next poll ends the connection.
                error!("packet id {pkid} is still in flight: the window is broken");
                self.collision = Some(pkid);
                Event::Other
            }
            Raw::Outgoing(_) => Event::Other,
        }
    }

    fn heard(&mut self, packet: Packet) -> Event {
        match packet {
            Packet::ConnAck(connack) => Event::Connected(self.connected(connack)),
            Packet::PubRec(packet) => match refused_rec(packet.reason) {
                None => Event::Rec(packet.pkid),
                refused => {
                    self.lost_slots += 1;
                    Event::Done { pkid: packet.pkid, refused }
                }
            },
            Packet::PubAck(packet) => Event::Done { pkid: packet.pkid, refused: refused_ack(packet.reason) },
            Packet::PubComp(packet) => {
                // The only other reason is "packet identifier not found": the broker had finished this
                // hand-shake already, so it is finished.
                if packet.reason != PubCompReason::Success {
                    self.lost_slots += 1;
                }
                Event::Done { pkid: packet.pkid, refused: None }
            }
            Packet::Publish(packet) => Event::Message(Message {
                pkid: packet.pkid,
                qos: known(packet.qos),
                dup: packet.dup,
                retain: packet.retain,
                topic: String::from_utf8_lossy(&packet.topic).into_owned(),
                payload: packet.payload.to_vec(),
                response: packet.properties.and_then(response),
            }),
            Packet::PubRel(packet) => Event::Released(packet.pkid),
            Packet::SubAck(packet) => Event::SubAck {
                pkid: packet.pkid,
                granted: packet.return_codes.iter().map(granted).collect(),
            },
            Packet::UnsubAck(packet) => Event::UnsubAck(packet.pkid),
            Packet::Disconnect(packet) => {
                let text = packet.properties.and_then(|properties| properties.reason_string);
                Event::Disconnected(disconnected_v5(packet.reason_code, text.as_deref()))
            }
            Packet::PingResp(_) => Event::Pong,
            _ => Event::Other,
        }
    }

    fn connected(&mut self, connack: ConnAck) -> Connected {
        if self.event_loop.options.keep_alive().is_zero() {
            // "No keep-alive" from the broker makes rumqttc ping without a pause; ping as configured.
            self.event_loop.options.set_keep_alive(self.keep_alive);
        }
        let properties = connack.properties;
        let max_qos = properties.as_ref().and_then(|properties| properties.max_qos);
        let retain = properties.as_ref().and_then(|properties| properties.retain_available);
        Connected {
            session_present: connack.session_present,
            receive_max: properties.as_ref().and_then(|p| p.receive_max).unwrap_or(u16::MAX),
            max_packet_size: properties.as_ref().and_then(|p| p.max_packet_size),
            max_qos: match max_qos {
                Some(0) => Qos::AtMostOnce,
                Some(1) => Qos::AtLeastOnce,
                _ => Qos::ExactlyOnce,
            },
            retain_available: retain != Some(0),
            keep_alive: self.event_loop.options.keep_alive(),
        }
    }
}

/// Where the sender wants an answer.
fn response(properties: PublishProperties) -> Option<Response> {
    let correlation = properties.correlation_data.map(|data| data.to_vec());
    Some(Response { topic: properties.response_topic?, correlation })
}

fn refused_ack(reason: PubAckReason) -> Option<&'static str> {
    match reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => None,
        PubAckReason::NotAuthorized => Some("not authorised"),
        PubAckReason::TopicNameInvalid => Some("topic name invalid"),
        PubAckReason::QuotaExceeded => Some("quota exceeded"),
        PubAckReason::PayloadFormatInvalid => Some("payload format invalid"),
        PubAckReason::PacketIdentifierInUse => Some("packet identifier in use"),
        PubAckReason::ImplementationSpecificError => Some("implementation specific error"),
        PubAckReason::UnspecifiedError => Some("unspecified error"),
    }
}

fn refused_rec(reason: PubRecReason) -> Option<&'static str> {
    match reason {
        PubRecReason::Success | PubRecReason::NoMatchingSubscribers => None,
        PubRecReason::NotAuthorized => Some("not authorised"),
        PubRecReason::TopicNameInvalid => Some("topic name invalid"),
        PubRecReason::QuotaExceeded => Some("quota exceeded"),
        PubRecReason::PayloadFormatInvalid => Some("payload format invalid"),
        PubRecReason::PacketIdentifierInUse => Some("packet identifier in use"),
        PubRecReason::ImplementationSpecificError => Some("implementation specific error"),
        PubRecReason::UnspecifiedError => Some("unspecified error"),
    }
}

fn granted(code: &SubscribeReasonCode) -> Result<Qos, &'static str> {
    match code {
        SubscribeReasonCode::Success(qos) => Ok(known(*qos)),
        SubscribeReasonCode::NotAuthorized => Err("not authorised"),
        SubscribeReasonCode::TopicFilterInvalid => Err("topic filter invalid"),
        SubscribeReasonCode::QuotaExceeded => Err("quota exceeded"),
        SubscribeReasonCode::SharedSubscriptionsNotSupported => {
            Err("this broker has no shared subscriptions ($share/…)")
        }
        SubscribeReasonCode::WildcardSubscriptionsNotSupported => Err("this broker has no wildcards"),
        _ => Err("refused by the broker"),
    }
}

/// Full or ended are the same to the caller: the request was not taken, and the next poll tells why.
fn not_taken(error: ClientError) -> NotTaken {
    match error {
        ClientError::Request(Request::Publish(publish))
        | ClientError::TryRequest(Request::Publish(publish))
            if !std::str::from_utf8(&publish.topic).is_ok_and(valid_topic) =>
        {
            NotTaken::Invalid
        }
        _ => NotTaken::Full,
    }
}

impl Requests for AsyncClient {
    fn try_answer(&self, message: Outgoing, correlation: Option<Vec<u8>>) -> Result<(), NotTaken> {
        let Outgoing { topic, qos, retain, payload } = message;
        let Some(data) = correlation else {
            return Self::try_publish(self, topic, raw(qos), retain, payload).map_err(not_taken);
        };
        let properties = PublishProperties { correlation_data: Some(data.into()), ..Default::default() };
        Self::try_publish_with_properties(self, topic, raw(qos), retain, payload, properties)
            .map_err(not_taken)
    }

    fn try_subscribe(&self, filter: &str, qos: Qos) -> Result<(), NotTaken> {
        if !valid_filter(filter) {
            return Err(NotTaken::Invalid);
        }
        Self::try_subscribe(self, filter, raw(qos)).map_err(not_taken)
    }

    fn try_unsubscribe(&self, filter: &str) -> Result<(), NotTaken> {
        Self::try_unsubscribe(self, filter).map_err(not_taken)
    }

    fn try_ack(&self, pkid: u16, qos: Qos) -> Result<(), NotTaken> {
        let mut publish = Publish::new("", raw(qos), Vec::new(), None);
        publish.pkid = pkid;
        Self::try_ack(self, &publish).map_err(not_taken)
    }

    fn try_disconnect(&self) -> Result<(), NotTaken> {
        Self::try_disconnect(self).map_err(not_taken)
    }
}
