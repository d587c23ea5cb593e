//! [`Connection`] over rumqttc's MQTT 3.1.1 client. Translates, decides nothing.

use rumqttc::{Event as Raw, Outgoing as Wrote, Packet, QoS, Request};
use tracing::error;

use super::access::Access;
use super::connection::{
    CONNECT_TIMEOUT, Connected, Connection, Dead, Event, Message, NotTaken, Outgoing, Parameters, Requests,
    address, keep_alive, proxy, transport, with_headers,
};
use super::failure::{Failure, from_v4};
use crate::config;
use crate::reading::Qos;

/// One network connection.
pub(crate) struct V4 {
    client: rumqttc::AsyncClient,
    event_loop: rumqttc::EventLoop,
    collision: Option<u16>,
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

impl Connection for V4 {
    type Requests = rumqttc::AsyncClient;

    fn open(
        config: &config::Mqtt,
        parameters: &Parameters,
        access: Option<&Access>,
    ) -> Result<Self, Failure> {
        let broker = &config.broker;
        let mut options = rumqttc::MqttOptions::new(&parameters.client_id, address(broker), broker.port);
        options
            .set_transport(transport(broker)?)
            .set_clean_session(parameters.clean)
            .set_keep_alive(keep_alive(config))
            .set_inflight(parameters.slots.max(1))
            .set_manual_acks(parameters.manual_acks)
            // Guards against rumqttc's default of 10 KiB in both directions: an image is larger.
            .set_max_packet_size(config.max_packet_size as usize, config.max_packet_size as usize);
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
            let will = rumqttc::LastWill::new(&will.topic, will.payload.clone(), raw(will.qos), will.retain);
            options.set_last_will(will);
        }
        let (client, mut event_loop) = rumqttc::AsyncClient::new(options, parameters.capacity);
        let mut network = rumqttc::NetworkOptions::new();
        // rumqttc flushes each publish; with Nagle's algorithm that costs a round trip each.
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(CONNECT_TIMEOUT.as_secs());
        event_loop.set_network_options(network);
        Ok(Self { client, event_loop, collision: None })
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
                Err(Dead { why: from_v4(&why), last })
            }
        }
    }

    fn buffered(&mut self) -> Option<Event> {
        let event = self.event_loop.state.events.pop_front()?;
        Some(self.event(event))
    }

    fn resume_publish(&mut self, pkid: u16, message: Outgoing) {
        let mut publish = rumqttc::Publish::new(message.topic, raw(message.qos), message.payload);
        publish.pkid = pkid;
        publish.dup = true;
        publish.retain = message.retain;
        self.event_loop.pending.push_back(Request::Publish(publish));
    }

    fn resume_pubrel(&mut self, pkid: u16) {
        self.event_loop.pending.push_back(Request::PubRel(rumqttc::PubRel::new(pkid)));
    }

    fn prime(&mut self, pkid: Option<u16>) {
        let ids = pkid.map_or(1..=u16::MAX, |id| id..=id);
        for id in ids {
            let mut publish = rumqttc::Publish::new("", QoS::ExactlyOnce, Vec::new());
            publish.pkid = id;
            // With manual acks this only notes the id as received; the event it makes is taken back.
            match self.event_loop.state.handle_incoming_packet(Packet::Publish(publish)) {
                Ok(_) => drop(self.event_loop.state.events.pop_back()),
                Err(why) => error!("packet id {id} cannot be prepared: {why}"),
            }
        }
    }

    fn lost_slots(&self) -> u16 {
        0
    }
}

impl V4 {
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

    fn heard(&self, packet: Packet) -> Event {
        match packet {
            Packet::ConnAck(connack) => Event::Connected(Connected {
                session_present: connack.session_present,
                receive_max: u16::MAX,
                max_packet_size: None,
                max_qos: Qos::ExactlyOnce,
                retain_available: true,
                keep_alive: self.event_loop.mqtt_options.keep_alive(),
            }),
            Packet::PubRec(packet) => Event::Rec(packet.pkid),
            Packet::PubAck(packet) => Event::Done { pkid: packet.pkid, refused: None },
            Packet::PubComp(packet) => Event::Done { pkid: packet.pkid, refused: None },
            Packet::Publish(packet) => Event::Message(Message {
                pkid: packet.pkid,
                qos: known(packet.qos),
                dup: packet.dup,
                retain: packet.retain,
                topic: packet.topic,
                payload: packet.payload.to_vec(),
                response: None,
            }),
            Packet::PubRel(packet) => Event::Released(packet.pkid),
            Packet::SubAck(packet) => Event::SubAck {
                pkid: packet.pkid,
                granted: packet
                    .return_codes
                    .iter()
                    .map(|code| match code {
                        rumqttc::SubscribeReasonCode::Success(qos) => Ok(known(*qos)),
                        rumqttc::SubscribeReasonCode::Failure => Err("refused by the broker"),
                    })
                    .collect(),
            },
            Packet::UnsubAck(packet) => Event::UnsubAck(packet.pkid),
            Packet::PingResp => Event::Pong,
            _ => Event::Other,
        }
    }
}

/// Full or ended are the same to the caller: the request was not taken, and the next poll tells why.
fn not_taken(error: rumqttc::ClientError) -> NotTaken {
    match error {
        rumqttc::ClientError::Request(Request::Publish(publish))
        | rumqttc::ClientError::TryRequest(Request::Publish(publish))
            if !rumqttc::valid_topic(&publish.topic) =>
        {
            NotTaken::Invalid
        }
        _ => NotTaken::Full,
    }
}

impl Requests for rumqttc::AsyncClient {
    fn try_answer(&self, message: Outgoing, _correlation: Option<Vec<u8>>) -> Result<(), NotTaken> {
        Self::try_publish(self, message.topic, raw(message.qos), message.retain, message.payload)
            .map_err(not_taken)
    }

    fn try_subscribe(&self, filter: &str, qos: Qos) -> Result<(), NotTaken> {
        if !rumqttc::valid_filter(filter) {
            return Err(NotTaken::Invalid);
        }
        Self::try_subscribe(self, filter, raw(qos)).map_err(not_taken)
    }

    fn try_unsubscribe(&self, filter: &str) -> Result<(), NotTaken> {
        Self::try_unsubscribe(self, filter).map_err(not_taken)
    }

    fn try_ack(&self, pkid: u16, qos: Qos) -> Result<(), NotTaken> {
        let mut publish = rumqttc::Publish::new("", raw(qos), Vec::new());
        publish.pkid = pkid;
        Self::try_ack(self, &publish).map_err(not_taken)
    }

    fn try_disconnect(&self) -> Result<(), NotTaken> {
        Self::try_disconnect(self).map_err(not_taken)
    }
}
