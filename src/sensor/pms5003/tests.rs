//! The driver over a pseudo-terminal whose other end is the sensor.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{JoinHandle, spawn};

use serde_json::json;

use super::frame::testing::frame;
use super::*;
use crate::bus::serial::testing::pair;

const AIR: Air = Air { mass: [5, 9, 11], counts: [1260, 357, 67, 8, 2, 1] };

fn driver(port: &str, mode: &str, patience: Duration) -> Pms5003 {
    checked(json!({"port": port, "mode": mode}).as_object().unwrap(), patience).unwrap()
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

fn values(measured: &[Measured]) -> Vec<f64> {
    measured.iter().map(|one| one.value.as_f64().unwrap()).collect()
}

/// Sends these bytes again and again until told to stop.
fn talk(mut device: File, bytes: Vec<u8>) -> (SyncSender<()>, JoinHandle<()>) {
    let (stop, stopped): (_, Receiver<()>) = sync_channel(0);
    let thread = spawn(move || {
        while stopped
            .recv_timeout(Duration::from_millis(2))
            .is_err_and(|error| error == RecvTimeoutError::Timeout)
        {
            device.write_all(&bytes).unwrap();
        }
    });
    (stop, thread)
}

#[test]
fn frames_are_read_as_they_come_also_behind_garbage() {
    for before in [&[][..], &[0x42, 0x4D, 0x00], &[0x13; 40]] {
        let (device, path) = pair();
        let (stop, thread) = talk(device, before.iter().copied().chain(frame(AIR)).collect());
        let driver = driver(&path, "active", LONG);
        let mut opened = driver.open(&Buses::new()).unwrap();
        for _ in 0..3 {
            let expected = [5.0, 9.0, 11.0, 12600.0, 3570.0, 670.0, 80.0, 20.0, 10.0];
            assert_eq!(values(&opened.read().unwrap()), expected);
        }
        drop(stop);
        thread.join().unwrap();
        assert_eq!(driver.quantities().len(), 9);
    }
}

/// The manual's "maximum range" is what the sensor reaches at least; in the smoke of a fire it says more.
#[test]
fn smoke_is_no_fault_of_the_sensor() {
    let driver = driver("/dev/none", "active", SHORT);
    for info in driver.quantities() {
        let most = info.range.map_or(f64::INFINITY, |(_, most)| most);
        assert!(most >= f64::from(u16::MAX), "{} {most}", info.name);
    }
}

#[test]
fn in_passive_mode_it_is_asked() {
    let (mut device, path) = pair();
    let sensor = spawn(move || {
        let mut heard = [0; 7];
        device.read_exact(&mut heard).unwrap();
        assert_eq!(heard, command(CHANGE_MODE, 0));
        for number in [1, 2] {
            device.read_exact(&mut heard).unwrap();
            assert_eq!(heard, command(READ, 0));
            // What it says to the change of mode comes late, and is no reading.
            device.write_all(&[0x42, 0x4D, 0x00, 0x04, 0xE1, 0x00, 0x01, 0x74]).unwrap();
            device.write_all(&frame(Air { mass: [number; 3], ..AIR })).unwrap();
        }
        device
    });
    let mut opened = driver(&path, "passive", LONG).open(&Buses::new()).unwrap();
    assert_eq!(values(&opened.read().unwrap())[..3], [1.0; 3]);
    assert_eq!(values(&opened.read().unwrap())[..3], [2.0; 3]);
    sensor.join().unwrap();
}

#[test]
fn silence_garbage_and_wrong_sums_end_and_are_told_apart() {
    let (_device, path) = pair();
    let error = |path: &str, mode, patience| {
        driver(path, mode, patience).open(&Buses::new()).unwrap().read().unwrap_err().to_string()
    };
    assert!(error(&path, "active", SHORT).contains("nothing came in 0.1 s"));
    assert!(error(&path, "passive", SHORT).contains("nothing came"));

    let mut wrong = frame(AIR);
    wrong[12] ^= 0x40;
    for (bytes, words) in [(vec![0x55; 64], "no frame among them"), (wrong, "with a wrong sum")] {
        let (device, path) = pair();
        let (stop, thread) = talk(device, bytes);
        // Time enough for the other end to be heard, however busy the machine is.
        let error = error(&path, "active", Duration::from_secs(2));
        assert!(error.contains(words) && error.contains(&path), "{error}");
        drop(stop);
        thread.join().unwrap();
    }
}

#[test]
fn a_port_that_is_not_there_or_goes_away_is_an_error() {
    let error = driver("/dev/none", "active", SHORT).open(&Buses::new()).err().unwrap();
    assert!(matches!(&error, SensorError::Bus(text) if text.contains("no /dev/none")), "{error}");
    let (device, path) = pair();
    let mut opened = driver(&path, "active", LONG).open(&Buses::new()).unwrap();
    drop(device);
    assert!(matches!(opened.read(), Err(SensorError::Bus(_))));
}

#[test]
fn bad_options_are_all_named() {
    let keys = |options: Json| -> Vec<String> {
        let refused = configure(options.as_object().unwrap()).expect_err("should be refused");
        refused.into_iter().map(|problem| problem.key).collect()
    };
    assert_eq!(keys(json!({"port": "serial0"})), ["port"]);
    assert_eq!(keys(json!({"mode": "loud"})), ["mode"]);
}
