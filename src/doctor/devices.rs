//! Whether what sensors and outputs sit on is there, and open to the bridge: buses, ports, cameras, the firmware of a Pi. Opens no
//! device.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::user::User;
use super::{Verdict, below};
use crate::config::Config;
use crate::sensor::Attachment;

/// Every sensor and output, and where it sits.
pub(super) fn seated(config: &Config) -> impl Iterator<Item = (Attachment, String)> {
    let sensors = config.sensors.iter().map(|sensor| (sensor.driver.attachment(), &sensor.id));
    let outputs = config.outputs.iter().map(|output| (output.driver.attachment(), &output.id));
    sensors.chain(outputs).map(|(place, id)| (place, id.as_str().to_owned()))
}

/// Workers (`i2c-1`, `w1`) with the sensors and outputs on them.
pub(super) fn workers(config: &Config) -> BTreeMap<String, Vec<String>> {
    let mut workers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (place, id) in seated(config) {
        workers.entry(place.worker().to_owned()).or_default().push(id);
    }
    workers
}

/// The buses that this machine has, for nobody: what there is to look at when the configuration says nothing.
pub(super) fn present(root: &Path) -> BTreeMap<String, Vec<String>> {
    let mut workers: Vec<String> = all_with(root, "dev", "i2c-");
    let selects = all_with(root, "dev", "spidev");
    workers.extend(selects.iter().map(|name| name.replacen("spidev", "spi-", 1)));
    if is_a_pi(root) && first_with(root, "dev", "gpiochip").is_some() {
        workers.push("gpio".to_owned());
    }
    if first_with(root, "sys/bus/w1/devices", "w1_bus_master").is_some() {
        workers.push("w1".to_owned());
    }
    workers.into_iter().map(|worker| (worker, Vec::new())).collect()
}

