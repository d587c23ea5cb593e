//! Whether all is well: pure, a judgement on a snapshot. Measures nothing itself.

use serde::{Deserialize, Serialize};

use super::snapshot::{Condition, Snapshot, Word};

/// A broker may be away this long before it makes the bridge unhealthy: every network does so now and then.
pub const BROKER_GRACE: f64 = 30.0;

/// What has not been heard of since the start is given this long, seconds.
const START_GRACE: f64 = 60.0;

/// The part that hears commands.
const COMMANDS: &str = "commands";

/// Less of the disk left than this part is something to look at, and than that is a failure.
const DISK_LOW: f64 = 0.05;
const DISK_FULL: f64 = 0.01;

/// The judgement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether everything that is configured works.
    pub healthy: bool,
    /// What does not work, most important first; empty when healthy.
    pub reasons: Vec<String>,
    /// What works and should be looked at.
    pub warnings: Vec<String>,
}

impl Health {
    fn fail(&mut self, reason: String) {
        self.reasons.push(reason);
    }

    fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// One part's state; what has failed for less than `grace` seconds is only a warning.
    fn part(&mut self, name: &str, condition: &Condition, grace: f64) {
        let Condition { state, reason, state_seconds } = condition;
        let why = reason.as_deref().unwrap_or("no reason given");
        let lasts = *state_seconds >= grace;
        match state {
            Word::Failed if lasts => self.fail(format!("{name}: {why}")),
            Word::Failed | Word::Degraded => self.warn(format!("{name}: {why}")),
            Word::Starting if *state_seconds >= START_GRACE => {
                self.fail(format!("{name}: not heard of since the start"));
            }
            Word::Starting | Word::Ok | Word::Stopped => {}
        }
    }
}

/// Healthy means: the log takes readings, every sensor answers, every mirror stores, the broker has not been away
/// for longer than half a minute, and there is room on the disk. What is degraded is a warning. The health in the
/// snapshot itself is not looked at.
pub fn judge(snapshot: &Snapshot) -> Health {
    let mut health = Health::default();
    health.part("log", &snapshot.log.condition, 0.0);
    disk(snapshot, &mut health);
    if let Some(broker) = &snapshot.broker {
        health.part(&format!("broker {}", broker.url), &broker.condition, BROKER_GRACE);
    }
    for sensor in &snapshot.sensors {
        health.part(&format!("sensor {}", sensor.sensor), &sensor.condition, 0.0);
    }
    for mirror in &snapshot.mirrors {
        health.part(&format!("mirror {}", mirror.mirror), &mirror.condition, BROKER_GRACE);
    }
    for output in &snapshot.outputs {
        health.part(&format!("output {}", output.output), &output.condition, 0.0);
    }
    for part in &snapshot.parts {
        // Commands come over a connection of their own to the same broker.
        let grace = if part.part == COMMANDS { BROKER_GRACE } else { 0.0 };
        health.part(&part.part, &part.condition, grace);
    }
    if snapshot.clock.quality != "synced" {
        health.warn("the clock is not synchronised: readings are marked, and corrected later".to_owned());
    }
    health.healthy = health.reasons.is_empty();
    health
}

fn disk(snapshot: &Snapshot, health: &mut Health) {
    let machine = &snapshot.machine;
    let (Some(free), Some(total)) = (machine.disk_free_bytes, machine.disk_total_bytes) else { return };
    if total == 0 {
        return;
    }
    let part = free as f64 / total as f64;
    let message = format!("the disk of {} has {:.1} % left", snapshot.database, part * 100.0);
    if part < DISK_FULL {
        health.fail(format!("{message}; free some space or set log.retention.max_size"));
    } else if part < DISK_LOW {
        health.warn(message);
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::Part;
    use super::super::testing::snapshot;
    use super::*;

    fn condition(state: Word, seconds: f64) -> Condition {
        Condition { state, reason: Some("why".into()), state_seconds: seconds }
    }

    fn part(name: &str, seconds: f64) -> Part {
        Part {
            part: name.to_owned(),
            condition: condition(Word::Failed, seconds),
            figures: Default::default(),
        }
    }

    #[test]
    fn what_makes_it_unhealthy() {
        type Change = fn(&mut Snapshot);
        // change → (reasons, warnings)
        let table: [(Change, &[&str], &[&str]); 15] = [
            (|_| {}, &[], &[]),
            (|s| s.log.condition = condition(Word::Failed, 0.0), &["log: why"], &[]),
            (|s| s.log.condition = condition(Word::Degraded, 9e9), &[], &["log: why"]),
            (|s| s.sensors[0].condition = condition(Word::Failed, 0.1), &["sensor air: why"], &[]),
            (|s| s.sensors[0].condition = condition(Word::Starting, 59.0), &[], &[]),
            (
                |s| s.sensors[0].condition = condition(Word::Starting, 60.0),
                &["sensor air: not heard of since the start"],
                &[],
            ),
            (
                |s| s.broker.as_mut().unwrap().condition = condition(Word::Failed, 29.0),
                &[],
                &["broker mqtt://broker.example:1883: why"],
            ),
            (
                |s| s.broker.as_mut().unwrap().condition = condition(Word::Failed, 30.0),
                &["broker mqtt://broker.example:1883: why"],
                &[],
            ),
            (|s| s.broker = None, &[], &[]),
            (|s| s.mirrors[0].condition = condition(Word::Failed, 31.0), &["mirror back: why"], &[]),
            (|s| s.parts.push(part("commands", 29.0)), &[], &["commands: why"]),
            (|s| s.parts.push(part("commands", 31.0)), &["commands: why"], &[]),
            (|s| s.parts.push(part("web", 0.1)), &["web: why"], &[]),
            (
                |s| s.machine.disk_free_bytes = Some(999),
                &["the disk of /var/lib/sensor-bridge/bridge.db has 1.0 % left; free some space or set \
                   log.retention.max_size"],
                &[],
            ),
            (
                |s| s.clock.quality = "unsynced".into(),
                &[],
                &["the clock is not synchronised: readings are marked, and corrected later"],
            ),
        ];
        for (number, (change, reasons, warnings)) in table.into_iter().enumerate() {
            let mut snapshot = snapshot();
            change(&mut snapshot);
            let health = judge(&snapshot);
            assert_eq!(health.reasons, reasons, "{number}");
            assert_eq!(health.warnings, warnings, "{number}");
            assert_eq!(health.healthy, reasons.is_empty(), "{number}");
        }
    }
}
