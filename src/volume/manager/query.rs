//! What the servers know of a volume, collected: which processes run, how far a task is, what waits to be healed.

use std::sync::Arc;

use futures::future::join_all;

use super::daemons::key;
use super::disk;
use super::protocol::{About, Answer, BrickReport, Healer, Query, Report};
use super::server::{Manager, PATIENCE};
use super::transaction::TIMED_OUT;
use super::wire::CallError;
use crate::volume::definition::{Brick, Status, Volume};
use crate::volume::handshake::{BrickAsk, HealOrder};
use crate::volume::options;

impl Manager {
    /// Asks this server and all connected ones; `localhost` comes first.
    ///
    /// # Errors
    /// If there is no such volume, it is not in the state that the question needs, or a server does not answer.
    pub async fn collect(self: &Arc<Self>, query: &Query) -> Result<Answer, String> {
        let volume = self.state().volume(&query.volume)?.clone();
        self.may_ask(&volume, &query.about)?;
        let mut reports =
            vec![Report { host: "localhost".into(), ..self.report_on(&query.volume, &query.about).await? }];
        let links = self.connected();
        let asked = links.iter().map(|(peer, link)| async move { (peer, link.call(query, PATIENCE).await) });
        for (peer, outcome) in join_all(asked).await {
            match outcome {
                Ok(report) => reports.push(Report { host: peer.hostname().into(), ..report }),
                Err(CallError::Disconnected) => {}
                Err(CallError::TimedOut) => return Err(TIMED_OUT.into()),
                Err(CallError::Refused(why)) => {
                    return Err(format!("Staging failed on {}. Error: {why}", peer.hostname()));
                }
            }
        }
        Ok(Answer::Reports(Box::new(self.state().effective(&volume)), reports))
    }

    fn may_ask(&self, volume: &Volume, about: &About) -> Result<(), String> {
        let name = &volume.name;
        match about {
            About::Task => Ok(()),
            About::Scrub | About::Scrubbed if volume.option("features.bitrot") != Some("on") => {
                Err(format!("Bitrot is not enabled on volume {name}"))
            }
            About::Scrub if volume.option("features.scrub") == Some("pause") => {
                Err(format!("Scrub is in paused state for volume {name}: resume it first"))
            }
            About::Statedump if volume.status != Status::Started => {
                Err(format!("Volume {name} is not in the started state"))
            }
            About::Rotate(_) if volume.status != Status::Started => {
                Err(format!("Volume {name} needs to be started before log rotate."))
            }
            About::Rotate(Some(one)) if volume.bricks.iter().all(|b| b.name() != *one) => {
                Err(format!("Incorrect brick {one} for volume {name}"))
            }
            _ if volume.status != Status::Started => Err(format!("Volume {name} is not started")),
            About::Heal(_) | About::HealCount if !volume.is_replicated() => {
                Err(format!("Volume {name} is not of type replicate/disperse"))
            }
            About::Heal(_) if !options::is_on(volume, "cluster.self-heal-daemon") => {
                Err(format!("Self-heal-daemon is disabled. Heal will not be triggered on volume {name}"))
            }
            _ => Ok(()),
        }
    }

    /// What this server knows.
    ///
    /// # Errors
    /// If it does not know the volume.
    pub async fn report_on(self: &Arc<Self>, volume: &str, about: &About) -> Result<Report, String> {
        let (volume, peer, task) = {
            let state = self.state();
            (state.volume(volume)?.clone(), state.uuid, state.tasks.get(volume).cloned())
        };
        let mut bricks = vec![];
        for (index, brick) in volume.bricks.iter().enumerate().filter(|(_, b)| b.peer == peer) {
            bricks.push(self.report_brick(&volume, index, brick, about).await);
        }
        if let About::Heal(_) | About::Scrub = about {
            let (full, scrub) = (*about == About::Heal(true), *about == About::Scrub);
            let ordered = self.order_heal(&HealOrder { volume: volume.name.clone(), full, scrub });
            self.log('I', &format!("{} of {} ordered: {ordered}", if scrub { "scrub" } else { "heal" }, volume.name));
        }
        let scrub = self.state().scrubs.get(&volume.name).cloned();
        let healer = volume.is_replicated().then(|| Healer { pid: self.daemons.healer() });
        Ok(Report { host: self.place.name.clone(), peer, bricks, healer, task, scrub })
    }

    async fn report_brick(&self, volume: &Volume, index: usize, brick: &Brick, about: &About) -> BrickReport {
        let running = self.daemons.brick(&key(volume, brick));
        let value = match about {
            About::HealCount if running.is_none() => Some(Err("Brick is not connected".into())),
            About::HealCount => Some(disk::heal_count(brick).map(serde_json::Value::from).map_err(|e| e.to_string())),
            About::Bricks(ask) => Some(self.ask_brick(volume, brick, ask).await),
            About::Rotate(only) if only.as_ref().is_none_or(|one| *one == brick.name()) && running.is_some() => {
                Some(self.ask_brick(volume, brick, &BrickAsk::Rotate).await)
            }
            About::Statedump => running.as_ref().map(|r| dump(r.process.pid)),
            _ => None,
        };
        let disk = matches!(about, About::Detail).then(|| disk::describe(&brick.path)).flatten();
        let (pid, port) = running.map_or((None, 0), |r| (Some(r.process.pid), r.port));
        BrickReport { index, pid, port, disk, value }
    }
}

/// Asks a process to write down its state.
fn dump(pid: i32) -> Result<serde_json::Value, String> {
    let sent = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGUSR1);
    sent.map(|()| serde_json::Value::Null).map_err(|e| e.desc().to_owned())
}
