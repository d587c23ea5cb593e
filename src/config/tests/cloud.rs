//! What the cloud's platforms make of a configuration: taken over, filled in, refused.

use super::*;
use crate::config::{Credentials, MqttVersion, Trust};
use crate::reading::{Publish, Shape};

/// A configuration with this in `mqtt`, and a certificate, key and token in a folder of its own.
struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for (file, text) in
            [("device.pem", "x"), ("device.key", key), ("token", "s3cr3t\n"), ("sas", "c2VjcmV0\n")]
        {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        Self { folder }
    }

    fn yaml(&self, mqtt: &str, rest: &str) -> String {
        let folder = self.folder.path().display().to_string();
        let certificate = format!("tls: {{cert_file: {folder}/device.pem, key_file: {folder}/device.key}}");
        let mqtt = mqtt.replace("CERTIFICATE", &certificate).replace("FOLDER", &folder);
        format!("device: {{id: greenhouse-pi}}\nmqtt: {{{mqtt}}}\n{SENSOR}{rest}")
    }

    fn good(&self, mqtt: &str, rest: &str) -> Checked {
        read(&self.yaml(mqtt, rest)).unwrap_or_else(|problems| panic!("{mqtt}: {problems}"))
    }

    #[track_caller]
    fn bad(&self, mqtt: &str, rest: &str, expected: &str) {
        let problems = problems(&self.yaml(mqtt, rest));
        assert!(problems.iter().any(|line| line.contains(expected)), "{mqtt} {rest}: {problems:#?}");
    }
}

#[test]
fn a_certificate_stands_beside_the_configuration_wherever_the_program_starts() {
    let case = Case::new();
    let file = case.folder.path().join("config.yaml");
    let yaml = format!(
        "mqtt: {{url: \"mqtts://b\", tls: {{ca_file: device.pem, cert_file: device.pem, key_file: device.key}}}}\n{SENSOR}"
    );
    let checked = read_with(&yaml, Some(&file), std::iter::empty(), &DRIVERS).unwrap();
    let tls = checked.config.mqtt.unwrap().broker.tls;
    let of = |name: &str| case.folder.path().join(name);
    assert_eq!(tls.identity, Some((of("device.pem"), of("device.key"))));
    assert_eq!(tls.trust, Trust::Authorities(of("device.pem")));
}

#[test]
fn what_is_wrong_with_a_sensor_is_found_behind_one_that_is_switched_off() {
    let case = Case::new();
    let sensors = "sensors:
  - {id: off, enabled: false, driver: bme280, bus: i2c-1}
  - {id: air, driver: bme280, bus: i2c-1, qos: 2}
";
    let yaml = case.yaml(AWS, "").replace(SENSOR, sensors);
    let found = problems(&yaml);
    assert_eq!(
        found,
        [
            "line 5: sensors[1].qos: aws-iot takes quality of service 1 at most, not 2; set it here, or `mqtt.qos` for all"
        ]
    );
}

fn publish(checked: &Checked) -> &Publish {
    checked.config.sensors[0].quantities[0].channel.publish.as_ref().unwrap()
}

const AWS: &str =
    "platform: {name: aws-iot}, url: \"mqtts://x-ats.iot.eu-west-1.amazonaws.com\", CERTIFICATE";
const AZURE: &str = "platform: {name: azure-iot-hub, hub: contoso}, token: {sas: {key_file: FOLDER/sas}}";
const BOARD: &str =
    "platform: {name: thingsboard}, url: \"mqtts://board.example\", password_file: FOLDER/token";

