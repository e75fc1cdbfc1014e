//! The link switch: what happens to messages between machines.
//!
//! A machine that is routed here dials the switch instead of its peer and says in its first frame whom it wants. Every
//! frame after that is one message; the switch reads its envelope and never its body. A connection has two lanes, one for
//! each direction; a *lane* is a queue of messages with the moment at which each is due, and a task that writes them out.
//!
//! What a link's [`LinkRule`] asks for is decided when a message comes in ([`Switch::admit`]): lost, held, or on its
//! way, after a delay. In a frozen world everything is held. In slow motion a message takes a while even on a clear link
//! ([`FLIGHT`] divided by the speed), so that it can be seen.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

use super::{Keeper, Refusal};
use crate::sandbox::machines;
use crate::world::command::{Links, Which};
use crate::world::event::{Link, LinkRule, Message};
use crate::world::wire::{Dial, Envelope, codec, decode};
use crate::world::{Name, What};

/// The switch's port.
const PORT: u16 = 7000;
/// How long a message takes on a clear link at speed 1 in slow motion's terms: it takes this, divided by the speed, as
/// soon as the world runs slower than that.
const FLIGHT: Duration = Duration::from_millis(10);
/// How many messages may wait on one lane; more are lost, as on a real link.
const LANE: usize = 4096;
/// How long a machine may take to accept a connection.
const DIAL: Duration = Duration::from_secs(2);

/// The switch's state; the rules themselves are in the world's picture.
pub struct Switch {
    listener: RefCell<Option<TcpListener>>,
    address: SocketAddr,
    held: RefCell<VecDeque<Held>>,
    frozen: Cell<bool>,
    chance: RefCell<StdRng>,
}

/// A message that waits until it is delivered by hand, or until the world thaws.
struct Held {
    letter: Letter,
    lane: mpsc::Sender<Letter>,
    /// Held by the freeze alone: the thaw lets it go.
    by_freeze: bool,
}

/// A message and when it is due.
#[derive(Clone)]
struct Letter {
    message: Message,
    frame: Bytes,
    due: Instant,
    /// Delivered by hand: goes even in a frozen world and over a cut.
    at_once: bool,
}

impl Switch {
    /// A switch with its listening socket; `seed` decides what gets lost.
    pub async fn listen(seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((machines::switch(), PORT)).await?;
        let (address, held) = (listener.local_addr()?, RefCell::default());
        let (listener, chance) = (RefCell::new(Some(listener)), RefCell::new(StdRng::seed_from_u64(seed)));
        Ok(Self { listener, address, held, frozen: Cell::new(false), chance })
    }

    /// Where machines dial.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn happens(&self, percent: u8) -> bool {
        percent > 0 && self.chance.borrow_mut().random_range(0..100) < percent
    }
}

/// Takes connections of machines.
pub async fn accept(keeper: Rc<Keeper>) {
    let Some(listener) = keeper.switch.listener.take() else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        tokio::task::spawn_local(Rc::clone(&keeper).relay(stream));
    }
}

impl Keeper {
    /// One machine's connection to another.
    async fn relay(self: Rc<Self>, stream: TcpStream) {
        let (from, to) = stream.into_split();
        let mut from = FramedRead::new(from, codec());
        let Some(Ok(first)) = from.next().await else { return };
        let Ok(dial) = decode::<Dial>(&first) else { return };
        let (forth, letters) = mpsc::channel(LANE);
        let (back, replies) = mpsc::channel(LANE);
        let call = Call { dial, first: first.freeze(), lane: forth.downgrade() };
        let out = FramedWrite::new(to, codec());
        tokio::task::spawn_local(Rc::clone(&self).write_back(back.downgrade(), replies, out));
        tokio::task::spawn_local(Rc::clone(&self).write_forth(call, letters, back));
        self.admit_all(&mut from, &forth).await;
    }

    /// Admits every message of one direction until the connection ends.
    async fn admit_all(
        self: &Rc<Self>,
        from: &mut FramedRead<OwnedReadHalf, LengthDelimitedCodec>,
        lane: &mpsc::Sender<Letter>,
    ) {
        while let Some(Ok(frame)) = from.next().await {
            let Ok(envelope) = decode::<Envelope>(&frame) else { return };
            let Envelope { id, from, to, kind, note, cause, .. } = envelope;
            self.admit(Message { id, from, to, kind, note }, cause, frame.freeze(), lane);
        }
    }

