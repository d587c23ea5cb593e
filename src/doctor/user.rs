//! Who the bridge runs as, and what the mode of a file lets them do. Reads /etc/passwd and /etc/group as
//! files: users that come over the network (LDAP) run no bridges.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::below;

/// The user that systemd/sensor-bridge.service names.
const SERVICE: &str = "sensor-bridge";

/// A user with their groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Name.
    pub name: String,
    uid: u32,
    /// All of them, the first one included.
    groups: Vec<u32>,
    /// Names of all groups of the machine.
    names: BTreeMap<u32, String>,
}

impl User {
    /// The service's user, if the machine has one; else whoever runs this program.
    pub fn of_service(root: &Path) -> Self {
        Self::named(root, SERVICE).unwrap_or_else(|| Self::current(root))
    }

    /// The user of this name; `None` if /etc/passwd has none.
    pub fn named(root: &Path, name: &str) -> Option<Self> {
        let passwd = fs::read_to_string(below(root, "etc/passwd")).unwrap_or_default();
        // name:password:uid:gid:… (passwd(5))
        let fields: Vec<&str> =
            passwd.lines().map(|line| line.split(':').collect()).find(|fields: &Vec<_>| fields[0] == name)?;
        let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
        let mut groups = vec![gid];
        groups
            .extend(group_file(root).filter(|group| group.members.iter().any(|m| m == name)).map(|g| g.gid));
        Some(Self { name: name.to_owned(), uid, groups, names: names(root) })
    }

    /// Whoever runs this program, with the groups they have in this session.
    pub fn current(root: &Path) -> Self {
        let status = fs::read_to_string(below(root, "proc/self/status")).unwrap_or_default();
        // `Uid:` and `Gid:` real, effective, saved, file system; `Groups:` the others (proc(5)).
        let numbers = |name: &str| -> Vec<u32> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or("").split_whitespace().filter_map(|word| word.parse().ok()).collect()
        };
        let uid = numbers("Uid:").get(1).copied().unwrap_or(u32::MAX);
        let mut groups: Vec<u32> = numbers("Gid:").get(1).copied().into_iter().collect();
        groups.extend(numbers("Groups:"));
        let passwd = fs::read_to_string(below(root, "etc/passwd")).unwrap_or_default();
        let name = passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
        });
        Self { name: name.unwrap_or_else(|| uid.to_string()), uid, groups, names: names(root) }
    }

    #[cfg(test)]
    pub(super) fn root() -> Self {
        Self { name: "root".to_owned(), uid: 0, groups: vec![0], names: BTreeMap::new() }
    }

    /// Whether they may read and write this file, and if not, the group that might.
    pub(super) fn may_use(&self, file: &fs::Metadata) -> Result<(), Denied> {
        if self.has(file, 0o6) {
            return Ok(());
        }
        let mode = file.mode();
        let could = mode >> 3 & 0o6 == 0o6 && file.gid() != 0 && !self.groups.contains(&file.gid());
        Err(Denied { group: could.then(|| self.name_of(file.gid())) })
    }

    /// Whether they may read this file, and come to it.
    pub(super) fn may_read(&self, file: &Path) -> bool {
        let about = |path: &Path, bits| fs::metadata(path).is_ok_and(|about| self.has(&about, bits));
        about(file, 0o4)
            && file.ancestors().skip(1).all(|folder| folder.as_os_str().is_empty() || about(folder, 0o1))
    }

    /// Their own group.
    pub(super) fn group(&self) -> String {
        self.groups.first().map_or_else(|| self.name.clone(), |gid| self.name_of(*gid))
    }

    /// Whether this is the service's user, whom systemd hands credentials over to.
    pub(super) fn is_service(&self) -> bool {
        self.name == SERVICE
    }

    fn name_of(&self, gid: u32) -> String {
        self.names.get(&gid).cloned().unwrap_or_else(|| gid.to_string())
    }

    fn has(&self, file: &fs::Metadata, wanted: u32) -> bool {
        let mode = file.mode();
        // The kernel looks at the first that fits only: an owner without rights has none through the group.
        let bits = match () {
            () if self.uid == 0 => 0o7,
            () if file.uid() == self.uid => mode >> 6,
            () if self.groups.contains(&file.gid()) => mode >> 3,
            () => mode,
        };
        bits & wanted == wanted
    }
}

/// Somebody may not use a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Denied {
    /// The group that may.
    pub(super) group: Option<String>,
}

struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

/// name:password:gid:member,member (group(5))
fn group_file(root: &Path) -> impl Iterator<Item = Group> {
    let text = fs::read_to_string(below(root, "etc/group")).unwrap_or_default();
    let groups: Vec<Group> = text
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let members = fields.get(3).unwrap_or(&"").split(',').map(str::to_owned).collect();
            Some(Group { name: fields[0].to_owned(), gid: fields.get(2)?.parse().ok()?, members })
        })
        .collect();
    groups.into_iter()
}

fn names(root: &Path) -> BTreeMap<u32, String> {
    group_file(root).map(|group| (group.gid, group.name)).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::doctor::devices::tests::tree;

    fn machine(gid: u32) -> tempfile::TempDir {
        tree(&[
            (
                "etc/passwd",
                "root:x:0:0::/root:/bin/sh\nsensor-bridge:x:4294000:4294000::/:/\nann:x:4294001:4294001::/:/\n",
            ),
            (
                "etc/group",
                &format!("i2c:x:{gid}:sensor-bridge,bob\nsensor-bridge:x:4294000:\nann:x:4294001:\n"),
            ),
            ("bus", ""),
        ])
    }

    /// A file of ours that its group may use, seen by users who do not own it.
    #[test]
    fn groups_open_what_the_mode_says() {
        let probe = tempfile::tempdir().unwrap();
        // A group that the file really has; root's own would not be one to join.
        let gid = fs::metadata(probe.path()).unwrap().gid();
        let root = machine(gid);
        let bus = root.path().join("bus");
        let mode = |mode| {
            fs::set_permissions(&bus, fs::Permissions::from_mode(mode)).unwrap();
            fs::metadata(&bus).unwrap()
        };
        let bridge = User::of_service(root.path());
        assert_eq!((bridge.name.as_str(), bridge.uid), ("sensor-bridge", 4_294_000));
        let ann = User::named(root.path(), "ann").unwrap();
        assert_eq!(bridge.may_use(&mode(0o660)), Ok(()));
        let group = (gid != 0).then(|| "i2c".to_owned());
        assert_eq!(ann.may_use(&mode(0o660)), Err(Denied { group }));
        assert_eq!(ann.may_use(&mode(0o666)), Ok(()));
        // In the group, which may only read: joining it does not help.
        assert_eq!(bridge.may_use(&mode(0o640)), Err(Denied { group: None }));
        assert_eq!(User::root().may_use(&mode(0o000)), Ok(()));
        assert_eq!(User::named(root.path(), "nobody-at-all"), None);
    }

    #[test]
    fn without_a_service_it_is_whoever_asks() {
        let me = User::of_service(&tree(&[]).path().join("nowhere"));
        assert_eq!(me.uid, u32::MAX, "an empty root knows nobody");
        let root = tree(&[
            ("proc/self/status", "Name:\tx\nUid:\t7\t1000\t7\t7\nGid:\t8\t1000\t8\t8\nGroups:\t27 44\n"),
            ("etc/passwd", "pi:x:1000:1000::/home/pi:/bin/bash\n"),
        ]);
        let me = User::of_service(root.path());
        assert_eq!((me.name.as_str(), me.uid, me.groups.as_slice()), ("pi", 1000, [1000, 27, 44].as_slice()));
    }
}
