//! The tale of a request: each step that it takes from the mount to the disks, told while somebody watches.
//!
//! Who asks for it (a mount's thread) begins a tale; whatever that thread then does says its step in passing ([`step`]) and need
//! not know whether anybody listens. Nothing is said, or even put into words, unless a tale was begun. A tale goes over to another
//! thread, and by the request's number over to the bricks ([`id`]), which tell their own part.
//!
//! Watching must not change what is watched: at full speed only a few requests a second are told and the others pass in silence.
//! When the world runs slower than the paper's time every request is told, and each step takes a moment, so that it can be
//! followed by eye; while the world is frozen a step waits.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::volume::Happening;
use crate::volume::gfid::Gfid;
use crate::world::{Reporter, What, reporter::now};

/// How many requests in a row are told at full speed, and after how long there is room for another one.
const IN_A_ROW: u32 = 6;
const ANOTHER: Duration = Duration::from_millis(250);
/// How long a step takes at half speed; at a tenth nine times as long.
const MOMENT: Duration = Duration::from_millis(50);
/// The longest that a step takes, however slow the world is.
const LONGEST: Duration = Duration::from_secs(2);
/// How many files' last tales are remembered for what happens at their close.
const OPEN: usize = 64;

/// What a request's id begins with on the wire.
const MARK: &str = "tale#";

thread_local! {
    static TALE: RefCell<Option<Tale>> = const { RefCell::new(None) };
}

struct Tale {
    teller: Arc<Teller>,
    volume: String,
    request: u64,
}

/// The one who tells, in one client.
pub struct Teller {
    reporter: Reporter,
    on: AtomicBool,
    last: AtomicU64,
    pace: Mutex<Pace>,
    changed: Condvar,
    room: Mutex<(u32, Instant)>,
    open: Mutex<HashMap<Gfid, Told>>,
}

/// The world's clock.
#[derive(Clone, Copy)]
struct Pace {
    speed: f64,
    frozen: bool,
}

/// A tale that another thread may go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    volume: String,
    request: u64,
}

/// As long as it lives, this thread tells.
pub struct Telling {
    before: Option<Tale>,
}