    /// Decides what becomes of a message that enters a link.
    fn admit(self: &Rc<Self>, message: Message, cause: Option<String>, frame: Bytes, lane: &mpsc::Sender<Letter>) {
        let (rule, speed) = (self.rule_of(&message), self.see(|world| world.speed));
        self.report_of(&message.from, cause, What::Link(Link::Sent(message.clone())));
        if rule.cut || self.switch.happens(rule.loss) {
            let why = if rule.cut { "cut" } else { "loss" };
            return self.report_dropped(&message, why);
        }
        let flight = if speed < 1.0 { FLIGHT.div_f64(speed) } else { Duration::ZERO };
        let due = Instant::now() + flight + Duration::from_millis(rule.delay_ms);
        let letter = Letter { message, frame, due, at_once: false };
        if self.switch.happens(rule.dup) {
            self.post(letter.clone(), lane);
        }
        if rule.held || self.switch.frozen.get() {
            self.hold(letter, lane, !rule.held);
        } else {
            self.post(letter, lane);
        }
    }

    fn hold(self: &Rc<Self>, letter: Letter, lane: &mpsc::Sender<Letter>, by_freeze: bool) {
        let (who, id) = (letter.message.from.clone(), letter.message.id.clone());
        self.switch.held.borrow_mut().push_back(Held { letter, lane: lane.clone(), by_freeze });
        if !by_freeze {
            self.report_of(&who, None, What::Link(Link::Held { id }));
        }
    }

    fn post(self: &Rc<Self>, letter: Letter, lane: &mpsc::Sender<Letter>) {
        if let Err(full) = lane.try_send(letter) {
            self.report_dropped(&full.into_inner().message, "receiver down");
        }
    }

    fn report_dropped(self: &Rc<Self>, message: &Message, why: &str) {
        let dropped = Link::Dropped { id: message.id.clone(), why: why.into() };
        self.report_of(&message.to, Some(message.id.clone()), What::Link(dropped));
    }

    /// Waits until a letter may go. One that became held or cut in the meantime does not.
    async fn ripe(self: &Rc<Self>, letter: Letter, lane: &mpsc::WeakSender<Letter>) -> Option<Letter> {
        tokio::time::sleep_until(letter.due).await;
        if letter.at_once {
            return Some(letter);
        }
        if self.switch.frozen.get() {
            lane.upgrade().into_iter().for_each(|lane| self.hold(letter.clone(), &lane, true));
            return None;
        }
        let cut = self.rule_of(&letter.message).cut;
        if cut {
            self.report_dropped(&letter.message, "cut");
        }
        (!cut).then_some(letter)
    }

    /// The lane towards the machine that was dialled; connects to it when there is something to deliver.
    async fn write_forth(self: Rc<Self>, call: Call, mut letters: mpsc::Receiver<Letter>, back: mpsc::Sender<Letter>) {
        let mut line = None;
        while let Some(letter) = letters.recv().await {
            let Some(letter) = self.ripe(letter, &call.lane).await else { continue };
            line = match line.take().filter(Line::is_open) {
                None => self.dial(&call, &back).await,
                open => open,
            };
            match &mut line {
                Some(line) => self.deliver_by(&letter, &mut line.out).await,
                None => self.report_dropped(&letter.message, "receiver down"),
            }
        }
    }

    /// The lane back to the machine that dialled.
    async fn write_back(
        self: Rc<Self>,
        lane: mpsc::WeakSender<Letter>,
        mut letters: mpsc::Receiver<Letter>,
        mut out: Out,
    ) {
        while let Some(letter) = letters.recv().await {
            if let Some(letter) = self.ripe(letter, &lane).await {
                self.deliver_by(&letter, &mut out).await;
            }
        }
    }

    async fn deliver_by(self: &Rc<Self>, letter: &Letter, out: &mut Out) {
        if out.send(letter.frame.clone()).await.is_err() {
            return self.report_dropped(&letter.message, "receiver down");
        }
        let id = letter.message.id.clone();
        self.report_of(&letter.message.to, Some(id.clone()), What::Link(Link::Delivered { id }));
    }

    /// Connects to the machine that was dialled and reads what it sends back.
    async fn dial(self: &Rc<Self>, call: &Call, back: &mpsc::Sender<Letter>) -> Option<Line> {
        let address = self.listens_at(&call.dial.to)?;
        let stream = tokio::time::timeout(DIAL, TcpStream::connect(address)).await.ok()?.ok()?;
        let _ = stream.set_nodelay(true);
        let (from, to) = stream.into_split();
        let mut out = FramedWrite::new(to, codec());
        out.send(call.first.clone()).await.ok()?;
        let (keeper, back, open) = (Rc::clone(self), back.clone(), Rc::new(Cell::new(true)));
        let watched = Rc::clone(&open);
        tokio::task::spawn_local(async move {
            keeper.admit_all(&mut FramedRead::new(from, codec()), &back).await;
            watched.set(false);
        });
        Some(Line { out, open })
    }

