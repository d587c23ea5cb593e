//! Going over to another configuration while everything runs: what is different ends, begins or is adjusted, in an
//! order in which nothing is lost; the rest never hears of it. What is different is `config::changes`' to say.

use std::io;
use std::time::Instant;

use anyhow::{Context, Result};
use tracing::warn;

use super::{Bridge, PUBLISH_ON_LEAVING, listen, plans, publish, resume};
use crate::command::Terms;
use crate::config::changes::{Changes, Step};
use crate::config::{Config, Sensor};
use crate::facts::socket;
use crate::mqtt::subscriber::{self, Subscriber};
use crate::output::OutputPlan;
use crate::reading::SensorId;
use crate::sampling::SensorPlan;
use crate::web::Web;

/// Why a configuration could not be gone over to part by part.
pub(super) enum NotApplied {
    /// Nothing was changed.
    Nothing(anyhow::Error),
    /// Something was: only a fresh start makes it whole.
    Halfway(anyhow::Error),
}

impl Bridge {
    /// Goes over to `new`, all but what brings commands and takes their answers: that is [`Bridge::apply_to_links`], for
    /// after whoever commanded it has been answered. A bus, a disk or a broker that hangs delays it by a few seconds each.
    pub(super) fn apply(&mut self, changes: &Changes, new: &Config) -> Result<(), NotApplied> {
        // Registered first: if the disk does not take it, nothing has happened yet.
        let planned = plans(new, &self.log).context("the log does not take the new configuration");
        let (sensors, outputs) = planned.map_err(NotApplied::Nothing)?;
        if changes.log {
            self.log.limit(&new.log);
        }
        self.apply_parts(changes, new, sensors, outputs).map_err(NotApplied::Halfway)
    }

    fn apply_parts(
        &mut self,
        changes: &Changes,
        new: &Config,
        sensors: Vec<SensorPlan>,
        outputs: Vec<OutputPlan>,
    ) -> Result<()> {
        // Whatever lets go of a pin or an address does so before anything else may want it.
        let late = self.outputs.remove(&named(&changes.outputs, Step::ends))?;
        late.iter().for_each(|late| warn!("{late}"));
        self.apply_to_sensors(changes, new, sensors)?;
        self.apply_to_outputs(changes, new, outputs)?;
        self.commander.change(Terms::of(new));
        self.facts.reconfigure(new);
        super::still_alive();
        self.apply_to_mirrors(changes, new)?;
        super::still_alive();
        if changes.socket {
            // The old one first: both may be the same place by another name.
            drop(self.status.take());
            self.status = socket::Server::start(new, super::runtime().as_deref(), &self.facts, &self.board);
        }
        if let Some(step) = changes.web {
            if let Some(web) = self.web.take().filter(|_| step.ends()) {
                web.stop();
            }
            let start =
                |settings| Web::start(settings, &self.log, &self.facts, Some(&self.commander), &self.board);
            self.web = new.web.as_ref().map(start).transpose().context("starting the web page")?;
        }
        self.config = new.clone();
        Ok(())
    }

    fn apply_to_sensors(&mut self, changes: &Changes, new: &Config, plans: Vec<SensorPlan>) -> Result<()> {
        if changes.sensors.is_empty() {
            return Ok(());
        }
        let mut begin = named(&changes.sensors, Step::begins);
        let adjusted = named(&changes.sensors, |step| step == Step::Adjusted);
        let adjusted: Vec<SensorPlan> =
            plans.iter().filter(|plan| adjusted.contains(&plan.sensor.id)).cloned().collect();
        // Those that were left behind with a bus that hangs begin again.
        begin.extend(self.sampling.remove(&named(&changes.sensors, Step::ends)));
        super::still_alive();
        begin.extend(self.sampling.adjust(&adjusted));
        super::still_alive();
        let begins = |sensor: &&Sensor| begin.contains(&sensor.id);
        // A meter goes on from what it said last.
        if new.sensors.iter().filter(begins).any(|sensor| !sensor.driver.resumes().is_empty()) {
            self.log.flush()?;
            resume(new.sensors.iter().filter(begins), &self.log)?;
        }
        self.sampling.add(plans.into_iter().filter(|plan| begin.contains(&plan.sensor.id)).collect())?;
        Ok(())
    }

