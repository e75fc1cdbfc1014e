//! What this person looks at: everything on the screen that is not the world.

use crate::world::{Command, World};

use super::guide::{Card, Guide};
use super::layout::{self, Layout};
use super::panes::{Go, PaneId, cluster, events, order, output, union};
use super::pulse::Pulse;
use super::shell::Shell;
use super::text::Texts;
use super::theme::{Paint, Theme};

/// How long a notice stays, in microseconds.
const NOTICE: u64 = 6_000_000;
/// Time between two frames while something moves, in microseconds.
pub const FRAME: u64 = 125_000;

/// The state of the screen.
pub struct Ui {
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// Wall time, microseconds since the epoch, as far as the screen was told.
    pub now: u64,
    /// The language.
    pub texts: Texts,
    /// The colours.
    pub theme: Theme,
    /// Which screen.
    pub place: Place,
    /// The labs.
    pub cards: Vec<Card>,
    /// Why there are none; empty while they are still read.
    pub no_cards: String,
    /// Which one is selected in the list.
    pub card: usize,
    /// The guide of the open lab.
    pub guide: Guide,
    /// The focused pane.
    pub focus: PaneId,
    /// The pane that the person wants beside the guide where there is room for one; none chosen: the world's own.
    pub wanted: Option<PaneId>,
    /// Whether the focused pane has the whole screen.
    pub zoom: bool,
    /// What lies over the panes.
    pub overlay: Option<Overlay>,
    /// A line for the person, for a few seconds.
    pub notice: Option<Notice>,
    /// The first key of a row of two.
    pub prefix: Option<String>,
    /// Whether the leader was pressed: the next key acts on the screen, not on the shell.
    pub leader: bool,
    /// What is searched for; empty: nothing.
    pub search: String,
    /// The line of the focused pane that was found last.
    pub matched: Option<usize>,
    /// The recent past of links and clocks.
    pub pulse: Pulse,
    /// Where the guide is scrolled to.
    pub guide_scroll: Scroll,
    /// Where the log is scrolled to.
    pub log_scroll: Scroll,
    /// Where the volume pane is scrolled to.
    pub volume_scroll: Scroll,
    /// Where the container pane is scrolled to.
    pub container_scroll: Scroll,
    /// The union pane.
    pub union: union::State,
    /// The cluster pane.
    pub cluster: cluster::State,
    /// The output pane.
    pub output: output::State,
    /// The events pane.
    pub events: events::State,
    /// The shell pane.
    pub shell: Shell,
}

/// Which screen is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The list of labs.
    List,
    /// This lab's world is being opened.
    Opening(String),
    /// This lab.
    Lab(String),
}

/// What lies over the panes and takes the keys.
#[derive(Debug, Clone, PartialEq)]
pub enum Overlay {
    /// The keys, scrolled by so many rows.
    Help(usize),
    /// Every action and command by name.
    Palette {
        /// What was typed.
        input: String,
        /// Which row is selected.
        row: usize,
        /// Why what was typed is not a command, after it was tried.
        wrong: String,
    },
    /// A line is asked for.
    Prompt(Prompt, String),
    /// Yes or no.
    Ask(Ask),
    /// A question of the step, and the choice that is pointed at.
    Question(usize, usize),
    /// The chain of causes of the event with this id, scrolled by so many rows.
    Why(String, usize),
    /// A text, scrolled by so many rows.
    Text(String, usize),
}

/// What a line is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// What to search for.
    Search,
    /// Which lines to show alone.
    Filter,
}

/// What must be confirmed.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Reset the lab.
    Reset,
    /// Undo the step.
    Undo,
    /// Show the solution.
    Solve,
    /// Leave though this still runs in the shell.
    Leave(String),
}

/// A line for the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The line.
    pub text: String,
    /// Good, bad or plain.
    pub paint: Paint,
    /// When it goes, wall time in microseconds.
    pub until: u64,
}

