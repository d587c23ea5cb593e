//! A device node that is not there: not there at all, or only not for this process.
//!
//! systemd gives the service a `/dev` of its own with what was there when it started; `/sys` shows it all.

use std::path::Path;

/// What to say of a node (`/dev/i2c-1`) that was not found: that the kernel has it, if it has, else `otherwise`.
pub(super) fn absent(node: &str, otherwise: impl FnOnce() -> String) -> String {
    absent_below(Path::new("/sys"), node, otherwise)
}

fn absent_below(sys: &Path, node: &str, otherwise: impl FnOnce() -> String) -> String {
    const FOLDERS: [&str; 4] = ["class/i2c-dev", "class/spidev", "class/tty", "bus/gpio/devices"];
    let name = node.strip_prefix("/dev/").filter(|name| !name.is_empty() && !name.contains('/'));
    let known = |name: &str| FOLDERS.iter().any(|folder| sys.join(folder).join(name).exists());
    match name {
        Some(name) if known(name) => format!(
            "the kernel has {node}, but this service does not see it: it came after the service had started (sudo systemctl \
             restart sensor-bridge), or it comes and goes (see hotplug.conf among the examples)"
        ),
        _ => otherwise(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_has_is_told_from_what_it_has_not() {
        let sys = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(sys.path().join("class/i2c-dev/i2c-1")).unwrap();
        std::fs::create_dir_all(sys.path().join("bus/gpio/devices/gpiochip0")).unwrap();
        let said = |node| absent_below(sys.path(), node, || "enable it".to_owned());
        for node in ["/dev/i2c-1", "/dev/gpiochip0"] {
            assert!(said(node).contains("systemctl restart sensor-bridge"), "{}", said(node));
        }
        for node in ["/dev/i2c-2", "/dev/", "/dev/serial/by-id/x", "/elsewhere"] {
            assert_eq!(said(node), "enable it");
        }
    }
}
