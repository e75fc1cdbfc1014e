//! Transactions: a change of all copies.

use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;

use super::lease::{self, Entered, Part};
use super::{Known, Set};
use crate::volume::client::tale;
use crate::volume::client::wire::{Answer, Call};
use crate::volume::gfid::Gfid;
use crate::volume::replicate::{self, Kids, Verdict};
use crate::volume::rpc::{Fop, Iatt, Lock, Reply};
use crate::volume::xattr::Kind;

/// What comes into being by a change of names.
#[derive(Debug, Clone)]
struct Newborn {
    gfid: Gfid,
    /// `S_IFREG`, `S_IFDIR`, …
    kind: u32,
    /// The lock to take along: on its contents, which will be written next, or on the names in it.
    lock: Option<Lock>,
}

/// What a brick was asked along with a change, and said: not part of the change itself.
#[derive(Debug, Default)]
struct Along {
    /// How the directory looks now, and who says so.
    figures: Option<(usize, Iatt)>,
    /// Who gave the newborn's lock.
    locked: Kids,
}

impl Along {
    /// Takes the answers to the last `count` of `sent` fops out of an answer.
    fn take(&mut self, kid: usize, answer: &mut Answer, sent: usize, count: usize) {
        let own = answer.results.len().min(sent - count);
        for reply in answer.results.split_off(own).into_iter().flatten() {
            match reply {
                Reply::Changed(iatt) => self.figures = Some((kid, iatt)),
                _ => self.locked |= Kids::one(kid),
            }
        }
    }
}

impl Set {
    /// Writes, truncates, allocates.
    ///
    /// # Errors
    /// ENOTCONN without enough copies, EIO in split-brain, else what the bricks say.
    pub fn change_data(&self, gfid: Gfid, part: Part, fop: Fop, payload: &Bytes) -> Result<Iatt, i32> {
        self.change(gfid, part, &[fop], payload)
    }

    /// The same, and what was changed is on the disks of enough copies.
    ///
    /// # Errors
    /// As of [`Set::change_data`].
    pub fn change_safely(&self, gfid: Gfid, part: Part, fop: Fop, payload: &Bytes, data: bool) -> Result<Iatt, i32> {
        self.change(gfid, part, &[fop, Fop::Fsync { gfid, data }], payload)
    }

    fn change(&self, gfid: Gfid, part: Part, fops: &[Fop], payload: &Bytes) -> Result<Iatt, i32> {
        let entered = self.enter_data(gfid, part)?;
        self.change_data_under(entered, fops, payload)
    }

    /// Writes at the end of a file, wherever that is now: of two who append, neither writes over the other. Gives where,
    /// and how the file looks now.
    ///
    /// # Errors
    /// As of [`Set::change_data`].
    pub fn append(&self, gfid: Gfid, data: &Bytes) -> Result<(u64, Iatt), i32> {
        let entered = self.enter_data(gfid, lease::ALL)?;
        let good = entered.good.of(Kind::Data) & entered.kids();
        let copies = self.ask_inode(good - self.shape.arbiters, &Fop::Stat { gfid });
        let Some(offset) = copies.iter().flatten().map(|copy| copy.iatt.size).next() else {
            self.leases.retreat(&*self.wire, &self.shape, entered);
            return Err(libc::ENOTCONN);
        };
        let fop = Fop::Write { gfid, offset, time: Some(self.wire.now()) };
        self.change_data_under(entered, &[fop], data).map(|iatt| (offset, iatt))
    }

    /// The right to change a part of a file of which a good copy is there.
    fn enter_data(&self, gfid: Gfid, part: Part) -> Result<Entered, i32> {
        // A single copy has nobody who could miss something.
        let noting = self.shape.len() > 1;
        let entered = self.leases.enter(&*self.wire, &self.shape, &lease::inode(gfid), part, noting)?;
        // What is looked up from here on is not kept until the change is there.
        self.forgotten.fetch_add(1, Relaxed);
        self.changed(gfid);
        match entered.good.data {
            Ok(_) => Ok(entered),
            Err(none) => {
                self.leases.retreat(&*self.wire, &self.shape, entered);
                Err(none.errno())
            }
        }
    }