impl Ui {
    /// The first screen, before anything is known.
    pub fn new(texts: Texts, theme: Theme, size: (u16, u16), now: u64) -> Self {
        Self {
            size,
            now,
            texts,
            theme,
            place: Place::List,
            cards: Vec::new(),
            no_cards: String::new(),
            card: 0,
            guide: Guide::default(),
            focus: PaneId::Guide,
            wanted: None,
            zoom: false,
            overlay: None,
            notice: None,
            prefix: None,
            leader: false,
            search: String::new(),
            matched: None,
            pulse: Pulse::default(),
            guide_scroll: Scroll::default(),
            log_scroll: Scroll::end(),
            volume_scroll: Scroll::default(),
            container_scroll: Scroll::default(),
            union: union::State::default(),
            cluster: cluster::State::default(),
            output: output::State::default(),
            events: events::State::default(),
            shell: Shell::default(),
        }
    }

    /// Where everything stands.
    pub fn layout(&self, world: &World) -> Layout {
        layout::of(self, world)
    }

    /// The pane beside the guide where there is room for one: no picture that has nothing to show.
    pub fn live(&self, world: &World) -> PaneId {
        self.wanted.or_else(|| order(world, None).get(1).copied()).unwrap_or(PaneId::Shell)
    }

    /// The width and height of a pane's inside; zeros if it is not shown.
    pub fn room(&self, world: &World, pane: PaneId) -> (u16, u16) {
        self.layout(world).inside(pane).map_or((0, 0), |r| (r.width, r.height))
    }

    /// The text of this name.
    pub fn tr(&self, id: &str) -> String {
        self.texts.get(id)
    }

    /// Shows a line for a few seconds.
    pub fn tell(&mut self, paint: Paint, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), paint, until: self.now + NOTICE });
    }

    /// Whether what is typed goes to the shell.
    pub fn in_shell(&self) -> bool {
        matches!(self.place, Place::Lab(_)) && self.focus == PaneId::Shell && !self.leader && self.overlay.is_none()
    }

    /// The wall time at which the screen must be drawn again though nothing happened, if it must.
    pub fn wakes(&self, world: &World) -> Option<u64> {
        let lab = matches!(self.place, Place::Lab(_));
        let seen = lab && self.layout(world).inside(PaneId::Cluster).is_some();
        let moving = (seen && self.pulse.moves(world, self.now)) || matches!(self.place, Place::Opening(_));
        let frame = moving.then_some(self.now + FRAME);
        frame.into_iter().chain(self.notice.as_ref().map(|n| n.until)).min()
    }

    /// The commands for a step of the world's speed, one rung up or down the ladder.
    pub(super) fn speed(world: &World, faster: bool) -> Option<Command> {
        const LADDER: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];
        let rung = if faster {
            LADDER.into_iter().find(|s| *s > world.speed * 1.01)
        } else {
            LADDER.into_iter().rev().find(|s| *s < world.speed * 0.99)
        };
        rung.map(Command::Speed)
    }
}

/// Where a pane of lines is scrolled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scroll {
    /// The first line shown; unused while at the end.
    at: usize,
    /// Whether the last lines are shown and new ones followed.
    end: bool,
}

impl Scroll {
    /// At the end, following.
    pub fn end() -> Self {
        Self { at: 0, end: true }
    }

    /// The first line to show of `total`, where `height` fit.
    pub fn first(self, total: usize, height: usize) -> usize {
        let last = total.saturating_sub(height);
        if self.end { last } else { self.at.min(last) }
    }

    /// Goes somewhere; at the end new lines are followed only if the pane `follows` at all.
    pub fn go(&mut self, go: Go, total: usize, height: usize, follows: bool) {
        let last = total.saturating_sub(height);
        let at = match go {
            Go::By(lines) => self.first(total, height).saturating_add_signed(lines),
            Go::Line(line) => line.saturating_sub(height / 3),
            Go::Top => 0,
            Go::Bottom => last,
        };
        let down = matches!(go, Go::Bottom | Go::By(1..));
        *self = Self { at: at.min(last), end: follows && down && at >= last };
    }
}
