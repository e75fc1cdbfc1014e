//! What the screen wants of the course. The labs, their checks and the progress are `lab`'s ([`course`] is the adapter); the
//! screen shows what it is told and passes on what the person wishes.

pub mod course;

use std::path::Path;

use super::action::Wish;
use super::guide::{Card, Guide};

/// Called whenever a lesson's guide would give something new.
pub type Changed = Box<dyn Fn() + Send + Sync>;

/// The course, as the screen sees it.
pub trait Tutor: Send + Sync {
    /// The labs in order with their progress, in this language (`zh-CN`).
    fn cards(&self, language: &str) -> Vec<Card>;

    /// Begins or resumes a lab in the world whose keeper listens at `socket`. May take a while.
    ///
    /// # Errors
    /// One line: what is wrong, and what to try.
    fn open(&self, lab: &str, socket: &Path, changed: Changed) -> Result<Box<dyn Lesson>, String>;

    /// Forgets the progress in a lab (its evidence is archived).
    fn forget(&self, lab: &str);
}

/// A lab that is open. No call may wait: what takes time is done elsewhere and told by [`Changed`].
pub trait Lesson: Send {
    /// The current step, in this language.
    fn guide(&self, language: &str) -> Guide;

    /// The person wishes this.
    fn wish(&self, wish: Wish);
}