    fn change_data_under(&self, entered: Entered, fops: &[Fop], payload: &Bytes) -> Result<Iatt, i32> {
        let (gfid, moment) = (entered.lock.gfid, self.moment());
        let calls = self.calls(&entered, |kid| {
            let note = entered.unnoted.has(kid).then(|| Fop::Xattrop(replicate::before(gfid, Kind::Data)));
            note.into_iter().chain(fops.iter().cloned()).collect()
        });
        self.tell_begin(&entered, entered.unnoted, &fops[0]);
        let (answers, verdict) = self.carry_out(&entered, Kind::Data, calls, payload, &mut |_, _| {});
        self.tell_end(verdict);
        let (ended, outcome) = match verdict {
            Verdict::Done { on } => match self.accuse(&entered, on) {
                Ok(on) => (Ok(on), self.believed(&answers, on).and_then(Reply::iatt).ok_or(libc::EIO)),
                Err(on) => (Err(on), Err(libc::ENOTCONN)),
            },
            Verdict::Doubtful { on, errno } => (Err(on), Err(errno)),
            Verdict::Refused(errno) => (Ok(self.shape.all()), Err(errno)),
        };
        let (Ok(on) | Err(on)) = ended;
        self.unread(gfid, self.shape.all() - on);
        let alone = self.forgotten.fetch_add(1, Relaxed) == moment.1;
        self.changed(gfid);
        if let (Ok(iatt), true) = (&outcome, alone && on == self.shape.all()) {
            self.note_figures((moment.0, moment.1 + 1), gfid, iatt);
        }
        self.leases.leave(&*self.wire, &self.shape, entered, Kind::Data, ended);
        outcome
    }

    /// Whoever missed a write is accused on those that have it, before anybody hears that it is done. Gives those that have it
    /// and said so; `Err`: they are too few.
    fn accuse(&self, entered: &Entered, mut on: Kids) -> Result<Kids, Kids> {
        let gfid = entered.lock.gfid;
        loop {
            let fresh = self.leases.accuse(&entered.lock, self.shape.all() - on);
            let Some(mark) = replicate::after(&self.shape, gfid, Kind::Data, false, fresh, None) else { return Ok(on) };
            let failed = self.failing(entered, on, &[Fop::Xattrop(mark)]);
            on -= failed;
            if !self.shape.suffices(on) || (on & entered.good.of(Kind::Data)).is_empty() {
                return Err(on);
            }
            if failed.is_empty() {
                return Ok(on);
            }
        }
    }

    /// Sends the same to these bricks; gives those on which it failed.
    fn failing(&self, entered: &Entered, kids: Kids, fops: &[Fop]) -> Kids {
        let calls: Vec<Call> = self.calls(entered, |_| fops.to_vec()).into_iter().filter(|c| kids.has(c.kid)).collect();
        let asked: Vec<usize> = calls.iter().map(|c| c.kid).collect();
        let answers = self.wire.exchange(calls, &Bytes::new());
        asked.iter().zip(&answers).filter(|(_, a)| a.outcome().is_err()).map(|(k, _)| *k).collect()
    }

    /// Whoever missed a write is not read any more.
    fn unread(&self, gfid: Gfid, missed: Kids) {
        if missed.is_empty() {
            return;
        }
        if let Some(known) = self.known().get_mut(&gfid)
            && let Ok(kids) = known.data
        {
            known.data = if (kids - missed).is_empty() { Err(replicate::NoCopy::Away) } else { Ok(kids - missed) };
        }
    }

    /// What was written to the file is on the disks of enough copies, and whoever missed some of it is accused on them.
    ///
    /// # Errors
    /// ENOTCONN if it is on too few.
    pub fn sync(&self, gfid: Gfid, data: bool) -> Result<(), i32> {
        let lock = lease::inode(gfid);
        let entered = self.leases.enter(&*self.wire, &self.shape, &lock, lease::ATTRIBUTES, false)?;
        let mut missed = self.leases.missed(&lock);
        let outcome = loop {
            let good = entered.kids() - missed;
            if !self.shape.suffices(good) || (good & entered.good.of(Kind::Data)).is_empty() {
                break Err(libc::ENOTCONN);
            }
            let failed = self.failing(&entered, good, &[Fop::Fsync { gfid, data }]);
            let failed = match self.accuse(&entered, good - failed) {
                Ok(on) => good - on,
                Err(_) => break Err(libc::ENOTCONN),
            };
            if failed.is_empty() {
                break Ok(());
            }
            missed |= failed;
        };
        let on = self.shape.all() - missed;
        let ended = if outcome.is_ok() { Ok(on) } else { Err(on) };
        self.leases.leave(&*self.wire, &self.shape, entered, Kind::Data, ended);
        outcome
    }

