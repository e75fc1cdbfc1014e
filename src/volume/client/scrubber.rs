//! When a scrub begins, what it went over, and whom its result is told: the screen and the manager of this server.

use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::manager::Manager;
use super::scrub::{self, Found};
use super::session::Session;
use super::set::Set;
use super::shd::path_of;
use crate::volume::definition::Volume;
use crate::volume::gfid::Gfid;
use crate::volume::handshake::ScrubReport;
use crate::volume::replicate::Kids;
use crate::volume::rpc::{Fop, Reply};
use crate::volume::{Happening, options};
use crate::world::What;

/// One volume's scrub on one server.
pub struct Scrubber {
    machine: String,
    /// What the last one found.
    last: ScrubReport,
    /// What is corrupt: the set, the brick's place in it, the file.
    bad: Vec<(usize, usize, Gfid)>,
}

impl Scrubber {
    /// Nothing was scrubbed yet.
    pub fn new(machine: &str) -> Self {
        Self { machine: machine.into(), last: ScrubReport::default(), bad: vec![] }
    }

    /// How long until the next scrub is due; `None`: none is wanted. A volume is first scrubbed a whole period after its
    /// scrub was switched on, or the daemon began.
    pub fn due(&self, volume: &Volume, begun: Instant) -> Option<Duration> {
        if volume.option("features.bitrot") != Some("on") || volume.option("features.scrub") == Some("pause") {
            return None;
        }
        let period = period(options::value(volume, "features.scrub-freq"));
        let since = if self.last.ended == 0 { begun.elapsed() } else { Duration::from_secs(now() - self.last.ended) };
        Some(period.saturating_sub(since))
    }

    /// Goes over this server's bricks, and tells what it found.
    pub fn scrub(&mut self, session: &Session) {
        let (graph, begun) = (session.files.graph(), Instant::now());
        self.bad.clear();
        self.last = ScrubReport { volume: graph.volume.name.clone(), running: true, ..self.last.clone() };
        self.tell_manager();
        let (mut files, mut skipped) = (0, 0);
        for (place, own) in self.own_bricks(session) {
            let set = &graph.sets[place];
            let (mut here, mut left, mut bad) = (0, 0, vec![]);
            for gfid in everything(set, own) {
                match scrub::file(set, gfid, own) {
                    Found::Nothing => {}
                    Found::Skipped => left += 1,
                    Found::Sound => here += 1,
                    Found::Corrupt => {
                        here += 1;
                        bad.push(gfid);
                    }
                }
            }
            self.bad.extend(bad.iter().map(|gfid| (place, own, *gfid)));
            self.show(session, (place, own), (here, left));
            (files, skipped) = (files + here, skipped + left);
        }
        let seconds = begun.elapsed().as_secs();
        self.last = ScrubReport { running: false, files, skipped, ended: now(), seconds, ..self.last.clone() };
        self.last.bad = self.listed(session);
        self.tell_manager();
    }

    /// Whether something is corrupt, as far as is known.
    pub fn has_bad(&self) -> bool {
        !self.bad.is_empty()
    }

    /// Something may have been healed, by whichever server: what is sound again is reported no longer.
    pub fn healed(&mut self, session: &Session) {
        let before = self.bad.len();
        let graph = session.files.graph();
        self.bad.retain(|(place, own, gfid)| graph.sets.get(*place).is_some_and(|s| scrub::is_accused(s, *gfid, *own)));
        if self.bad.len() != before {
            self.last.bad = self.listed(session);
            self.tell_manager();
            for brick in self.own_bricks(session) {
                self.show(session, brick, (self.last.files, self.last.skipped));
            }
        }
    }

    /// This server's bricks: the set, and the place in it.
    fn own_bricks(&self, session: &Session) -> Vec<(usize, usize)> {
        let graph = session.files.graph();
        let replica = graph.volume.replica.max(1);
        let own = graph.volume.bricks.iter().enumerate().filter(|(_, b)| b.host == self.machine);
        own.map(|(i, _)| (i / replica, i % replica)).filter(|(place, _)| *place < graph.sets.len()).collect()
    }

    fn brick<'a>(&self, volume: &'a Volume, (place, own): (usize, usize)) -> &'a crate::volume::definition::Brick {
        &volume.bricks[place * volume.replica.max(1) + own]
    }

    /// What is corrupt, as the manager keeps it.
    fn listed(&self, session: &Session) -> Vec<(String, String, String)> {
        let graph = session.files.graph();
        let one = |(place, own, gfid): &(usize, usize, Gfid)| {
            let path = path_of(&graph.sets[*place], *gfid).unwrap_or_default();
            (gfid.to_string(), self.brick(&graph.volume, (*place, *own)).path.clone(), path)
        };
        self.bad.iter().map(one).collect()
    }

    /// Tells the screen what was found on one brick.
    fn show(&self, session: &Session, at: (usize, usize), (files, skipped): (u64, u64)) {
        let graph = session.files.graph();
        let here = self.bad.iter().filter(|(place, own, _)| (*place, *own) == at);
        let path = |gfid: Gfid| path_of(&graph.sets[at.0], gfid).unwrap_or_else(|| format!("<gfid:{gfid}>"));
        session.report(What::Volume(Happening::Scrubbed {
            volume: graph.volume.name.clone(),
            brick: self.brick(&graph.volume, at).name(),
            files,
            skipped,
            bad: here.map(|(.., gfid)| path(*gfid)).collect(),
        }));
    }

    /// Without a manager it is told at the next scrub.
    fn tell_manager(&self) {
        let told: io::Result<()> = Manager::dial(&self.machine, &self.machine).and_then(|mut m| m.ask(&self.last));
        if let Err(error) = told {
            eprintln!("scrub: the manager was not told: {error}");
        }
    }
}

/// Every inode that a brick has.
fn everything(set: &Set, own: usize) -> Vec<Gfid> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let answer = set.wire.ask(Kids::one(own), &[Fop::Crawl { after }]).swap_remove(0).1;
        let Ok(Reply::Gfids(gfids)) = answer.last() else { return all };
        let Some(last) = gfids.last() else { return all };
        after = Some(*last);
        all.extend(gfids.iter().copied());
    }
}

/// How long from one scrub to the next.
fn period(word: &str) -> Duration {
    const HOUR: u64 = 3600;
    let hours = match word {
        "hourly" => 1,
        "daily" => 24,
        "weekly" => 24 * 7,
        "monthly" => 24 * 30,
        _ => 24 * 14,
    };
    Duration::from_secs(hours * HOUR)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