impl Drop for Telling {
    fn drop(&mut self) {
        TALE.replace(self.before.take());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Teller {
    /// Tells nothing until somebody watches.
    pub fn new(reporter: Reporter) -> Arc<Self> {
        Arc::new(Self {
            reporter,
            on: AtomicBool::new(false),
            last: AtomicU64::new(0),
            pace: Mutex::new(Pace { speed: 1.0, frozen: false }),
            changed: Condvar::new(),
            room: Mutex::new((IN_A_ROW, Instant::now())),
            open: Mutex::default(),
        })
    }

    /// Whether somebody watches.
    pub fn set_detail(&self, on: bool) {
        self.on.store(on, Relaxed);
        self.changed.notify_all();
    }

    /// The world runs at this speed.
    pub fn set_speed(&self, speed: f64) {
        lock(&self.pace).speed = speed;
        self.changed.notify_all();
    }

    /// The world stands still, or goes on.
    pub fn set_frozen(&self, frozen: bool) {
        lock(&self.pace).frozen = frozen;
        self.changed.notify_all();
    }

    /// A request begins on this thread; `None`: it is not told.
    pub fn begin(self: &Arc<Self>, volume: &str) -> Option<Telling> {
        (self.on.load(Relaxed) && self.has_room()).then(|| {
            let request = self.number();
            self.tell(Told { volume: volume.into(), request })
        })
    }

    /// This thread goes on with a request that another one began.
    pub fn resume(self: &Arc<Self>, told: Option<Told>) -> Option<Telling> {
        told.map(|told| self.tell(told))
    }

    /// This thread's tale is the last one of this file.
    pub fn keep(&self, gfid: Gfid) {
        if let Some(told) = told() {
            let mut open = lock(&self.open);
            if open.len() >= OPEN {
                open.clear();
            }
            open.insert(gfid, told);
        }
    }

    /// The last tale of a file that is closed now.
    pub fn take(&self, gfid: Gfid) -> Option<Told> {
        if self.on.load(Relaxed) { lock(&self.open).remove(&gfid) } else { None }
    }

    fn tell(self: &Arc<Self>, Told { volume, request }: Told) -> Telling {
        let tale = Tale { teller: self.clone(), volume, request };
        Telling { before: TALE.replace(Some(tale)) }
    }

    /// A number that no client had before: the time in microseconds.
    fn number(&self) -> u64 {
        let now = now();
        let last = self.last.fetch_max(now, Relaxed);
        if last < now { now } else { self.last.fetch_add(1, Relaxed) + 1 }
    }

    fn has_room(&self) -> bool {
        if lock(&self.pace).speed < 1.0 {
            return true;
        }
        let mut room = lock(&self.room);
        let gained = room.1.elapsed().as_millis() / ANOTHER.as_millis();
        if gained > 0 {
            *room = ((room.0 + u32::try_from(gained).unwrap_or(IN_A_ROW)).min(IN_A_ROW), Instant::now());
        }
        let has = room.0 > 0;
        room.0 -= u32::from(has);
        has
    }

    fn say(&self, happening: Happening) {
        self.reporter.report(None, What::Volume(happening));
    }

    /// A step takes its moment, and as long as the world stands still.
    fn wait(&self) {
        let begun = Instant::now();
        let mut pace = lock(&self.pace);
        while self.on.load(Relaxed) {
            let left = moment(pace.speed).saturating_sub(begun.elapsed());
            if pace.frozen {
                pace = self.changed.wait(pace).unwrap_or_else(PoisonError::into_inner);
            } else if left.is_zero() {
                return;
            } else {
                pace = self.changed.wait_timeout(pace, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

/// How long a step takes.
fn moment(speed: f64) -> Duration {
    if speed >= 1.0 || speed <= 0.0 {
        return Duration::ZERO;
    }
    MOMENT.mul_f64((1.0 / speed - 1.0).min(1000.0)).min(LONGEST)
}

/// What fills the holes of a step's text.
pub type Args = Vec<(&'static str, String)>;

/// The request of this thread is at `layer` now; the text `note` says what happens there, its holes filled with `args`. Nothing
/// happens unless it is told.
pub fn step(layer: &str, note: &str, args: impl FnOnce() -> Args) {
    let tale = TALE.with_borrow(|tale| tale.as_ref().map(|t| (t.teller.clone(), t.volume.clone(), t.request)));
    if let Some((teller, volume, request)) = tale {
        // What the words themselves ask of the bricks is no step.
        let silent = Telling { before: TALE.take() };
        let args = args().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        drop(silent);
        teller.say(Happening::Step { volume, request, layer: layer.into(), note: note.into(), args });
        teller.wait();
    }
}

/// Something that is worth telling beside the steps; `happening` gets the volume's name.
pub fn aside(happening: impl FnOnce(String) -> Option<Happening>) {
    let tale = TALE.with_borrow(|tale| tale.as_ref().map(|t| (t.teller.clone(), t.volume.clone())));
    if let Some((teller, volume)) = tale {
        let silent = Telling { before: TALE.take() };
        let happening = happening(volume);
        drop(silent);
        happening.into_iter().for_each(|h| teller.say(h));
    }
}

/// This thread's tale, for another one to go on with.
pub fn told() -> Option<Told> {
    TALE.with_borrow(|tale| tale.as_ref().map(|t| Told { volume: t.volume.clone(), request: t.request }))
}

/// The id of a message that belongs to this thread's tale.
pub fn id() -> Option<String> {
    TALE.with_borrow(|tale| tale.as_ref().map(|t| format!("{MARK}{}", t.request)))
}

/// The request that a message belongs to, by its id.
pub fn request(id: &str) -> Option<u64> {
    id.strip_prefix(MARK)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step that nobody asked for is not even put into words.
    #[test]
    fn without_a_tale_nothing_is_said() {
        step("dht", "way-hashed", || unreachable!("nobody listens"));
        let teller = Teller::new(Reporter::silent("mount:/mnt"));
        assert!(teller.begin("gv0").is_none(), "nobody watches");
        assert_eq!(id(), None);
    }

    /// A tale has one number wherever it goes, ends with its scope, and at full speed there are only so many of them.
    #[test]
    fn a_tale_goes_from_thread_to_thread() {
        let teller = Teller::new(Reporter::silent("mount:/mnt"));
        teller.set_detail(true);
        let telling = teller.begin("gv0");
        let (first, there) = (id().unwrap(), told());
        drop(telling);
        assert_eq!(id(), None);
        let other = teller.clone();
        let second = std::thread::spawn(move || {
            let _telling = other.resume(there);
            id().unwrap()
        });
        assert_eq!(second.join().unwrap(), first);
        assert!(request(&first).is_some() && request("call#7").is_none());
        let told = (0..100).filter(|_| teller.begin("gv0").is_some()).count();
        assert!((1..=IN_A_ROW as usize).contains(&told), "{told} of 100 at once");
        teller.set_speed(0.5);
        assert!((0..100).all(|_| teller.begin("gv0").is_some()), "slow: every one");
    }

    /// A frozen world holds a step until it is thawed, or until nobody watches any more.
    #[test]
    fn a_frozen_world_holds_a_step() {
        for thaw in [|t: &Teller| t.set_frozen(false), |t: &Teller| t.set_detail(false)] {
            let teller = Teller::new(Reporter::silent("mount:/mnt"));
            teller.set_detail(true);
            teller.set_frozen(true);
            let (done, waits) = std::sync::mpsc::channel();
            let own = teller.clone();
            std::thread::spawn(move || {
                let _telling = own.begin("gv0");
                step("afr", "way-done", Vec::new);
                done.send(()).unwrap();
            });
            assert!(waits.recv_timeout(Duration::from_millis(50)).is_err(), "it goes on although the world is frozen");
            thaw(&teller);
            waits.recv_timeout(Duration::from_secs(5)).expect("it goes on");
        }
    }

    /// The slower the world, the longer a step, within a bound.
    #[test]
    fn a_step_takes_its_moment() {
        assert_eq!(moment(1.0), Duration::ZERO);
        assert_eq!(moment(0.5), MOMENT);
        assert_eq!(moment(0.001), LONGEST);
    }
}
