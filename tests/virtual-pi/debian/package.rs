//! What the package does on the Pi beyond being installed: upgraded, removed, installed again, purged.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::{CONFIG, LONG, boot, package, property, wait_for_the_service};
use crate::pi::Pi;

/// The same package as a later version.
fn next() -> Vec<u8> {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (tree, file) = (folder.path().join("tree"), folder.path().join("next.deb"));
    let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    run(Command::new("dpkg-deb").arg("-R").arg(package()).arg(&tree));
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control).unwrap();
    let version = text.lines().find(|line| line.starts_with("Version: ")).unwrap();
    fs::write(&control, text.replace(version, &format!("{version}+next"))).unwrap();
    run(Command::new("dpkg-deb").args(["--root-owner-group", "-Znone", "--build"]).args([&tree, &file]));
    fs::read(file).unwrap()
}

#[test]
#[ignore = "needs an emulator: make virtual-pi-systemd"]
fn the_package_can_be_upgraded_removed_and_purged() {
    let mut pi = boot();
    pi.shell(&format!("echo '# edited' >>{CONFIG}"));
    let readings =
        |pi: &mut Pi| pi.one("SELECT count(*) AS one FROM readings").and_then(|count| count.as_i64());
    pi.wait_until("readings", |pi| readings(pi).is_some_and(|count| count > 0));
    let (pid, rows) = (property(&mut pi, "MainPID"), readings(&mut pi));
    let keeps = |pi: &mut Pi| {
        assert!(pi.holds(&format!("grep -q '# edited' {CONFIG}")), "the configuration");
        assert!(pi.holds("test -s /var/lib/sensor-bridge/bridge.db"), "the data");
    };

    pi.put("/root/next.deb", &next());
    pi.long("dpkg -i /root/next.deb 2>&1", LONG);
    wait_for_the_service(&mut pi);
    assert!(pi.shell("dpkg-query -W -f '${Version}' sensor-bridge").trim().ends_with("+next"));
    assert_ne!(property(&mut pi, "MainPID"), pid, "the old program runs on");
    keeps(&mut pi);
    assert!(readings(&mut pi) >= rows);

    pi.long("dpkg -r sensor-bridge 2>&1", LONG);
    assert!(!pi.holds("pidof sensor-bridge") && !pi.holds("test -e /usr/bin/sensor-bridge"));
    keeps(&mut pi);

    pi.long("dpkg --force-confold -i /root/this.deb 2>&1", LONG);
    wait_for_the_service(&mut pi);
    keeps(&mut pi);
    assert!(readings(&mut pi) >= rows, "it goes on with the data that it finds");

    pi.long("dpkg -P sensor-bridge 2>&1", LONG);
    for left in ["/var/lib/sensor-bridge", "/etc/sensor-bridge", "/usr/share/doc/sensor-bridge"] {
        assert!(!pi.holds(&format!("test -e {left}")), "{left} is left");
    }
    assert!(pi.holds("id sensor-bridge"), "the user keeps its number");
}
