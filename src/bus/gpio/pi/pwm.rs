//! Pulses by the Pi's own hardware, through `rppal` and the kernel's `/sys/class/pwm`.

use std::io;

use rppal::pwm::{Channel, Error, Polarity, Pwm};
use rppal::system::{DeviceInfo, Model};

use super::super::super::BusError;
use super::super::drive::Drive;

/// A pin with pulses.
pub(in super::super) struct PiPulses {
    pwm: Pwm,
    pin: u8,
}

impl Drive for PiPulses {
    fn set(&mut self, high: f64) -> Result<(), BusError> {
        self.pwm.set_duty_cycle(high).map_err(|error| pwm_error(self.pin, &error))
    }
}

pub(in super::super) fn pulses(pin: u8, frequency: f64, high: f64) -> Result<PiPulses, BusError> {
    let failed = |error| pwm_error(pin, &error);
    let model = DeviceInfo::new().map_err(|_| failed(Error::UnknownModel))?.model();
    let channel = channel(pin, model).ok_or_else(|| {
        BusError(format!("pin {pin} has no hardware PWM: the pins that have are 12, 13, 18 and 19"))
    })?;
    let mut pwm = Pwm::with_frequency(channel, frequency, high, Polarity::Normal, true).map_err(failed)?;
    pwm.set_reset_on_drop(false);
    Ok(PiPulses { pwm, pin })
}

/// The channel of a pin: two that share four pins on the BCM283x, four on the Pi 5's RP1.
fn channel(pin: u8, model: Model) -> Option<Channel> {
    let has_rp1 = matches!(
        model,
        Model::RaspberryPi5
            | Model::RaspberryPi500
            | Model::RaspberryPiComputeModule5
            | Model::RaspberryPiComputeModule5Lite
    );
    match (pin, has_rp1) {
        (12, _) | (18, false) => Some(Channel::Pwm0),
        (13, _) | (19, false) => Some(Channel::Pwm1),
        (18, true) => Some(Channel::Pwm2),
        (19, true) => Some(Channel::Pwm3),
        _ => None,
    }
}

fn pwm_error(pin: u8, error: &Error) -> BusError {
    BusError(match error {
        Error::UnknownModel => {
            "there is no hardware PWM here: this is no Raspberry Pi. To try without one, write bus: gpio-sim"
                .to_owned()
        }
        Error::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => format!(
            "/sys/class/pwm may not be written by this user, for pin {pin}: sudo usermod -aG gpio \"$USER\", then \
             log in again"
        ),
        Error::Io(error) if error.kind() == io::ErrorKind::NotFound => format!(
            "the PWM of pin {pin} is not switched on: add dtoverlay=pwm,pin={pin},func={} to \
             /boot/firmware/config.txt and reboot",
            // Function 4 (Alt0) on pins 12 and 13, 2 (Alt5) on 18 and 19 (firmware/overlays/README).
            if pin < 18 { 4 } else { 2 }
        ),
        Error::Io(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => format!(
            "the PWM of pin {pin} cannot be set: systemd keeps /sys from this service. Run `sudo systemctl edit \
             sensor-bridge` and write, under [Service], ProtectKernelTunables=no"
        ),
        Error::InvalidChannel => format!("pin {pin} has no hardware PWM on this Pi"),
        Error::Io(error) => format!("the PWM of pin {pin} cannot be used: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_of_the_pins() {
        for (pin, older, newer) in [
            (12, Some(Channel::Pwm0), Some(Channel::Pwm0)),
            (13, Some(Channel::Pwm1), Some(Channel::Pwm1)),
            (18, Some(Channel::Pwm0), Some(Channel::Pwm2)),
            (19, Some(Channel::Pwm1), Some(Channel::Pwm3)),
            (17, None, None),
        ] {
            assert_eq!(channel(pin, Model::RaspberryPi4B), older);
            assert_eq!(channel(pin, Model::RaspberryPi5), newer);
        }
    }

    #[test]
    fn what_is_wrong_says_what_to_do() {
        let os = |kind| Error::Io(io::Error::from(kind));
        for (error, words) in [
            (Error::UnknownModel, "gpio-sim"),
            (os(io::ErrorKind::NotFound), "dtoverlay=pwm,pin=18,func=2"),
            (os(io::ErrorKind::PermissionDenied), "usermod -aG gpio"),
        ] {
            assert!(pwm_error(18, &error).to_string().contains(words));
        }
    }
}