    /// Changes the rule of each of the links; what is held on a link that is no longer held is delivered.
    pub(super) fn set_rules(self: &Rc<Self>, links: &Links, change: impl Fn(&mut LinkRule)) {
        let names = self.machine_names(links);
        for from in &names {
            for to in names.iter().filter(|to| *to != from && links.contains(from, to)) {
                let old = self.see(|world| world.links.rule(from, to));
                let mut rule = old.clone();
                change(&mut rule);
                if rule != old {
                    let (from, to) = (from.clone(), to.clone());
                    self.report(None, What::Link(Link::Rule { from, to, rule }));
                }
            }
        }
        self.release(|keeper, held| !held.by_freeze && !keeper.rule_of(&held.letter.message).held);
    }

    /// The rule of the link between the two; for processes that have none of their own (`mount:/mnt/gv0`, a brick), that
    /// between their machines.
    fn rule_of(&self, message: &Message) -> LinkRule {
        let Message { from, to, .. } = message;
        self.see(|world| {
            let machine = |name: &Name| world.processes.get(name).map_or_else(|| name.clone(), |p| p.machine.clone());
            let own = world.links.rule(from, to);
            if own.is_clear() { world.links.rule(&machine(from), &machine(to)) } else { own }
        })
    }

    /// The machines that a rule may concern: those that run or ran, and those that are named.
    fn machine_names(&self, links: &Links) -> Vec<Name> {
        let mut names = self.see(|world| {
            let machines = world.processes.iter().filter(|(_, p)| p.role != "server").map(|(name, _)| name.clone());
            machines.collect::<Vec<_>>()
        });
        names.extend(links.named().into_iter().cloned());
        names.sort();
        names.dedup();
        names
    }

    /// Lets go, in order, of the held messages that `goes` picks.
    fn release(self: &Rc<Self>, goes: impl Fn(&Self, &Held) -> bool) {
        let held = self.switch.held.take();
        let (go, stay): (VecDeque<_>, VecDeque<_>) = held.into_iter().partition(|held| goes(self, held));
        *self.switch.held.borrow_mut() = stay;
        go.into_iter().for_each(|held| self.post(held.letter, &held.lane));
    }

    /// Stops or starts time on the links.
    pub(super) fn freeze_links(self: &Rc<Self>, frozen: bool) {
        self.switch.frozen.set(frozen);
        if !frozen {
            self.release(|_, held| held.by_freeze);
        }
    }

    /// Takes one held message: the oldest that fits. `None` if there is none.
    fn take_held(&self, fits: impl Fn(&Message) -> bool) -> Option<Held> {
        let mut held = self.switch.held.borrow_mut();
        let position = held.iter().position(|held| fits(&held.letter.message))?;
        held.remove(position)
    }

    /// Does one thing with one held message: delivers it, loses it, or delivers a copy of it.
    pub(super) async fn with_held(self: &Rc<Self>, which: &Which, act: HeldAct) -> Result<String, Refusal> {
        let fits = |message: &Message| match which {
            Which::Id(id) => message.id == *id,
            Which::Oldest(links) => links.contains(&message.from, &message.to),
        };
        let held = self.take_held(fits).ok_or("no message is held there; `lab hold A>B` holds what comes")?;
        let told = held.letter.message.id.clone();
        match act {
            HeldAct::Drop => self.report_dropped(&held.letter.message, "asked"),
            HeldAct::Deliver => self.deliver_held(held).await,
            HeldAct::Dup => {
                let copy = Held { letter: held.letter.clone(), lane: held.lane.clone(), by_freeze: held.by_freeze };
                self.switch.held.borrow_mut().push_front(copy);
                self.deliver_held(held).await;
            }
        }
        Ok(told)
    }

    /// In a frozen world: delivers the oldest message that waits for `to`.
    pub(super) async fn step_message(self: &Rc<Self>, to: &str) -> Result<String, Refusal> {
        let held = self.take_held(|message| message.to == to).ok_or(format!("no message waits for {to}"))?;
        let told = held.letter.message.id.clone();
        self.deliver_held(held).await;
        Ok(told)
    }

    /// Delivers one message past rules and freeze, and returns when it has arrived or is lost.
    async fn deliver_held(self: &Rc<Self>, held: Held) {
        let Held { mut letter, lane, .. } = held;
        (letter.due, letter.at_once) = (Instant::now(), true);
        let id = letter.message.id.clone();
        self.post(letter, &lane);
        self.until(DIAL, |world| !world.links.flying.iter().any(|flying| flying.message.id == id)).await;
    }
}

/// What to do with a held message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldAct {
    Deliver,
    Drop,
    Dup,
}

type Out = FramedWrite<OwnedWriteHalf, LengthDelimitedCodec>;

/// A machine's call: whom it dialled, its first frame, and the lane of its messages.
struct Call {
    dial: Dial,
    first: Bytes,
    lane: mpsc::WeakSender<Letter>,
}

/// A connection to the machine that was dialled.
struct Line {
    out: Out,
    open: Rc<Cell<bool>>,
}

impl Line {
    fn is_open(&self) -> bool {
        self.open.get()
    }
}
