//! A client's life: get the volume from a manager, keep a connection to every brick, pass on what the bricks say.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender as Queue, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::connection::{Connection, REROUTE, Target, Word};
use super::copies;
use super::files::{Files, Graph};
use super::manager::{self, Source};
use super::net::{Bell, Net};
use super::opens::Opens;
use super::set::Set;
use super::tale::{self, Teller};
use crate::volume::definition::{Brick, Volume};
use crate::volume::gfid::Gfid;
use crate::volume::options;
use crate::volume::replicate::{Kids, Quorum, Shape};
use crate::volume::rpc::{Blob, Fop, Hello};
use crate::world::{Reporter, What};

/// How long a brick that came with a change may take to be reached before the change is in force.
const FIRST_CALL: Duration = Duration::from_secs(3);

/// How a client presents itself, and where it gets its volume.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the volume comes from.
    pub source: Source,
    /// `fuse`, `glustershd`, `rebalance`, `glfsheal`.
    pub process: String,
    /// The machine that the client runs on.
    pub machine: String,
    /// The process as the keeper and the links know it: `mount:/mnt/gv0`.
    pub name: String,
}

/// What a client's owner may want to know at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Somebody else changed an inode, or a name in a directory; whether the name came (it was not there before).
    Changed(Gfid, Option<(Blob, bool)>),
    /// Somebody else removed the last name of a file; this brick keeps it for us until we close it.
    Gone(Gfid, usize),
    /// A lock of a process that was refused may be free now.
    Freed,
    /// A brick came or went.
    Brick {
        /// The brick's index in the volume.
        brick: usize,
        /// Whether it is up now.
        up: bool,
    },
}

/// A client of one volume.
pub struct Session {
    /// The tree.
    pub files: Files,
    /// Which files are open here.
    pub opens: Opens,
    options: Options,
    client: Gfid,
    /// Tells what requests do on their way.
    pub teller: Arc<Teller>,
    words: Queue<(usize, Word)>,
    bell: Arc<Bell>,
    links: Mutex<Links>,
    /// Sets of earlier graphs in which something may still be under way.
    retired: Mutex<Vec<Arc<Set>>>,
    reporter: Reporter,
}

#[derive(Default)]
struct Links {
    /// By the brick's name and slot; the number is its place in `seats`.
    by_brick: HashMap<(String, usize), (usize, Arc<Connection>)>,
    /// Number → the set's wire and the set.
    seats: HashMap<usize, Seat>,
    next: usize,
    /// The switch, if messages pass it.
    via: Option<SocketAddr>,
}

#[derive(Clone)]
struct Seat {
    net: Arc<Net>,
    set: Arc<Set>,
    brick: usize,
}

impl Session {
    /// Connects to a volume's bricks, as they come. `notice` is called on a thread of its own, which it must not hold up: others wait
    /// until what they changed is heeded here.
    ///
    /// # Errors
    /// If no thread can be had.
    pub fn start(
        volume: Volume,
        options: Options,
        reporter: Reporter,
        notice: impl Fn(Notice) + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let (words, heard) = channel();
        let empty = Graph { volume: volume.clone(), sets: vec![] };
        let (links, bell) = (Mutex::default(), Arc::new(Bell::default()));
        let (files, client, teller) = (Files::new(empty), Gfid::random(), Teller::new(reporter.clone()));
        let session = Arc::new(Self {
            files,
            opens: Opens::default(),
            options,
            client,
            teller,
            words,
            bell,
            links,
            retired: Mutex::default(),
            reporter,
        });
        super::dump::remember(&session);
        session.take(volume)?;
        let (one, two, three) = (Arc::downgrade(&session), Arc::downgrade(&session), Arc::downgrade(&session));
        let bell = session.bell.clone();
        std::thread::Builder::new().name("post".into()).spawn(move || flush(&three, &bell))?;
        std::thread::Builder::new().name("words".into()).spawn(move || listen(&one, &heard, &notice))?;
        std::thread::Builder::new().name("janitor".into()).spawn(move || tidy(&two))?;
        Ok(session)
    }

