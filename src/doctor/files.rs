//! Whether the bridge's user may read the passwords, keys and certificates that the configuration names. Root, who asks,
//! may read all of them; the service that may not does not start.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::user::User;
use super::{Verdict, below};
use crate::config::NamedFile;

/// A verdict for each file that this user cannot read.
pub(super) fn look(root: &Path, files: &[NamedFile], user: &User) -> Vec<Verdict> {
    let credentials = if user.is_service() { credentials(root) } else { BTreeSet::new() };
    let closed = files.iter().filter(|file| !credentials.contains(&file.named) && !user.may_read(&file.path));
    closed.map(|file| verdict(file, &credentials, user)).collect()
}

fn verdict(file: &NamedFile, credentials: &BTreeSet<String>, user: &User) -> Verdict {
    let path = file.path.display();
    let name = file.path.file_name().unwrap_or_default().to_string_lossy();
    let open = format!("sudo chgrp {} {path} && sudo chmod 640 {path}", user.group());
    let remedy = match credentials.contains(name.as_ref()) {
        true => format!("write {name} without a folder, so that systemd hands it over; or {open}"),
        false => format!("{open}; its folder must be open to {}, too", user.name),
    };
    Verdict::trouble("rights", format!("{}: {} may not read {path}", file.key, user.name), remedy)
}

/// Names of the credentials that systemd hands the service, by its unit and what was added to it.
fn credentials(root: &Path) -> BTreeSet<String> {
    let mut units = Vec::new();
    for folder in ["usr/lib/systemd/system", "lib/systemd/system", "etc/systemd/system"] {
        let unit = below(root, folder).join("sensor-bridge.service");
        let additions = PathBuf::from(format!("{}.d", unit.display()));
        units.push(unit);
        units.extend(fs::read_dir(additions).into_iter().flatten().flatten().map(|entry| entry.path()));
    }
    let texts = units.iter().filter_map(|unit| fs::read_to_string(unit).ok());
    texts.flat_map(|text| text.lines().filter_map(credential).collect::<Vec<_>>()).collect()
}

/// `LoadCredential=mqtt.password:/etc/…` (systemd.exec(5)).
fn credential(line: &str) -> Option<String> {
    let (key, value) = line.split_once('=')?;
    let loads = ["LoadCredential", "LoadCredentialEncrypted"].contains(&key.trim());
    let name = value.split(':').next().unwrap_or_default().trim();
    (loads && !name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::devices::tests::tree;
    use super::*;

    #[test]
    fn what_root_may_read_and_the_service_may_not() {
        let root = tree(&[
            ("etc/passwd", "sensor-bridge:x:4294000:4294000::/:/\n"),
            ("etc/group", "sensor-bridge:x:4294000:\n"),
            ("usr/lib/systemd/system/sensor-bridge.service", "LoadCredential=mqtt.password:/etc/x\n"),
            (
                "etc/systemd/system/sensor-bridge.service.d/mine.conf",
                "[Service]\nLoadCredential = web.password:/y\n",
            ),
            ("mqtt.password", "secret"),
            ("web.password", "secret"),
            ("thing.key", "secret"),
        ]);
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let user = User::of_service(root.path());
        let file = |name: &str, whole: bool, mode: u32| {
            let path = root.path().join(name);
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let named = if whole { path.display().to_string() } else { name.to_owned() };
            look(root.path(), &[NamedFile { key: "mqtt.some_file".into(), named, path }], &user)
        };
        assert_eq!(file("mqtt.password", false, 0o600), [], "systemd hands it over");
        assert_eq!(file("web.password", false, 0o600), [], "and this one since somebody said so");
        assert_eq!(file("thing.key", true, 0o644), []);

        let closed = |verdicts: Vec<Verdict>| match verdicts.as_slice() {
            [Verdict { what, state: super::super::State::Trouble { remedy }, .. }] => {
                format!("{what} → {remedy}").replace(&root.path().display().to_string(), "")
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(
            closed(file("thing.key", false, 0o600)),
            "mqtt.some_file: sensor-bridge may not read /thing.key → sudo chgrp sensor-bridge /thing.key && sudo chmod \
             640 /thing.key; its folder must be open to sensor-bridge, too"
        );
        let whole = closed(file("mqtt.password", true, 0o600));
        assert!(whole.contains("→ write mqtt.password without a folder"), "{whole}");
    }
}
