//! A file that is wrong: nothing changes, and it is said why.

use std::path::Path;

use crate::support::{Bridge, Mosquitto, wait_until};
use crate::{SOON, assert_goes_on, counter, head, mqtt, reload, values};

#[test]
fn a_wrong_file_changes_nothing_and_says_why() {
    let broker = Mosquitto::start();
    let config = |folder: &Path, rest: &str| {
        format!("{}sensors:\n{}{rest}", head(folder, &mqtt(&broker)), counter("steady", "10ms", ""))
    };
    let mut bridge = Bridge::start(|folder| config(folder, ""));
    let goes_on = |bridge: &Bridge| {
        let before = values(bridge, "steady", "value").len();
        wait_until(SOON, "it is read", || values(bridge, "steady", "value").len() > before + 10);
    };
    goes_on(&bridge);
    for (wrong, why) in [
        ("  - { id: air, driver: bme208 }\n", "sensors[1].driver: unknown driver \"bme208\""),
        ("  - { id: steady, driver: host }\n", "sensors[1].id: \"steady\" is the id of sensors[0] already"),
        ("  - { id: bad, driver: host, intervall: 5s }\n", "sensors[1].intervall: unknown key"),
    ] {
        let said = reload(&bridge, &config(bridge.folder(), wrong));
        assert!(
            said.starts_with("degraded: the configuration on disk was not taken over: ")
                && said.contains(why),
            "{said}"
        );
        let all = bridge.stderr();
        assert!(all.contains("configuration not changed:"), "{all}");
        assert!(all.contains(&format!("config.yaml:6: {why}")), "{why} not in {all}");
        goes_on(&bridge);
    }
    // It is seen until there is a good one.
    let status = |bridge: &Bridge| String::from_utf8(bridge.run(&["status"]).stdout).unwrap();
    // The daemon is found though the file that names its socket is wrong.
    assert!(status(&bridge).contains("the configuration on disk was not taken over"), "{}", status(&bridge));
    assert_eq!(reload(&bridge, &config(bridge.folder(), "")), "nothing changed");
    assert!(status(&bridge).contains("reload    ok"), "{}", status(&bridge));
    assert!(bridge.terminate().success());
    assert_goes_on(&bridge, "steady");
}