    /// Who this client is.
    pub fn client(&self) -> Gfid {
        self.client
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The volume is this from now on: bricks that stay keep their connections.
    ///
    /// # Errors
    /// If no thread can be had.
    pub fn take(self: &Arc<Self>, volume: Volume) -> io::Result<()> {
        let old = self.files.graph();
        let same = !old.sets.is_empty()
            && old.volume.bricks.len() == volume.bricks.len()
            && shapes(&old.volume) == shapes(&volume);
        if same {
            let sets = old.sets.clone();
            let patience = patience(&volume);
            self.files.switch(Graph { volume, sets });
            for (_, connection) in self.links().by_brick.values() {
                connection.set_patience(patience);
                connection.kick();
            }
            return Ok(());
        }
        let known: Vec<usize> = self.links().seats.keys().copied().collect();
        let mut sets = Vec::new();
        let mut seats = HashMap::new();
        for (n, bricks) in volume.sets().enumerate() {
            let kids: Vec<(usize, Arc<Connection>)> =
                bricks.iter().map(|brick| self.connection(&volume, brick)).collect::<io::Result<_>>()?;
            let kept = unchanged(&old, &shape(&volume, n), bricks).and_then(|set| {
                let links = self.links();
                let seat = links.seats.values().find(|seat| Arc::ptr_eq(&seat.set, &set));
                seat.map(|seat| (seat.net.clone(), set.clone()))
            });
            let (net, set) = kept.unwrap_or_else(|| {
                let net = Arc::new(Net::new(kids.iter().map(|(_, c)| c.clone()).collect(), self.bell.clone()));
                let near = bricks.iter().position(|b| b.host == self.options.machine);
                (net.clone(), Arc::new(Set::new(shape(&volume, n), net, near)))
            });
            for (i, (number, _)) in kids.iter().enumerate() {
                let brick = n * volume.replica.max(1) + i;
                seats.insert(*number, Seat { net: net.clone(), set: set.clone(), brick });
            }
            sets.push(set);
        }
        let grown = seats.keys().any(|number| !known.contains(number));
        let mut links = self.links();
        links.by_brick.retain(|_, (number, connection)| {
            let stays = seats.contains_key(number);
            if !stays {
                connection.end();
            }
            stays
        });
        links.seats = seats;
        links.by_brick.values().for_each(|(_, c)| c.set_patience(patience(&volume)));
        drop(links);
        if !old.sets.is_empty() && grown {
            // What works goes on working: new bricks are reached before anything is asked of them.
            until(FIRST_CALL, || sets.iter().all(|set| set.ready().is_ok()));
        }
        let gone = old.sets.iter().filter(|set| !sets.iter().any(|new| Arc::ptr_eq(new, set)));
        let mut retired = self.retired();
        retired.extend(gone.cloned());
        retired.iter().for_each(|set| set.tidy(None));
        drop(retired);
        self.files.switch(Graph { volume, sets });
        Ok(())
    }

    fn retired(&self) -> MutexGuard<'_, Vec<Arc<Set>>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection to a brick; a new one if there is none.
    fn connection(self: &Arc<Self>, volume: &Volume, brick: &Brick) -> io::Result<(usize, Arc<Connection>)> {
        let key = (brick.name(), brick.slot);
        if let Some((number, connection)) = self.links().by_brick.get(&key) {
            return Ok((*number, connection.clone()));
        }
        let mut links = self.links();
        links.next += 1;
        let number = links.next;
        drop(links);
        let hello = Hello { client: self.client, process: self.options.process.clone(), brick: brick.path.clone() };
        let target = Target { from: self.options.name.clone(), to: brick.name(), hello };
        let (own, source, from) = (Arc::downgrade(self), self.options.source.clone(), self.options.machine.clone());
        let brick = brick.clone();
        let locate = Box::new(move || locate(&own, &source, &from, &brick));
        let connection = Connection::start(number, target, locate, self.words.clone())?;
        connection.set_patience(patience(volume));
        self.links().by_brick.insert(key, (number, connection.clone()));
        Ok((number, connection))
    }

    /// Reach bricks through this address from now on, or directly.
    pub fn route(&self, via: Option<SocketAddr>) {
        let mut links = self.links();
        if std::mem::replace(&mut links.via, via) == via {
            return;
        }
        let affected: Vec<_> = links.by_brick.values().map(|(_, c)| c.clone()).collect();
        drop(links);
        // Locks end with their connection: nothing must be under way that rests on one.
        let graph = self.files.graph();
        graph.sets.iter().for_each(|set| set.pause(REROUTE));
        affected.iter().for_each(|c| c.reroute());
        graph.sets.iter().for_each(|set| set.resume());
    }

    /// Whether messages carry notes for those who watch the links, and requests tell their steps.
    pub fn set_detail(&self, on: bool) {
        self.teller.set_detail(on);
        self.links().by_brick.values().for_each(|(_, c)| c.set_detail(on));
    }

    /// Tries to reach all bricks at once.
    pub fn kick(&self) {
        self.links().by_brick.values().for_each(|(_, c)| c.kick());
    }

    /// Waits until every set works, or for so long. Gives whether they do.
    pub fn wait_ready(&self, patience: Duration) -> bool {
        let until = std::time::Instant::now() + patience;
        loop {
            let graph = self.files.graph();
            if graph.sets.iter().all(|set| set.wire.up() == set.shape.all()) {
                return true;
            }
            if std::time::Instant::now() >= until {
                return graph.sets.iter().all(|set| set.ready().is_ok());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Changes whenever a brick comes or goes, or the volume changes.
    pub fn generation(&self) -> u64 {
        let sets = &self.files.graph().sets;
        sets.iter().map(|set| set.wire.generation()).fold(sets.len() as u64, u64::wrapping_add)
    }

    /// A path of an inode, or its gfid.
    pub fn path_of(&self, gfid: Gfid) -> String {
        let set = self.files.set_of(gfid).ok();
        set.and_then(|set| super::shd::path_of(&set, gfid)).unwrap_or_else(|| format!("<gfid:{gfid}>"))
    }

    /// Tells those who watch what the copies of an inode say of each other, if this thread tells a tale.
    pub fn tell_copies(&self, gfid: Gfid) {
        tale::aside(|_| {
            let (graph, set) = (self.files.graph(), self.files.set_of(gfid).ok()?);
            let path = self.path_of(gfid);
            copies::copies(&graph, copies::place(&graph, &set)?, gfid, path)
        });
    }

    /// Lets go of a file that one brick keeps for us ([`Notice::Gone`]).
    pub fn let_go(&self, gfid: Gfid, number: usize) {
        self.say(number, Fop::Close { gfid });
    }

    /// Says something to one brick, without waiting.
    fn say(&self, number: usize, fop: Fop) {
        let links = self.links();
        let connection = links.by_brick.values().find(|(n, _)| *n == number).map(|(_, c)| c.clone());
        drop(links);
        if let Some(connection) = connection {
            connection.post(0, vec![fop]);
            connection.flush();
        }
    }

    /// Reports something to the keeper.
    pub fn report(&self, what: What) {
        self.reporter.report(None, what);
    }

    /// Whether anybody listens to reports.
    pub fn is_watched(&self) -> bool {
        self.reporter.is_watched()
    }

    /// Ends all connections.
    pub fn end(&self) {
        self.files.graph().sets.iter().for_each(|set| set.tidy(None));
        for (_, connection) in self.links().by_brick.values() {
            connection.flush();
            connection.end();
        }
    }

    fn hear(&self, number: usize, word: Word) -> Option<Notice> {
        let seat = self.links().seats.get(&number).cloned()?;
        match word {
            Word::Up | Word::Down => {
                seat.net.changed();
                let up = matches!(word, Word::Up);
                self.report_link(seat.brick, up);
                Some(Notice::Brick { brick: seat.brick, up })
            }
            Word::Freed => Some(Notice::Freed),
            Word::Contention(lock) => {
                seat.set.wanted(&lock);
                self.retired().iter().for_each(|set| set.wanted(&lock));
                // It may have been given back already, and wait here for company.
                seat.net.flush();
                None
            }
            Word::Gone(gfid, _) => {
                self.files.forget(gfid);
                Some(Notice::Gone(gfid, number))
            }
            Word::Invalidate(gfid, name, _) => {
                match &name {
                    Some((name, _)) => self.files.forget_name(gfid, name),
                    None => self.files.forget(gfid),
                }
                Some(Notice::Changed(gfid, name))
            }
        }
    }

    fn report_link(&self, brick: usize, up: bool) {
        let volume = &self.files.graph().volume;
        let Some(b) = volume.bricks.get(brick) else { return };
        let happening = crate::volume::Happening::Connection { volume: volume.name.clone(), brick: b.name(), up };
        self.reporter.report(None, What::Volume(happening));
    }
}

/// How long a brick may be silent before it is given up.
fn patience(volume: &Volume) -> Duration {
    let seconds = options::value(volume, "network.ping-timeout").trim().parse().unwrap_or(42);
    Duration::from_secs(u64::max(seconds, 1))
}

/// Waits until something holds, or for so long.
fn until(patience: Duration, holds: impl Fn() -> bool) {
    let until = std::time::Instant::now() + patience;
    while !holds() && std::time::Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The set of an old graph that has these bricks in this shape: it goes on, with its locks and what it knows.
fn unchanged(old: &Graph, wanted: &Shape, bricks: &[Brick]) -> Option<Arc<Set>> {
    let names = |bricks: &[Brick]| bricks.iter().map(Brick::name).collect::<Vec<_>>();
    let same = |(n, own): (usize, &[Brick])| shape(&old.volume, n) == *wanted && names(own) == names(bricks);
    old.volume.sets().enumerate().position(same).and_then(|n| old.sets.get(n).cloned())
}

/// What of a volume its sets' shapes follow from.
fn shapes(volume: &Volume) -> Vec<(Shape, Vec<String>)> {
    let one = |(n, bricks): (usize, &[Brick])| (shape(volume, n), bricks.iter().map(Brick::name).collect());
    volume.sets().enumerate().map(one).collect()
}

/// The shape of one set of a volume.
pub fn shape(volume: &Volume, set: usize) -> Shape {
    let replica = volume.replica.max(1);
    let bricks: Vec<&Brick> = volume.bricks.iter().skip(set * replica).take(replica).collect();
    let kind = options::value(volume, "cluster.quorum-type");
    let count = options::value(volume, "cluster.quorum-count");
    let quorum = if replica == 1 { Quorum::None } else { Quorum::from_options(kind, count) };
    let arbiters: Kids = (0..bricks.len()).filter(|i| volume.is_arbiter(set * replica + i)).collect();
    Shape { slots: bricks.iter().map(|b| volume.client_name(b)).collect(), arbiters, quorum }
}

fn locate(session: &Weak<Session>, source: &Source, from: &str, brick: &Brick) -> io::Result<SocketAddr> {
    let session = session.upgrade().ok_or(io::ErrorKind::NotConnected)?;
    let via = session.links().via;
    match via {
        Some(via) => Ok(via),
        None => manager::locate(source, from, brick),
    }
}

fn listen(session: &Weak<Session>, heard: &Receiver<(usize, Word)>, notice: &dyn Fn(Notice)) {
    while let Ok((number, word)) = heard.recv() {
        let Some(session) = session.upgrade() else { return };
        let waited_for = word.number();
        if let Some(news) = session.hear(number, word) {
            notice(news);
        }
        if waited_for > 0 {
            session.say(number, Fop::Heard { number: waited_for });
        }
    }
}

/// Sends what was posted and found no company.
fn flush(session: &Weak<Session>, bell: &Bell) {
    loop {
        let rang = bell.wait(Duration::from_secs(1));
        let Some(session) = session.upgrade() else { return };
        if rang {
            let connections: Vec<_> = session.links().by_brick.values().map(|(_, c)| c.clone()).collect();
            connections.iter().for_each(|c| c.flush());
        }
    }
}

/// Gives back idle locks, and lets bricks show that they are there.
fn tidy(session: &Weak<Session>) {
    for turn in 0_u64.. {
        std::thread::sleep(Duration::from_millis(250));
        let Some(session) = session.upgrade() else { return };
        session.files.graph().sets.iter().for_each(|set| set.tidy(Some(Duration::from_secs(1))));
        // What was begun in an old set may end only now; then its locks go back too.
        session.retired().retain(|set| {
            set.tidy(None);
            Arc::strong_count(set) > 1
        });
        if turn % 4 == 0 {
            let connections: Vec<_> = session.links().by_brick.values().map(|(_, c)| c.clone()).collect();
            connections.iter().for_each(|c| c.ping());
            session.opens.tell(&session.files);
        }
    }
}
