//! What comes into the screen, and what it wants done.

use std::sync::Arc;

use crossterm::event::KeyEvent;

use crate::world::{Command, Event};

use super::guide::{Card, Guide};
use super::panes::PaneId;

/// Something that a person may do on the screen, by a key or by its name in the palette. One verb, one short name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Verb {
    Help,
    Palette,
    Back,
    Cancel,
    Enter,
    Language,
    Theme,
    Suspend,
    Redraw,
    Up,
    Down,
    Left,
    Right,
    Top,
    Bottom,
    HalfUp,
    HalfDown,
    NextPane,
    PrevPane,
    Focus(PaneId),
    Zoom,
    Search,
    NextMatch,
    PrevMatch,
    Filter,
    Copy,
    Hint,
    Check,
    Next,
    Undo,
    Reset,
    Solve,
    Freeze,
    Step,
    Slower,
    Faster,
    Leader,
    Kill,
    Start,
    Pause,
    Resume,
    Tick,
    Receive,
    Mark,
    OneWay,
    Cut,
    Heal,
    HealAll,
    Hold,
    Message,
    Deliver,
    Drop,
    Double,
    Why,
}

impl Verb {
    /// Its name: `next-pane`, `go-cluster`. Its text in the languages is `verb-` and this.
    pub fn name(self) -> String {
        if let Self::Focus(pane) = self {
            return format!("go-{}", pane.name());
        }
        let mut name = String::new();
        for c in format!("{self:?}").chars() {
            if c.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.extend(c.to_lowercase());
        }
        name
    }
}

/// One thing that comes into the screen.
#[derive(Debug, Clone)]
pub enum Action {
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The terminal has this many columns and rows now.
    Resize(u16, u16),
    /// It is this late: wall time in microseconds since the epoch.
    Time(u64),
    /// Do this, as if its key had been pressed.
    Do(Verb),
    /// The list of labs is this.
    Cards(Vec<Card>),
    /// There will be no list of labs, and why.
    NoCards(String),
    /// The guide shows this now.
    Guide(Box<Guide>),
    /// The lab's world is open.
    Opened,
    /// The lab's world could not be opened, or has ended; why. Empty: it was left.
    Closed(String),
    /// The world began anew: a whole picture took its place.
    Snapshot,
    /// An event that was folded into the world.
    Event(Arc<Event>),
    /// The outcome of a command that the screen had sent: `Ok` in words, or why it failed.
    Replied(Result<String, String>),
    /// Bytes from the shell's terminal.
    Shell(Vec<u8>),
    /// The shell ended.
    ShellEnded,
    /// Something would be lost by leaving: ask first.
    Busy(String),
    /// Text was copied; where to.
    Copied(Result<String, String>),
}

/// What the driver must do after an [`Action`], in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask the world for this.
    Send(Command),
    /// Open the lab with this id: its world, its guide.
    Open(String),
    /// Leave the lab; unless `sure`, tell first (by [`Action::Busy`]) if something would be lost.
    Leave {
        /// The person has been asked.
        sure: bool,
    },
    /// End the program.
    Quit,
    /// To the course, about the lab that is open.
    Tutor(Wish),
    /// The course must speak this language from now on.
    Speak(&'static str),
    /// Language or theme was chosen: keep it for the next time.
    Keep,
    /// These bytes were typed in the shell. Starts it if it does not run.
    Type(Vec<u8>),
    /// The shell's terminal has this many columns and rows; starts it if it does not run.
    Shell(u16, u16),
    /// Copy this text.
    Copy(String),
    /// Give the terminal back and stop until the shell's `fg`.
    Suspend,
    /// Draw the whole screen anew.
    Redraw,
}

/// What a person wants of the course.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Check the step.
    Check,
    /// Stop the check that runs.
    Cancel,
    /// Show the next hint.
    Hint,
    /// Go to the next step.
    Next,
    /// Undo the step: back to where it began.
    Undo,
    /// Reset the lab.
    Reset,
    /// Show how it is done; marks the step as not scored.
    Solve,
    /// Answer question `.0` of the step with choice `.1`, both from 0.
    Answer(usize, usize),
}