    /// Changes mode, owner, times, attributes.
    ///
    /// # Errors
    /// As of [`Set::change_data`].
    pub fn change_metadata(&self, gfid: Gfid, fop: &Fop) -> Result<Reply, i32> {
        let outcome = self.transact(&lease::inode(gfid), lease::ATTRIBUTES, Kind::Metadata, fop, None, None);
        self.changed(gfid);
        self.leases.note(&lease::names(gfid), |seen| seen.forget_figures(self.wire.now()));
        outcome
    }

    /// Changes names of one directory. A removed or made name is `name`.
    ///
    /// # Errors
    /// As of [`Set::change_data`].
    pub fn change_names(&self, parent: Gfid, name: &Bytes, fop: &Fop) -> Result<Reply, i32> {
        let newborn = match fop {
            Fop::Make { node, .. } => {
                let kind = node.mode & libc::S_IFMT;
                let lock = match kind {
                    // One that is made anew has its range with it; one that is made again may not be empty.
                    libc::S_IFDIR if !node.xattrs.is_empty() => Some(lease::names(node.gfid)),
                    libc::S_IFREG if node.xattrs.is_empty() => Some(lease::inode(node.gfid)),
                    _ => None,
                };
                Some(Newborn { gfid: node.gfid, kind, lock })
            }
            _ => None,
        };
        self.transact(&lease::names(parent), lease::name_part(name), Kind::Entry, fop, Some(name), newborn)
    }

    /// Moves a name. Both directories are locked, in the order of their gfids.
    ///
    /// # Errors
    /// As of [`Set::change_data`].
    pub fn rename(&self, from: (Gfid, &Bytes), to: (Gfid, &Bytes), fop: &Fop) -> Result<Reply, i32> {
        if from.0 == to.0 {
            return self.transact_moves(&[(from.0, vec![from.1, to.1])], fop);
        }
        let mut both = [(from.0, vec![from.1]), (to.0, vec![to.1])];
        both.sort_by_key(|(dir, _)| *dir);
        self.transact_moves(&both, fop)
    }

    /// One call for each brick that takes part.
    fn calls(&self, entered: &Entered, fops: impl Fn(usize) -> Vec<Fop>) -> Vec<Call> {
        let call = |kid: usize| Call { kid, epoch: entered.on[kid], fops: fops(kid) };
        entered.kids().iter().map(call).collect()
    }

    /// Sends a change and judges the answers, out of which `aside` takes what is not part of it: one place a brick.
    fn carry_out(
        &self,
        entered: &Entered,
        kind: Kind,
        calls: Vec<Call>,
        payload: &Bytes,
        aside: &mut dyn FnMut(usize, &mut Answer),
    ) -> (Vec<Option<Answer>>, Verdict) {
        let mut answers: Vec<Option<Answer>> = vec![None; self.shape.len()];
        let came = self.wire.exchange(calls, payload);
        for (kid, mut answer) in entered.kids().iter().zip(came) {
            aside(kid, &mut answer);
            answers[kid] = Some(answer);
        }
        let outcomes: Vec<_> = answers.iter().map(|a| a.as_ref().map(Answer::outcome)).collect();
        let verdict = replicate::verdict(&self.shape, &outcomes, entered.good.of(kind));
        (answers, verdict)
    }

