//! # The screen: a function of the world
//!
//! [`view`] draws one frame from the [`World`](crate::world::World) and the [`Ui`] (what this person looks at:
//! language, focused pane, selection, scroll); [`update`] changes the `Ui` for one [`Action`] and says which
//! [`Effect`]s the driver must carry out, most of them a [`Command`](crate::world::Command) to the world. Neither does
//! I/O or reads a clock, so every frame and every key can be tested without a terminal. [`run`] is the driver around
//! them: terminal, keyboard, signals, keeper's client, the shell's PTY.
//!
//! * [`keys`]: every key is one row of one table, and the help is that table.
//! * [`panes`]: one file a pane, all in one table; [`layout`] decides which are seen.
//! * [`cluster`](panes) and the other panes draw from the world alone; [`pulse`] keeps what a picture of *now* cannot tell:
//!   the messages that were on their way a moment ago, and how long the clocks stood still.
//! * [`text`] and [`theme`]: words and colours come from `assets/`.
//! * [`tutor`] and [`host`]: what the screen wants from the course and from whoever opens worlds.
//!
//! Left out: the mouse (it would take text selection away), and images.

pub mod action;
pub mod demo;
pub mod guide;
pub mod host;
pub mod keys;
pub mod layout;
mod overlay;
pub mod panes;
mod pty;
pub mod pulse;
mod run;
mod settings;
pub mod shell;
mod terminal;
pub mod text;
pub mod theme;
pub mod tutor;
mod ui;
mod update;
mod view;
pub mod width;
mod wrap;

pub use action::{Action, Effect, Verb};
pub use run::{Gone, run};
pub use ui::{Notice, Place, Ui};
pub use update::update;
pub use view::view;