/// What a worker's name means here. Names, not the driver's types, so that a driver needs no line here;
/// what is not known (`sim-1`, `host`, `folder /srv`) needs no device.
enum Needs<'a> {
    /// `i2c-1`
    I2c(&'a str),
    /// `spi-0.1`
    Spi(&'a str),
    /// `/dev/serial0`
    Serial(&'a str),
    /// `gpio`, `gpiochip0`
    Gpio,
    /// `w1`
    OneWire,
    /// `camera 0`: the one on the Pi's own connector
    Camera,
    /// `camera /dev/video0`
    UsbCamera(&'a str),
    Nothing,
}

fn needs(worker: &str) -> Needs<'_> {
    if let Some(number) = worker.strip_prefix("i2c-") {
        return Needs::I2c(number);
    }
    if let Some(select) = worker.strip_prefix("spi-") {
        return Needs::Spi(select);
    }
    if let Some(camera) = worker.strip_prefix("camera ") {
        return match camera {
            _ if camera.starts_with("/dev/") => Needs::UsbCamera(camera),
            _ if camera.parse::<u8>().is_ok() => Needs::Camera,
            // A command of the user's own.
            _ => Needs::Nothing,
        };
    }
    match worker {
        "w1" => Needs::OneWire,
        "gpio-sim" => Needs::Nothing,
        worker if worker.starts_with("gpio") => Needs::Gpio,
        worker if worker.starts_with("/dev/") => Needs::Serial(worker),
        _ => Needs::Nothing,
    }
}

/// A verdict for each worker that needs a device.
pub(super) fn look(root: &Path, workers: &BTreeMap<String, Vec<String>>, user: &User) -> Vec<Verdict> {
    let one = |(worker, sensors): (&String, &Vec<String>)| {
        let for_whom = match sensors.is_empty() {
            true => String::new(),
            false => format!(" (for {})", sensors.join(", ")),
        };
        match needs(worker) {
            Needs::I2c(number) => {
                let device = format!("/dev/i2c-{number}");
                Some(node(root, worker, &device, &for_whom, user, || enable_i2c(root, number)))
            }
            Needs::Spi(select) => {
                let device = format!("/dev/spidev{select}");
                Some(node(root, worker, &device, &for_whom, user, || enable(root, "do_spi", "spi=on")))
            }
            Needs::Serial(device) => {
                Some(node(root, worker, device, &for_whom, user, || enable_serial(root, device)))
            }
            Needs::Gpio if !is_a_pi(root) => Some(Verdict::trouble(
                worker,
                format!("this is no Raspberry Pi: the bridge has no pins here{for_whom}"),
                "bus: gpio-sim, to try it; or a port expander on I2C",
            )),
            Needs::Gpio => {
                let chip = first_with(root, "dev", "gpiochip").unwrap_or_else(|| "gpiochip0".to_owned());
                let remedy = || "a kernel with GPIO_CDEV shows it; not every machine has pins".to_owned();
                Some(node(root, worker, &format!("/dev/{chip}"), &for_whom, user, remedy))
            }
            Needs::OneWire => Some(one_wire(root, worker, &for_whom)),
            Needs::Camera => Some(camera(root, worker, &for_whom, user)),
            Needs::UsbCamera(device) => Some(usb_camera(root, worker, device, &for_whom, user)),
            Needs::Nothing => None,
        }
    };
    workers.iter().filter_map(one).collect()
}

/// A program that somebody has to install.
fn installed(root: &Path, program: &str) -> bool {
    ["usr/bin", "usr/local/bin", "bin"].iter().any(|folder| below(root, folder).join(program).exists())
}

/// The camera on the Pi's own connector, which libcamera finds among the media devices.
fn camera(root: &Path, worker: &str, for_whom: &str, user: &User) -> Verdict {
    if !installed(root, "rpicam-still") {
        let what = format!("rpicam-still is not installed{for_whom}");
        return Verdict::trouble(worker, what, "sudo apt install rpicam-apps-lite");
    }
    let device = match first_with(root, "dev", "media") {
        Some(device) => format!("/dev/{device}"),
        None => "/dev/media0".to_owned(),
    };
    node(root, worker, &device, for_whom, user, || {
        "is its cable right, and camera_auto_detect=1 in config.txt? rpicam-still --list-cameras".to_owned()
    })
}

fn usb_camera(root: &Path, worker: &str, device: &str, for_whom: &str, user: &User) -> Verdict {
    if !installed(root, "ffmpeg") {
        return Verdict::trouble(
            worker,
            format!("ffmpeg is not installed{for_whom}"),
            "sudo apt install ffmpeg",
        );
    }
    node(root, worker, device, for_whom, user, || {
        "is it plugged in? v4l2-ctl --list-devices shows what is".to_owned()
    })
}

/// A device node: there, and open to the user?
fn node(
    root: &Path,
    worker: &str,
    device: &str,
    for_whom: &str,
    user: &User,
    remedy_if_absent: impl Fn() -> String,
) -> Verdict {
    let Ok(file) = fs::metadata(below(root, device)) else {
        return Verdict::trouble(worker, format!("there is no {device}{for_whom}"), remedy_if_absent());
    };
    let Err(denied) = user.may_use(&file) else {
        return Verdict::well(worker, format!("{device} is there and open to {}{for_whom}", user.name));
    };
    let what = format!("{device} is not open to {}{for_whom}", user.name);
    let remedy = match denied.group {
        Some(group) => {
            format!("sudo usermod -aG {group} {}, then restart the service (or log in again)", user.name)
        }
        None => format!(
            "no group may use it: a udev rule is missing (Raspberry Pi OS has one). ls -l {device} shows its rights"
        ),
    };
    Verdict::trouble(worker, what, remedy)
}

/// What the machine calls itself (`Raspberry Pi 4 Model B Rev 1.4`); empty where nobody says.
pub(super) fn model(root: &Path) -> String {
    let model = fs::read(below(root, "proc/device-tree/model")).unwrap_or_default();
    String::from_utf8_lossy(&model).trim_end_matches('\0').to_owned()
}

fn is_a_pi(root: &Path) -> bool {
    model(root).contains("Raspberry Pi")
}

/// Names in a folder that begin so, in order.
fn all_with(root: &Path, folder: &str, prefix: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(below(root, folder)) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    names
}

fn first_with(root: &Path, folder: &str, prefix: &str) -> Option<String> {
    all_with(root, folder, prefix).into_iter().next()
}

fn enable(root: &Path, raspi_config: &str, parameter: &str) -> String {
    match is_a_pi(root) {
        true => format!(
            "sudo raspi-config nonint {raspi_config} 0 (or dtparam={parameter} in config.txt and a reboot)"
        ),
        false => {
            let simulated = if parameter == "spi=on" { "sim-0.0" } else { "sim-1" };
            format!("load the kernel's driver for it, or use a simulated bus (bus: {simulated})")
        }
    }
}

fn enable_i2c(root: &Path, number: &str) -> String {
    // The kernel has the bus, but nobody has asked for its device.
    if below(root, &format!("sys/bus/i2c/devices/i2c-{number}")).exists() {
        return "sudo modprobe i2c-dev, and i2c-dev as a line in /etc/modules".to_owned();
    }
    let others = all_with(root, "dev", "i2c-");
    if !others.is_empty() {
        return format!("there is {}: change `bus`, or load the driver of this one", others.join(", "));
    }
    if is_a_pi(root) && number != "1" {
        return "the pins 3 and 5 are i2c-1: change `bus`, or add the overlay of this one".to_owned();
    }
    enable(root, "do_i2c", "i2c_arm=on")
}

fn enable_serial(root: &Path, device: &str) -> String {
    match is_a_pi(root) && !device.contains("USB") && !device.contains("ACM") {
        true => "sudo raspi-config nonint do_serial_hw 0 and do_serial_cons 1, then a reboot".to_owned(),
        false => "is it plugged in? ls /dev/serial/by-id shows what is".to_owned(),
    }
}

/// The kernel's 1-Wire: a master for each pin, and below it what answers.
fn one_wire(root: &Path, worker: &str, for_whom: &str) -> Verdict {
    let found = all_with(root, "sys/bus/w1/devices", "");
    if !found.iter().any(|name| name.starts_with("w1_bus_master")) {
        let remedy = match is_a_pi(root) {
            true => {
                "dtoverlay=w1-gpio in /boot/firmware/config.txt (sudo raspi-config nonint do_onewire 0) and a reboot"
            }
            false => "load the kernel's driver for the 1-Wire adapter",
        };
        return Verdict::trouble(worker, format!("the kernel drives no 1-Wire bus{for_whom}"), remedy);
    }
    let parts = found.iter().filter(|name| !name.starts_with("w1_bus_master")).count();
    if parts == 0 {
        let remedy =
            "check the wiring: data on GPIO 4 unless the overlay says otherwise, 4.7 kΩ from data to 3.3 V";
        return Verdict::trouble(worker, format!("nothing answers on the 1-Wire bus{for_whom}"), remedy);
    }
    let s = if parts == 1 { "" } else { "s" };
    Verdict::well(worker, format!("{parts} part{s} on the 1-Wire bus{for_whom}"))
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::doctor::State;

    /// A root folder with these files.
    pub(in crate::doctor) fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    const PI: (&str, &str) = ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0");
    const PASSWD: (&str, &str) = ("etc/passwd", "sensor-bridge:x:4294000:4294000::/:/\n");

    fn verdict(root: &Path, worker: &str, user: &User) -> Verdict {
        let workers = BTreeMap::from([(worker.to_owned(), vec!["air".to_owned()])]);
        let mut verdicts = look(root, &workers, user);
        assert_eq!(verdicts.len(), 1, "{verdicts:?}");
        verdicts.remove(0)
    }

    #[test]
    fn what_is_absent_comes_with_the_remedy_for_this_machine() {
        for (worker, files, what, remedy) in [
            ("i2c-1", vec![PI], "no /dev/i2c-1 (for air)", "raspi-config nonint do_i2c 0"),
            ("i2c-0", vec![PI], "no /dev/i2c-0", "the pins 3 and 5 are i2c-1"),
            (
                "i2c-1",
                vec![PI, ("sys/bus/i2c/devices/i2c-1/name", "bcm")],
                "no /dev/i2c-1",
                "modprobe i2c-dev",
            ),
            ("i2c-1", vec![PI, ("dev/i2c-20", "")], "no /dev/i2c-1", "there is i2c-20"),
            ("i2c-1", vec![], "no /dev/i2c-1", "bus: sim-1"),
            ("spi-0.0", vec![PI], "no /dev/spidev0.0", "do_spi"),
            ("spi-0.0", vec![], "no /dev/spidev0.0", "bus: sim-0.0"),
            ("/dev/serial0", vec![PI], "no /dev/serial0", "do_serial_hw"),
            ("/dev/ttyUSB0", vec![PI], "no /dev/ttyUSB0", "plugged in"),
            ("gpio", vec![PI], "no /dev/gpiochip0", "GPIO_CDEV"),
            ("gpio", vec![("dev/gpiochip0", "")], "no Raspberry Pi", "gpio-sim"),
            ("camera 0", vec![PI], "rpicam-still is not installed (for air)", "apt install rpicam-apps-lite"),
            ("camera 0", vec![PI, ("usr/bin/rpicam-still", "")], "no /dev/media0", "camera_auto_detect"),
            ("camera /dev/video2", vec![PI], "ffmpeg is not installed", "apt install ffmpeg"),
            ("camera /dev/video2", vec![("usr/bin/ffmpeg", "")], "no /dev/video2", "plugged in"),
            ("w1", vec![PI], "drives no 1-Wire bus", "dtoverlay=w1-gpio"),
            ("w1", vec![PI, ("sys/bus/w1/devices/w1_bus_master1/x", "")], "nothing answers", "4.7 kΩ"),
        ] {
            let root = tree(&files);
            let verdict = verdict(root.path(), worker, &User::root());
            let State::Trouble { remedy: said } = &verdict.state else { panic!("{verdict:?}") };
            assert!(verdict.what.contains(what) && said.contains(remedy), "{worker}: {verdict:?}");
        }
    }

    #[test]
    fn what_is_there_is_well() {
        let root = tree(&[
            PI,
            ("usr/bin/rpicam-still", ""),
            ("dev/media0", ""),
            ("dev/i2c-1", ""),
            ("dev/spidev0.0", ""),
            ("dev/gpiochip4", ""),
            ("sys/bus/w1/devices/w1_bus_master1/x", ""),
            ("sys/bus/w1/devices/28-0316a2795bff/x", ""),
        ]);
        for worker in ["i2c-1", "spi-0.0", "gpio", "w1", "camera 0"] {
            let verdict = verdict(root.path(), worker, &User::root());
            assert_eq!(verdict.state, State::Well, "{verdict:?}");
        }
        let needless = ["sim-1", "gpio-sim", "host", "camera fswebcam -", "folder /srv/ftp"]
            .map(|name| (name.to_owned(), vec![]));
        assert_eq!(look(root.path(), &BTreeMap::from(needless), &User::root()), []);
        // Without a configuration, whatever the machine has.
        let present = present(root.path());
        assert_eq!(present.keys().collect::<Vec<_>>(), ["gpio", "i2c-1", "spi-0.0", "w1"]);
        let verdicts = look(root.path(), &present, &User::root());
        assert!(verdicts.iter().all(|verdict| !verdict.what.contains('(')), "{verdicts:?}");
    }

    /// What the firmware of a Pi says is read from /sys, which is open to all.
    #[test]
    fn the_host_needs_no_device() {
        let root = tree(&[PI, PASSWD, ("dev/vcio", "")]);
        fs::set_permissions(root.path().join("dev/vcio"), fs::Permissions::from_mode(0o600)).unwrap();
        let host = BTreeMap::from([("host".to_owned(), vec!["pi".to_owned()])]);
        assert_eq!(look(root.path(), &host, &User::of_service(root.path())), []);
    }

    #[test]
    fn outputs_need_their_buses_and_pins_as_sensors_do() {
        let yaml = "device: {id: pi}\nsensors:\n  - {id: air, driver: bme280, bus: i2c-1}\noutputs:\n  \
                    - {id: valve, driver: pca9685, bus: i2c-1, channel: 3}\n  \
                    - {id: fan, driver: digital-output, pin: 40}\n";
        let config = crate::config::parse(yaml, std::iter::empty()).unwrap();
        let verdicts = look(tree(&[PI]).path(), &workers(&config), &User::root());
        let said: Vec<&str> = verdicts.iter().map(|verdict| verdict.what.as_str()).collect();
        assert_eq!(said, ["there is no /dev/gpiochip0 (for fan)", "there is no /dev/i2c-1 (for air, valve)"]);
        assert_eq!(super::super::pins::wanted(&config), [(40, "fan".to_owned())]);
    }

    #[test]
    fn a_closed_device_names_the_group_to_join_or_the_missing_rule() {
        use std::os::unix::fs::MetadataExt;
        let root = tree(&[PI, PASSWD, ("dev/i2c-1", "")]);
        let device = root.path().join("dev/i2c-1");
        let gid = fs::metadata(&device).unwrap().gid();
        fs::write(root.path().join("etc/group"), format!("i2c:x:{gid}:\n")).unwrap();
        let user = User::of_service(root.path());
        for (mode, remedy) in [(0o660, "usermod -aG i2c sensor-bridge"), (0o600, "a udev rule is missing")] {
            // Files of root's group are nobody's to join.
            let remedy = if gid == 0 { "a udev rule is missing" } else { remedy };
            fs::set_permissions(&device, fs::Permissions::from_mode(mode)).unwrap();
            let verdict = verdict(root.path(), "i2c-1", &user);
            let State::Trouble { remedy: said } = &verdict.state else { panic!("{verdict:?}") };
            assert!(said.contains(remedy), "{mode:o}: {verdict:?}");
        }
    }
}