    /// The reply to go by: of a copy on which it happened, one with data if there is one.
    fn believed<'a>(&self, answers: &'a [Option<Answer>], on: Kids) -> Option<&'a Reply> {
        let best = (on - self.shape.arbiters).iter().next().or(on.iter().next())?;
        let told = answers[best].as_ref()?.results.iter().flatten();
        told.filter(|r| r.iatt().is_some() || matches!(r, Reply::Bytes(_)))
            .last()
            .or(answers[best].as_ref()?.last().ok())
    }

    fn transact(
        &self,
        lock: &Lock,
        part: Part,
        kind: Kind,
        fop: &Fop,
        name: Option<&Bytes>,
        newborn: Option<Newborn>,
    ) -> Result<Reply, i32> {
        let entered = self.leases.enter(&*self.wire, &self.shape, lock, part, false)?;
        if let (Kind::Metadata, Err(none)) = (kind, entered.good.metadata) {
            self.leases.release(&*self.wire, &self.shape, entered);
            return Err(none.errno());
        }
        let away = self.shape.all() - entered.kids();
        let noted = !away.is_empty();
        let gfid = lock.gfid;
        let own = newborn.as_ref().and_then(|n| n.lock.clone());
        let witness = if tells_figures(fop) { entered.kids().iter().next() } else { None };
        let asked_along = |kid: usize| {
            let figures = (witness == Some(kid)).then_some(Fop::Figures { gfid });
            figures.into_iter().chain(own.iter().map(|lock| Fop::Lock { lock: lock.clone(), wait: false }))
        };
        let calls = self.calls(&entered, |kid| {
            let note = noted.then(|| Fop::Xattrop(replicate::before(gfid, kind)));
            let born = newborn.as_ref().and_then(|n| replicate::newborn(&self.shape, n.gfid, n.kind, away));
            let born = born.map(Fop::Xattrop);
            note.into_iter().chain([fop.clone()]).chain(born).chain(asked_along(kid)).collect()
        });
        let sent: Vec<(usize, usize)> = calls.iter().map(|c| (c.kid, c.fops.len())).collect();
        let mut along = Along::default();
        let mut aside = |kid: usize, answer: &mut Answer| {
            let sent = sent.iter().find(|(k, _)| *k == kid).map_or(0, |(_, n)| *n);
            along.take(kid, answer, sent, asked_along(kid).count());
        };
        self.tell_begin(&entered, if noted { entered.kids() } else { Kids::NONE }, fop);
        let (answers, verdict) = self.carry_out(&entered, kind, calls, &Bytes::new(), &mut aside);
        self.tell_end(verdict);
        if let Some(born) = &newborn {
            self.newborn(born, &entered, verdict, along.locked);
        }
        if let Some(name) = name {
            let told = answers.iter().flatten().next().and_then(|a| a.last().ok()?.iatt());
            let told = if matches!(fop, Fop::Unlink { .. } | Fop::Rmdir { .. }) { told } else { None };
            self.seen(&entered, fop, name, verdict, along.figures.map(|(_, iatt)| iatt).or(told));
        }
        let reply = self.conclude(&entered, kind, noted, verdict, name, newborn);
        let outcome = reply.and_then(|on| self.believed(&answers, on).cloned().ok_or(libc::EIO));
        let ended = if let Verdict::Done { on } = verdict { on } else { self.shape.all() };
        self.leases.leave(&*self.wire, &self.shape, entered, kind, Ok(ended));
        outcome
    }

    /// For those who watch: what is sent to whom, and what is noted first.
    fn tell_begin(&self, entered: &Entered, noted: Kids, fop: &Fop) {
        if self.shape.len() > 1 {
            let note = if noted.is_empty() { "way-copies" } else { "way-pre-op" };
            tale::step("afr", note, || {
                let (count, of) = (entered.kids().count().to_string(), self.shape.len().to_string());
                vec![("fop", fop.name().into()), ("count", count), ("of", of), ("on", self.slots(entered.kids()))]
            });
        }
    }

    /// For those who watch: where it happened, and who missed it.
    fn tell_end(&self, verdict: Verdict) {
        if self.shape.len() > 1 {
            let (note, who) = match verdict {
                Verdict::Done { on } if on == self.shape.all() => ("way-done", on),
                Verdict::Done { on } => ("way-missed", self.shape.all() - on),
                Verdict::Doubtful { on, .. } => ("way-too-few", on),
                Verdict::Refused(_) => ("way-refused", Kids::NONE),
            };
            tale::step("afr", note, || vec![("who", self.slots(who))]);
        }
    }

    fn slots(&self, kids: Kids) -> String {
        let names: Vec<&str> = kids.iter().map(|i| self.shape.slots[i].as_str()).collect();
        names.join(" ")
    }

    /// What a change of names means for what is known of the directory.
    fn seen(&self, entered: &Entered, fop: &Fop, name: &Bytes, verdict: Verdict, figures: Option<Iatt>) {
        self.ahead().forget_name(entered.lock.gfid, name);
        let now = self.wire.now();
        self.leases.note(&entered.lock, |seen| match verdict {
            Verdict::Done { on } if on == self.shape.all() => {
                let comes = matches!(fop, Fop::Make { .. } | Fop::Link { .. });
                if comes {
                    seen.changed(&[], &[name])
                } else {
                    seen.changed(&[name], &[])
                }
                match figures {
                    Some(figures) => seen.looks(figures),
                    None => seen.forget_figures(now),
                }
            }
            Verdict::Refused(libc::EEXIST) if !seen.lacks(name) => {}
            Verdict::Refused(libc::ENOTEMPTY | libc::EISDIR | libc::ENOTDIR) => {}
            // Else the bricks know better.
            _ => seen.forget(now),
        });
    }

    /// Something new: everybody who has it may be read, and its lock is ours.
    fn newborn(&self, born: &Newborn, entered: &Entered, verdict: Verdict, locked: Kids) {
        let on = if let Verdict::Done { on } = verdict { on } else { Kids::NONE };
        if let Some(lock) = &born.lock {
            let held =
                |kids: Kids| entered.on.iter().enumerate().map(move |(kid, e)| if kids.has(kid) { *e } else { 0 });
            // Somebody may have found it, and have been faster.
            if !on.is_empty() && locked == on {
                self.leases.born(&*self.wire, lock.clone(), held(on).collect());
            } else {
                self.wire.post(lease::unlock(lock, held(locked).enumerate().filter(|(_, e)| *e > 0)));
            }
        }
        if on.is_empty() {
            return;
        }
        let generation = self.wire.generation();
        let data = on - self.shape.arbiters;
        let data = if data.is_empty() { Err(replicate::NoCopy::Away) } else { Ok(data) };
        self.known().insert(born.gfid, Known { generation, data, metadata: Ok(on) });
    }

    /// Writes down who missed a change of names or attributes; gives where it happened.
    fn conclude(
        &self,
        entered: &Entered,
        kind: Kind,
        noted: bool,
        verdict: Verdict,
        name: Option<&Bytes>,
        newborn: Option<Newborn>,
    ) -> Result<Kids, i32> {
        let gfid = entered.lock.gfid;
        match verdict {
            Verdict::Done { on } => {
                let missed = self.shape.all() - on;
                let away = self.shape.all() - entered.kids();
                let mut fops: Vec<Fop> = Vec::new();
                fops.extend(replicate::after(&self.shape, gfid, kind, noted, missed, name).map(Fop::Xattrop));
                let born =
                    newborn.as_ref().and_then(|n| replicate::newborn(&self.shape, n.gfid, n.kind, missed - away));
                fops.extend(born.map(Fop::Xattrop));
                if !fops.is_empty() {
                    let calls = self.calls(entered, |_| fops.clone()).into_iter().filter(|c| on.has(c.kid)).collect();
                    self.wire.exchange(calls, &Bytes::new());
                }
                Ok(on)
            }
            Verdict::Refused(errno) => {
                if noted {
                    let end = replicate::after(&self.shape, gfid, kind, true, Kids::NONE, None).map(Fop::Xattrop);
                    self.wire.post(self.calls(entered, |_| end.iter().cloned().collect()));
                }
                Err(errno)
            }
            Verdict::Doubtful { on, errno } => {
                if !noted {
                    let begin = Fop::Xattrop(replicate::before(gfid, kind));
                    let calls = self.calls(entered, |_| vec![begin.clone()]).into_iter().filter(|c| on.has(c.kid));
                    self.wire.exchange(calls.collect(), &Bytes::new());
                }
                Err(errno)
            }
        }
    }

    fn transact_moves(&self, dirs: &[(Gfid, Vec<&Bytes>)], fop: &Fop) -> Result<Reply, i32> {
        let mut entered: Vec<Entered> = Vec::new();
        for (dir, names) in dirs {
            let part = if names.len() > 1 { lease::ALL } else { lease::name_part(names[0]) };
            let lock = lease::names(*dir);
            let more = match entered.is_empty() {
                true => self.leases.enter(&*self.wire, &self.shape, &lock, part, false),
                false => self.leases.enter_also(&*self.wire, &self.shape, &lock, part, false),
            };
            match more {
                Ok(more) => entered.push(more),
                Err(errno) => {
                    self.leave_all(entered, self.shape.all());
                    return Err(errno);
                }
            }
        }
        let (on, outcome) = self.move_under(dirs, &entered, fop);
        self.leave_all(entered, on);
        outcome
    }

    /// Where it happened (if it did), and the reply.
    fn move_under(&self, dirs: &[(Gfid, Vec<&Bytes>)], entered: &[Entered], fop: &Fop) -> (Kids, Result<Reply, i32>) {
        let kids = entered.iter().fold(self.shape.all(), |kids, e| kids & e.kids());
        if !self.shape.suffices(kids) {
            return (self.shape.all(), Err(libc::ENOTCONN));
        }
        let away = self.shape.all() - kids;
        let note = |dir: Gfid| Fop::Xattrop(replicate::before(dir, Kind::Entry));
        let mut fops: Vec<Fop> = dirs.iter().filter(|_| !away.is_empty()).map(|(dir, _)| note(*dir)).collect();
        fops.push(fop.clone());
        let calls: Vec<Call> =
            kids.iter().map(|kid| Call { kid, epoch: entered[0].on[kid], fops: fops.clone() }).collect();
        let came = self.wire.exchange(calls, &Bytes::new());
        let mut answers: Vec<Option<Answer>> = vec![None; self.shape.len()];
        kids.iter().zip(came).for_each(|(kid, answer)| answers[kid] = Some(answer));
        let good = entered.iter().fold(self.shape.all(), |kids, e| kids & e.good.of(Kind::Entry));
        let verdict = replicate::verdict(&self.shape, &moved(&answers, good), good);
        let mut outcome = Err(libc::EIO);
        self.moved(dirs, fop, verdict);
        if let Some(Reply::Inode(inode)) = answers.iter().flatten().find_map(|a| a.last().ok()) {
            self.changed(inode.gfid);
        }
        for (entered, (_, names)) in entered.iter().zip(dirs) {
            for (n, name) in names.iter().enumerate() {
                let noted = !away.is_empty() && n == 0;
                outcome = self.conclude(entered, Kind::Entry, noted, verdict, Some(name), None);
            }
        }
        let on = outcome.unwrap_or(self.shape.all());
        (on, outcome.and_then(|on| self.believed(&answers, on).cloned().ok_or(libc::EIO)))
    }

    /// What a move means for what is known of the directories.
    fn moved(&self, dirs: &[(Gfid, Vec<&Bytes>)], fop: &Fop, verdict: Verdict) {
        let now = self.wire.now();
        let done = matches!(verdict, Verdict::Done { on } if on == self.shape.all());
        for (dir, names) in dirs {
            names.iter().for_each(|name| self.ahead().forget_name(*dir, name));
            self.leases.note(&lease::names(*dir), |seen| {
                if !done {
                    return seen.forget(now);
                }
                if let Fop::Rename { parent, name, to, newname, .. } = fop {
                    let gone: Vec<&Bytes> = (parent == dir).then_some(name).into_iter().collect();
                    let come: Vec<&Bytes> = (to == dir).then_some(newname).into_iter().collect();
                    seen.changed(&gone, &come);
                }
                seen.forget_figures(now);
            });
        }
    }

    fn leave_all(&self, entered: Vec<Entered>, on: Kids) {
        entered.into_iter().for_each(|e| self.leases.leave(&*self.wire, &self.shape, e, Kind::Entry, Ok(on)));
    }
}

/// Whether it is worth asking how the directory looks after a change of its names: where the change itself does not say so.
fn tells_figures(fop: &Fop) -> bool {
    matches!(fop, Fop::Make { .. } | Fop::Link { .. })
}

/// How a move went on each brick. A copy that missed an earlier change may have moved another file of that name: there it did not
/// happen, and both names are to be healed.
fn moved(answers: &[Option<Answer>], good: Kids) -> Vec<Option<Result<(), i32>>> {
    let gfid = |answer: &Option<Answer>| match answer.as_ref()?.last() {
        Ok(Reply::Inode(inode)) => Some(inode.gfid),
        _ => None,
    };
    let right = good.iter().filter_map(|kid| gfid(answers.get(kid)?)).next();
    let one = |answer: &Option<Answer>| match gfid(answer) {
        Some(other) if right.is_some_and(|right| right != other) => Some(Err(libc::ESTALE)),
        _ => answer.as_ref().map(Answer::outcome),
    };
    answers.iter().map(one).collect()
}
