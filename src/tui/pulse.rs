//! What a picture of *now* cannot tell: the messages that were on their way a moment ago, and how long clocks stood still.
//!
//! The world forgets a message when it arrives, often within a millisecond. For the eye each message stays on its way
//! for at least [`FLIGHT`], and where it was lost a mark stays as long. A timer's bar runs between two reports, so its
//! place is worked out from wall time; while the world is frozen it stands.

use std::collections::VecDeque;

use crate::world::event::{Link, Message, What};
use crate::world::{Event, World};

/// How long a message is seen on its way at least, in microseconds.
pub const FLIGHT: u64 = 600_000;
/// How many messages are remembered.
const MOST: usize = 64;

/// The recent past of links and clocks. A fold over events, like the world.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pulse {
    flights: VecDeque<Flight>,
    frozen_at: Option<u64>,
    stood: Option<(u64, u64)>,
}

/// A message seen on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Flight {
    /// The message.
    pub message: Message,
    /// When it was sent, wall time in microseconds.
    pub sent: u64,
    /// When it arrived or was lost, and whether it was lost.
    pub ended: Option<(u64, bool)>,
    /// Whether it waits to be delivered by hand.
    pub held: bool,
}

/// Where a message is to be drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spot {
    /// On its way: the share of the way behind it, 0 to 1.
    Way(f64),
    /// Lost at this share of the way.
    Lost(f64),
    /// Waiting to be delivered by hand.
    Held,
}

impl Pulse {
    /// Begins anew from a whole picture.
    pub fn begin(&mut self, world: &World) {
        *self = Self { frozen_at: world.frozen.then_some(world.at), ..Self::default() };
        for flying in world.links.flying.iter().rev().take(MOST).rev() {
            let (message, sent, held) = (flying.message.clone(), flying.since, flying.held);
            self.flights.push_back(Flight { message, sent, ended: None, held });
        }
    }

    /// Folds one event in.
    pub fn see(&mut self, event: &Event) {
        match &event.what {
            What::Link(link) => self.link(event.at, link),
            What::Clock { frozen: true, .. } => self.frozen_at = self.frozen_at.or(Some(event.at)),
            What::Clock { frozen: false, .. } => {
                if let Some(from) = self.frozen_at.take() {
                    self.stood = Some((from, event.at));
                }
            }
            What::Opened { .. } => *self = Self::default(),
            _ => {}
        }
    }

    fn link(&mut self, at: u64, link: &Link) {
        let mut end = |id: &str, lost| {
            if let Some(flight) = self.flights.iter_mut().rev().find(|f| f.message.id == id) {
                (flight.ended, flight.held) = (Some((at, lost)), false);
            }
        };
        match link {
            Link::Sent(message) => {
                if self.flights.len() == MOST {
                    self.flights.pop_front();
                }
                self.flights.push_back(Flight { message: message.clone(), sent: at, ended: None, held: false });
            }
            Link::Delivered { id } => end(id, false),
            Link::Dropped { id, .. } => end(id, true),
            Link::Held { id } => self.flights.iter_mut().filter(|f| f.message.id == *id).for_each(|f| f.held = true),
            Link::Rule { .. } => {}
        }
    }

    /// The messages to draw at wall time `now`, oldest first. `delay` gives a link's delay in microseconds.
    pub fn spots(&self, now: u64, delay: impl Fn(&str, &str) -> u64) -> Vec<(&Flight, Spot)> {
        let spot = |flight| Some((flight, self.spot(flight, now, &delay)?));
        self.flights.iter().filter_map(spot).collect()
    }

    fn spot(&self, flight: &Flight, now: u64, delay: &impl Fn(&str, &str) -> u64) -> Option<Spot> {
        if flight.held {
            return Some(Spot::Held);
        }
        let whole = delay(&flight.message.from, &flight.message.to).max(FLIGHT);
        let share = match flight.ended {
            // What has ended is past: it is shown to its end, though the world may stand by now.
            Some(_) => now.saturating_sub(flight.sent) as f64 / whole as f64,
            None => self.elapsed(flight.sent, now) as f64 / whole as f64,
        };
        match flight.ended {
            Some((at, true)) => {
                let at_share = (at.saturating_sub(flight.sent) as f64 / whole as f64).clamp(0.35, 0.75);
                (now < at + 2 * FLIGHT).then_some(if share < at_share {
                    Spot::Way(share)
                } else {
                    Spot::Lost(at_share)
                })
            }
            Some((_, false)) => (share < 1.0).then_some(Spot::Way(share)),
            None => (share < 20.0).then_some(Spot::Way(share.min(0.97))),
        }
    }

