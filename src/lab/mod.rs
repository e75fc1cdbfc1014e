//! # The course is data
//!
//! YAML in, steps, checks and marks out. A lab is a folder with a `lab.yaml` (what happens) and texts in each language
//! (what is said); the engine here knows no lab by name, and a lab needs no code. It acts upon the world by
//! `Command`s and judges by what the system shows: the `World`, the events, the client port, the logs on disk.
//!
//! Read in this order:
//!
//! * [`course`]: what a [`Lab`], a [`Step`] and a [`Question`] are. [`file`](mod@file) reads them and says where they are wrong.
//! * [`text`], [`vars`]: words in two languages, and the student's own names and numbers in them.
//! * [`select`], [`pattern`]: how a lab names a machine that it cannot know (`leader`), and events.
//! * [`check`]: the kinds of checks, each a small module; a check speaks. [`fact`]: answers of predict questions.
//! * [`action`]: what a lab does itself.
//! * [`stage`]: the world as a lab sees it; [`live`] over a keeper, [`fake`] over scripted events.
//! * [`session`]: the life of a lab under a student's hands, off the screen's thread. [`progress`]: what stays of it.
//! * [`prove`]: the machine does every lab: untouched it fails, solved it passes, each mistake is answered.
//!
//! [`schema`] is for editors.
//!
//! What a screen needs: [`Course::built_in`], [`Session::open`], [`session::View`] and its methods.
//!
//! Left out: the report and the grade come from the journal and have modules of their own.

pub mod action;
pub mod check;
pub mod course;
pub mod fact;
pub mod fake;
pub mod file;
pub mod live;
mod one_key;
pub mod pattern;
pub mod progress;
pub mod prove;
pub mod schema;
pub mod select;
pub mod session;
pub mod stage;
pub mod text;
pub mod vars;

pub use course::{Course, Lab, Picture, Question, Step};
pub use progress::Progress;
pub use session::{Session, View};
pub use stage::Stage;
pub use text::{Lang, Message, Text};