#[test]
fn a_thing_of_aws_is_its_client_id_and_keeps_its_topics() {
    let case = Case::new();
    let checked = case.good(AWS, "");
    let mqtt = checked.config.mqtt.as_ref().unwrap();
    assert_eq!((mqtt.client_id.as_str(), mqtt.max_payload), ("greenhouse-pi", Some(131_072)));
    assert_eq!(mqtt.pace, Some(80));
    assert_eq!(mqtt.status_topic.as_deref(), Some("sensors/greenhouse-pi/status"));
    assert_eq!(mqtt.broker.tls.alpn, None);
    assert_eq!(publish(&checked).topic, "sensors/greenhouse-pi/air/temperature");
    assert_eq!(publish(&checked).format, None);
    let on_443 = case.good(&AWS.replace("com\"", "com:443\""), "");
    assert_eq!(on_443.config.mqtt.unwrap().broker.tls.alpn, Some("x-amzn-mqtt-ca"));
}

#[test]
fn what_aws_would_not_take_is_refused() {
    let case = Case::new();
    for (mqtt, rest, expected) in [
        (
            AWS.replace("mqtts://x-ats.iot.eu-west-1.amazonaws.com", "mqtt://x"),
            "",
            "takes encrypted connections only",
        ),
        (AWS.replace(", CERTIFICATE", ""), "", "mqtt: aws-iot wants to know who we are; give it"),
        (
            "platform: {name: aws-iot}, CERTIFICATE".to_owned(),
            "",
            "mqtt.url: is missing: aws-iot has no address",
        ),
        (format!("{AWS}, qos: 2"), "", "takes quality of service 1 at most, not 2"),
        (format!("{AWS}, client_id: other"), "", "mqtt.client_id: must be \"greenhouse-pi\""),
        (format!("{AWS}, keep_alive: 30m"), "", "mqtt.keep_alive: aws-iot allows 20m at most"),
        (
            format!("{AWS}, topic: \"1/2/3/4/5/6/7/{{sensor}}/{{quantity}}\""),
            "",
            "has 9 levels; AWS IoT allows 8",
        ),
        (
            format!("{AWS}, status_topic: \"1/2/3/4/5/6/7/8\""),
            "",
            "mqtt.status_topic: the topic \"1/2/3/4/5/6/7/8/facts\" has 9",
        ),
        (
            format!("{AWS}, backlog: live-first, late_topic: \"1/2/3/4/5/6/7/8/{{sensor}}\""),
            "",
            "has 9 levels",
        ),
    ] {
        case.bad(&mqtt, rest, expected);
    }
}

#[test]
fn a_device_of_azure_needs_its_hub_and_its_key() {
    let case = Case::new();
    let checked = case.good(AZURE, "");
    let mqtt = checked.config.mqtt.as_ref().unwrap();
    assert_eq!((mqtt.client_id.as_str(), mqtt.status_topic.as_deref()), ("greenhouse-pi", None));
    assert_eq!(mqtt.broker.to_string(), "mqtts://contoso.azure-devices.net:8883");
    assert_eq!(mqtt.version, MqttVersion::V311);
    let Some(Credentials { username, password: Password::Sas { resource, policy, .. } }) = &mqtt.credentials
    else {
        panic!("{:?}", mqtt.credentials)
    };
    assert_eq!(username, "contoso.azure-devices.net/greenhouse-pi/?api-version=2021-04-12");
    assert_eq!((resource.as_str(), policy), ("contoso.azure-devices.net/devices/greenhouse-pi", &None));
    let by_certificate = case.good("platform: {name: azure-iot-hub, hub: contoso}, CERTIFICATE", "");
    let credentials = by_certificate.config.mqtt.unwrap().credentials.unwrap();
    assert_eq!(credentials.password, fixed(""), "none");
}

/// What is filled in is encoded as a query is.
#[test]
fn topics_of_azure_carry_names_as_they_are() {
    let case = Case::new();
    assert_eq!(
        publish(&case.good(AZURE, "")).topic,
        "devices/greenhouse-pi/messages/events/$.ct=application%2Fjson&$.ce=utf-8&sensor=air&quantity=temperature"
    );
    let yaml = case.yaml(&AZURE.replace("contoso", "contoso, messages: sample"), "");
    let checked = read(&yaml.replace("id: air", "id: \"Luft & Wärme\"")).unwrap();
    let publish = publish(&checked);
    assert_eq!(publish.shape, Shape::Sample);
    assert!(publish.topic.ends_with("&sensor=Luft%20%26%20W%C3%A4rme"), "{}", publish.topic);
    let camera = case.yaml(AZURE, "").replace("driver: bme280, bus: i2c-1", "driver: camera");
    let topic = publish_of_picture(&read(&camera).unwrap());
    assert_eq!(topic, "devices/greenhouse-pi/messages/events/sensor=air&quantity=image");
}

