//! What the service cannot do, tried from inside: the same program run by the same user finds everything open
//! outside the unit, and shut within it.

use std::collections::BTreeMap;

use super::{LONG, boot, property};

/// Says of each thing whether it can be done. What only a privileged user may is not in it: it would be refused
/// outside too, and so prove nothing. `-` marks what the service needs, and can.
const PROBE: &str = r#"#!/bin/bash
try() { what=$1; shift; if "$@" >/dev/null 2>&1; then echo "$what: can"; else echo "$what: cannot"; fi; }
write() { : >"$1"; }
open() { : <>"$1"; }
try "-write its own folder" write /var/lib/sensor-bridge/probe.own
try "-open the bus" open /dev/i2c-1
try "-open the pins" open /dev/gpiochip0
try "-map the pins" open /dev/gpiomem
try "-read its configuration" cat /etc/sensor-bridge/config.yaml
try "write a folder open to all" write /srv/open/file
try "write a device open to all" open /dev/mmcblk0
try "see the homes" cat /home/pi/notes
try "see what others have in /tmp" cat /tmp/notes
try "see other processes" test -e /proc/1/comm
try "make a namespace" unshare -U true
try "make a file that changes the user" sh -c 'touch /var/lib/sensor-bridge/s && chmod 4755 /var/lib/sensor-bridge/s'
try "ask the kernel by netlink" perl -e 'socket(S, 16, 3, 0) or exit 1'
try "have memory to write and run" perl -e 'exit(syscall(222, 0, 4096, 7, 0x22, -1, 0) == -1)'
try "change the personality" setarch -R true
"#;

/// Written to the service's own folder, the only place that it has in common with the outside.
const INSIDE: &str = "[Service]
ExecStartPre=/bin/sh -c '/usr/local/bin/probe >/var/lib/sensor-bridge/probe'
";

/// What the probe says, by what it tried.
fn answers(text: &str) -> BTreeMap<String, bool> {
    let line =
        |line: &str| line.rsplit_once(": ").map(|(what, answer)| (what.to_owned(), answer.trim() == "can"));
    text.lines().filter_map(line).collect()
}

#[test]
#[ignore = "needs an emulator: make virtual-pi-systemd"]
fn the_service_can_do_what_it_needs_and_nothing_else() {
    let mut pi = boot();
    let pid = property(&mut pi, "MainPID");
    let status = pi.shell(&format!("cat /proc/{pid}/status"));
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
    };
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(u64::from_str_radix(&field(set), 16), Ok(0), "{set}: {status}");
    }
    assert_eq!((field("NoNewPrivs"), field("Seccomp")), ("1".to_owned(), "2".to_owned()), "{status}");
    assert_ne!(field("Seccomp_filters"), "0");

    pi.put("/usr/local/bin/probe", PROBE.as_bytes());
    pi.shell("chmod 755 /usr/local/bin/probe; mkdir -m 777 /srv/open; chmod 666 /dev/mmcblk0");
    pi.shell("mkdir -p /home/pi; echo mine | tee /home/pi/notes >/tmp/notes");
    let outside = answers(&pi.shell("runuser -u sensor-bridge -- /usr/local/bin/probe"));
    assert_eq!(outside.len(), 15, "{outside:?}");
    assert!(outside.values().all(|can| *can), "without the unit, all of it can be done: {outside:?}");

    pi.shell("rm /srv/open/file /var/lib/sensor-bridge/s; mkdir /run/systemd/system/sensor-bridge.service.d");
    pi.put("/run/systemd/system/sensor-bridge.service.d/probe.conf", INSIDE.as_bytes());
    pi.long("systemctl daemon-reload && systemctl restart sensor-bridge", LONG);
    let inside = answers(&pi.shell("cat /var/lib/sensor-bridge/probe"));
    let expected = outside.keys().map(|what| (what.clone(), what.starts_with('-'))).collect();
    assert_eq!(inside, expected);
    assert!(!pi.holds("test -e /srv/open/file"));
    println!("{}", pi.ask("systemd-analyze security sensor-bridge --no-pager | tail -n 1"));
}
