//! Selectors: machines named by what they are.
//!
//! A lab cannot know which node will lead. So wherever a lab names a machine it may write a selector, which is looked
//! up in the [`World`] at the moment of use:
//!
//! | selector | machine |
//! |---|---|
//! | `leader`, `leader:2` | the leader of the highest term; the one that does not know yet that it is out of date |
//! | `follower`, `follower:2` | the first, second, … live follower, by name |
//! | `candidate`, `candidate:2` | the same of candidates |
//! | `down`, `down:2` | the same of nodes whose process does not exist |
//! | `node:2` | the second node, by name |
//! | `was:leader`, `was:follower:2`, … | the machine that it was when the step began |
//!
//! Anything else is a name. In a command, the parts of `a,b` and of `a>b` are selectors each.

use crate::world::command::{Links, Which};
use crate::world::{Command, World};

/// The world now and the world when the step began: what a selector is looked up in.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The world now.
    pub now: &'a World,
    /// The world when the step began.
    pub start: &'a World,
}

/// A selector found no machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no machine is `{0}` now")]
pub struct Nobody(pub String);

impl Scene<'_> {
    /// The machine that `word` selects; a plain name is itself.
    ///
    /// # Errors
    /// [`Nobody`] if the word is a selector and no machine fits.
    pub fn find(self, word: &str) -> Result<String, Nobody> {
        let (world, plain) = match word.strip_prefix("was:") {
            Some(rest) => (self.start, rest),
            None => (self.now, word),
        };
        let Some((what, place)) = parse(plain) else { return Ok(word.into()) };
        let fits = machines(world, what);
        fits.get(place - 1).cloned().ok_or_else(|| Nobody(word.into()))
    }

    /// The command with every selector replaced by the machine that it selects.
    ///
    /// # Errors
    /// [`Nobody`] as of [`Scene::find`].
    pub fn resolve(self, command: Command) -> Result<Command, Nobody> {
        use Command as C;
        Ok(match command {
            C::Start(who) => C::Start(self.each(who)?),
            C::Kill(who) => C::Kill(self.each(who)?),
            C::Pause(who) => C::Pause(self.each(who)?),
            C::Resume(who) => C::Resume(self.each(who)?),
            C::Cut(links) => C::Cut(self.links(links)?),
            C::Heal(links) => C::Heal(self.links(links)?),
            C::Hold(links) => C::Hold(self.links(links)?),
            C::Delay(links, ms) => C::Delay(self.links(links)?, ms),
            C::Loss(links, share) => C::Loss(self.links(links)?, share),
            C::Double(links, share) => C::Double(self.links(links)?, share),
            C::Deliver(which) => C::Deliver(self.which(which)?),
            C::Drop(which) => C::Drop(self.which(which)?),
            C::Dup(which) => C::Dup(self.which(which)?),
            C::Step(who, step) => C::Step(self.find(&who)?, step),
            C::Client(node, words) => C::Client(self.find(&node)?, words),
            C::Log(node) => C::Log(self.find(&node)?),
            C::Ask(who, words) => C::Ask(self.find(&who)?, words),
            other => other,
        })
    }

    fn each(self, words: Vec<String>) -> Result<Vec<String>, Nobody> {
        words.iter().map(|word| self.find(word)).collect()
    }

    fn links(self, links: Links) -> Result<Links, Nobody> {
        Ok(match links {
            Links::All => Links::All,
            Links::Between(a, b) => Links::Between(self.each(a)?, self.each(b)?),
            Links::Arrow(from, to) => Links::Arrow(self.find(&from)?, self.find(&to)?),
        })
    }

    fn which(self, which: Which) -> Result<Which, Nobody> {
        Ok(match which {
            Which::Oldest(links) => Which::Oldest(self.links(links)?),
            id @ Which::Id(_) => id,
        })
    }
}

/// A selector's kind and place (from 1), if the word is one.
fn parse(word: &str) -> Option<(&str, usize)> {
    let (what, place) = word.split_once(':').unwrap_or((word, "1"));
    let place = place.parse().ok().filter(|place| *place > 0)?;
    let known = ["leader", "follower", "candidate", "down", "node"].contains(&what);
    known.then_some((what, place)).filter(|_| what != "node" || word != "node")
}

fn machines(world: &World, what: &str) -> Vec<String> {
    let fits = |node: &crate::world::raft::Node| match what {
        "down" => !node.alive,
        "node" => true,
        role => node.alive && role_of(node) == role,
    };
    let mut found: Vec<_> = world.raft.nodes.iter().filter(|(_, node)| fits(node)).collect();
    if what == "leader" {
        found.sort_by_key(|(_, node)| std::cmp::Reverse(node.term));
    }
    found.into_iter().map(|(name, _)| name.clone()).collect()
}

/// A node's role in the word that events, labs and texts use: `follower`, `candidate`, `leader`.
pub fn role_of(node: &crate::world::raft::Node) -> String {
    serde_json::to_value(node.role).ok().and_then(|role| Some(role.as_str()?.to_owned())).unwrap_or_default()
}