    fn apply_to_outputs(&mut self, changes: &Changes, new: &Config, plans: Vec<OutputPlan>) -> Result<()> {
        let order: Vec<SensorId> = new.outputs.iter().map(|output| output.id.clone()).collect();
        if !changes.outputs.is_empty() {
            let begin = named(&changes.outputs, Step::begins);
            let adjusted = named(&changes.outputs, |step| step == Step::Adjusted);
            let of = |ids: &[SensorId]| -> Vec<OutputPlan> {
                plans.iter().filter(|plan| ids.contains(&plan.output.id)).cloned().collect()
            };
            let late = self.outputs.adjust(&of(&adjusted))?;
            late.iter().for_each(|late| warn!("{late}"));
            self.outputs.add(of(&begin))?;
        }
        self.outputs.outputs().order(&order);
        Ok(())
    }

    /// Those that end do so together, so that one that hangs does not cost the others their time.
    fn apply_to_mirrors(&mut self, changes: &Changes, new: &Config) -> io::Result<()> {
        let ending = changes.mirrors.iter().filter(|change| change.step.ends());
        let leaving: Vec<(Subscriber, Step)> =
            ending.filter_map(|change| Some((self.mirrors.remove(&change.id)?, change.step))).collect();
        std::thread::scope(|scope| {
            for (mirror, step) in leaving {
                scope.spawn(move || leave(mirror, step));
            }
        });
        let Some(mqtt) = &new.mqtt else { return Ok(()) };
        for change in changes.mirrors.iter().filter(|change| change.step != Step::Removed) {
            let Some(mirror) = new.mirrors.iter().find(|mirror| mirror.id == change.id) else { continue };
            match self.mirrors.get(&change.id) {
                Some(running) => running.want(subscriber::wanted(mirror)),
                None => {
                    let started = subscriber::start(mqtt, mirror, self.log.clone(), &self.board)?;
                    self.mirrors.insert(change.id.clone(), started);
                }
            }
        }
        Ok(())
    }

    /// The last part of [`Bridge::apply`]: what commands come by, and their answers go by. A platform's go the way of
    /// what is published.
    pub(super) fn apply_to_links(&mut self, changes: &Changes) -> Result<()> {
        let ends = |step: Option<Step>| step.is_some_and(Step::ends);
        let begins = |step: Option<Step>| step.is_some_and(Step::begins);
        let publisher = self.publisher.take_if(|_| ends(changes.publisher));
        let commands = self.commands.take_if(|_| ends(changes.commands));
        std::thread::scope(|scope| {
            if let Some(publisher) = publisher {
                scope.spawn(move || publisher.stop(Instant::now() + PUBLISH_ON_LEAVING));
            }
            if let Some((commands, step)) = commands.zip(changes.commands) {
                scope.spawn(move || leave(commands, step));
            }
        });
        let Some(mqtt) = &self.config.mqtt else { return Ok(()) };
        if begins(changes.publisher) {
            let started = publish(mqtt, &self.config, &self.facts, &self.commander, &self.log, &self.board);
            self.publisher = Some(started?);
        }
        match &self.commands {
            Some(commands) => commands.want(super::commanded(&self.config)),
            None if begins(changes.commands) => {
                self.commands = Some(listen(mqtt, &self.config, &self.commander, &self.board)?);
            }
            None => {}
        }
        Ok(())
    }
}

/// For a while, or for good.
fn leave(subscriber: Subscriber, step: Step) {
    match step {
        Step::Removed => subscriber.retire(),
        _ => subscriber.stop(),
    }
}

/// Those to which such a step happens.
fn named(changed: &[(SensorId, Step)], wanted: impl Fn(Step) -> bool) -> Vec<SensorId> {
    changed.iter().filter(|(_, step)| wanted(*step)).map(|(id, _)| id.clone()).collect()
}