    /// The share of a timer that has passed at wall time `now`, 0 to 1. `timer` is start and length in microseconds.
    pub fn share(&self, timer: (u64, u64), now: u64) -> f64 {
        if timer.1 == 0 {
            return 1.0;
        }
        (self.elapsed(timer.0, now) as f64 / timer.1 as f64).clamp(0.0, 1.0)
    }

    /// How much of the time from `since` to `now` the clocks ran.
    fn elapsed(&self, since: u64, now: u64) -> u64 {
        let now = self.frozen_at.map_or(now, |at| now.min(at));
        let stood = self.stood.filter(|(from, to)| since < *from && *to <= now).map_or(0, |(from, to)| to - from);
        now.saturating_sub(since).saturating_sub(stood)
    }

    /// Whether anything on the screen moves by itself at wall time `now`.
    pub fn moves(&self, world: &World, now: u64) -> bool {
        let runs = |n: &crate::world::raft::Node| n.timer.is_some_and(|t| n.alive && self.share(t, now) < 1.0);
        (self.frozen_at.is_none() && world.raft.nodes.values().any(runs))
            || self.flights.iter().any(|f| matches!(self.spot(f, now, &|_, _| 0), Some(Spot::Way(_) | Spot::Lost(_))))
    }
}

#[cfg(test)]
mod tests {
    use super::{FLIGHT, Pulse, Spot};
    use crate::world::Event;
    use crate::world::event::{Link, Message, What};

    fn event(at: u64, what: What) -> Event {
        Event { seq: 0, id: "keeper#1".into(), who: "keeper".into(), at, logical: 0, cause: None, what }
    }

    fn sent(at: u64) -> Event {
        let (id, from, to) = ("n1#1".into(), "n1".into(), "n2".into());
        event(at, What::Link(Link::Sent(Message { id, from, to, kind: "AppendEntries".into(), note: String::new() })))
    }

    fn only(pulse: &Pulse, now: u64) -> Option<Spot> {
        pulse.spots(now, |_, _| 0).first().map(|s| s.1)
    }

    /// A message that arrives at once is still seen to travel, then it is gone.
    #[test]
    fn a_fast_message_can_be_followed() {
        let mut pulse = Pulse::default();
        pulse.see(&sent(1000));
        pulse.see(&event(1001, What::Link(Link::Delivered { id: "n1#1".into() })));
        assert_eq!(only(&pulse, 1000 + FLIGHT / 2), Some(Spot::Way(0.5)));
        assert_eq!(only(&pulse, 1000 + FLIGHT), None);
    }

    /// A held message waits where it is, however long, until it is delivered.
    #[test]
    fn a_held_message_waits() {
        let mut pulse = Pulse::default();
        pulse.see(&sent(0));
        pulse.see(&event(1, What::Link(Link::Held { id: "n1#1".into() })));
        assert_eq!(only(&pulse, 1000 * FLIGHT), Some(Spot::Held));
        pulse.see(&event(1000 * FLIGHT, What::Link(Link::Delivered { id: "n1#1".into() })));
        assert_eq!(only(&pulse, 1000 * FLIGHT + 1), None);
    }

    /// Freezing the world does not leave a message standing that had arrived before.
    #[test]
    fn what_has_arrived_does_not_freeze() {
        let mut pulse = Pulse::default();
        pulse.see(&sent(0));
        pulse.see(&event(1, What::Link(Link::Delivered { id: "n1#1".into() })));
        pulse.see(&event(2, What::Clock { speed: 1.0, frozen: true }));
        assert_eq!(only(&pulse, 2 * FLIGHT), None);
    }

    /// While the world is frozen a timer stands, and afterwards it goes on from there.
    #[test]
    fn a_frozen_timer_stands() {
        let mut pulse = Pulse::default();
        pulse.see(&event(300, What::Clock { speed: 1.0, frozen: true }));
        assert_eq!(pulse.share((100, 1000), 900), 0.2);
        pulse.see(&event(900, What::Clock { speed: 1.0, frozen: false }));
        assert_eq!(pulse.share((100, 1000), 1000), 0.3);
    }
}