fn publish_of_picture(checked: &Checked) -> String {
    publish(checked).topic.clone()
}

#[test]
fn what_azure_would_not_take_is_refused() {
    let case = Case::new();
    let mirror = "mirror: [{topics: [a], to: sqlite}]";
    for (mqtt, rest, expected) in [
        (
            AZURE.replace(", token: {sas: {key_file: FOLDER/sas}}", ""),
            "",
            "azure-iot-hub wants to know who we are",
        ),
        (AZURE.replace(", hub: contoso", ""), "", "mqtt.platform.hub: is missing"),
        (format!("{AZURE}, url: \"mqtt://x\""), "", "takes encrypted connections only"),
        (format!("{AZURE}, qos: 2"), "", "takes quality of service 1 at most"),
        (format!("{AZURE}, retain: true"), "", "nothing can be retained"),
        (format!("{AZURE}, version: 5"), "", "speaks MQTT 3.1.1 only"),
        (format!("{AZURE}, topic: \"a/{{sensor}}\""), "", "mqtt.topic: cannot be chosen"),
        (format!("{AZURE}, status_topic: a"), "", "mqtt.status_topic: cannot be chosen"),
        (format!("{AZURE}, keep_alive: 20m"), "", "allows 19m37s at most"),
        (AZURE.to_owned(), mirror, "lets a device subscribe to nothing but its own commands"),
    ] {
        case.bad(&mqtt, rest, expected);
    }
    // Without a platform nobody knows the resource.
    // A platform that is wrong is one problem, not two.
    let wrong = case.yaml(&BOARD.replace("thingsboard", "thingsboard, keys: x"), "");
    assert_eq!(problems(&wrong).len(), 1, "{:?}", problems(&wrong));
    let alone = "url: \"mqtts://x\", token: {sas: {key_file: FOLDER/sas}}";
    case.bad(alone, "", "mqtt.token.sas.resource: is missing");
}

#[test]
fn an_access_token_is_a_secret_and_the_user_name() {
    let case = Case::new();
    let checked = case.good(BOARD, "");
    assert!(!format!("{checked:?}").contains("s3cr3t"));
    let mqtt = checked.config.mqtt.as_ref().unwrap();
    let credentials = mqtt.credentials.as_ref().unwrap();
    assert_eq!((credentials.username.as_str(), &credentials.password), ("", &fixed("s3cr3t")));
    assert_eq!(publish(&checked).topic, "v1/devices/me/telemetry");
    assert_eq!(publish(&checked).format.as_ref().unwrap().as_str(), "thingsboard");
    let basic = case.good(&format!("{BOARD}, username: pi"), "");
    let credentials = basic.config.mqtt.unwrap().credentials.unwrap();
    assert_eq!((credentials.username.as_str(), &credentials.password), ("pi", &fixed("s3cr3t")));
    case.good(&BOARD.replace("password_file: FOLDER/token", "CERTIFICATE"), "");
    case.bad(&BOARD.replace(", password_file: FOLDER/token", ""), "", "thingsboard wants to know who we are");
}

#[test]
fn pictures_stay_in_the_log_where_there_is_no_place_for_them() {
    let case = Case::new();
    let checked =
        read(&case.yaml(BOARD, "").replace("driver: bme280, bus: i2c-1", "driver: camera")).unwrap();
    assert_eq!(checked.config.sensors[0].quantities[0].channel.publish, None);
    assert!(checked.config.sensors[0].state.publish.is_some());
    let warned = checked.warnings.iter().any(|warning| warning.to_string().contains("no place for pictures"));
    assert!(warned, "{:?}", checked.warnings);
}
