//! What the screen wants of the course. The labs, their checks and the progress are `lab`'s; the screen shows what it
//! is told and passes on what the person wishes.

use crate::world::client::Client;

use super::action::Wish;
use super::guide::{Card, Guide};

/// The course, as the screen sees it. No call may wait: what takes time is done elsewhere and told by `changed`.
pub trait Tutor: Send {
    /// Speak this language from now on (`zh-CN`).
    fn speak(&mut self, language: &str);

    /// The labs in order, with progress.
    fn cards(&self) -> Vec<Card>;

    /// Begin or resume the lab in the world at the other end of `client`; call `changed` whenever [`Tutor::guide`] would
    /// give something new.
    fn open(&mut self, lab: &str, client: Client, changed: Box<dyn Fn() + Send + Sync>);

    /// The open lab's current step.
    fn guide(&self) -> Guide;

    /// The person wishes this. [`Wish::Reset`] does not come here if it asks for a fresh world: the driver closes the
    /// lab, resets the world, and opens both again after [`Tutor::reset`].
    fn wish(&mut self, wish: Wish);

    /// Forget the progress in this lab (its evidence is archived).
    fn reset(&mut self, lab: &str);

    /// The lab is left; what runs is stopped.
    fn close(&mut self);
}
