//! What is asked for: filters that change, and one that the broker refuses.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::mqtt::testing::BOTH;

#[test]
fn changed_filters_are_put_right_without_asking_for_all_again() {
    for version in BOTH {
        let house = House::new(version, "");
        house.broker.publish_by(&["-t", "keep/x", "-r", "-m", "retained"], b"");
        house.sqlite(&["keep/#", "drop/#"], Qos::AtLeastOnce).stop();
        assert_eq!(house.payloads("keep/x"), ["retained"]);
        let subscriber = house.sqlite(&["keep/#", "add/#"], Qos::AtLeastOnce);
        for topic in ["drop/x", "add/x", "keep/y"] {
            house.broker.publish(topic, topic);
        }
        until("the last is stored", || !house.payloads("keep/y").is_empty());
        subscriber.stop();
        assert_eq!(house.payloads("drop/x"), [""; 0], "{version:?}");
        assert_eq!(house.payloads("add/x"), ["add/x"]);
        assert_eq!(house.payloads("keep/x"), ["retained"], "not sent again: it was not subscribed again");
    }
}

/// Everything is allowed but to subscribe to `secret/#`.
const RULES: &str = r#"{
  "defaultACLAccess": {
    "publishClientSend": true, "publishClientReceive": true, "subscribe": true, "unsubscribe": true
  },
  "clients": [],
  "groups": [{"groupname": "all", "roles": [{"rolename": "all"}]}],
  "roles": [{"rolename": "all", "acls": [
    {"acltype": "subscribeLiteral", "topic": "secret/#", "allow": false}
  ]}],
  "anonymousGroup": "all"
}"#;

/// mosquitto's dynamic security plugin, which comes with it.
fn plugin() -> PathBuf {
    let folders = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib/arm-linux-gnueabihf",
        "/usr/lib",
    ];
    let plugins = folders.map(|folder| Path::new(folder).join("mosquitto_dynamic_security.so"));
    plugins.into_iter().find(|plugin| plugin.exists()).expect("mosquitto 2.0 comes with this plugin")
}

#[test]
fn a_refused_filter_is_shown_and_the_others_go_on() {
    for version in BOTH {
        // mosquitto's acl_file grants every SUBSCRIBE and then stays silent; this plugin of its own refuses.
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("rules.json");
        fs::write(&rules, RULES).unwrap();
        let extra = format!("plugin {}\nplugin_opt_config_file {}", plugin().display(), rules.display());
        let house = House::new(version, &extra);
        let subscriber = house.start(&["secret/#", "open/#"], Qos::AtLeastOnce, SQLITE);
        until(
            "the refusal is shown",
            || matches!(house.state(), State::Degraded(why) if why.contains("secret/#")),
        );
        house.broker.publish("open/x", "open");
        until("the other goes on", || house.payloads("open/x") == ["open"]);
        subscriber.stop();
    }
}
