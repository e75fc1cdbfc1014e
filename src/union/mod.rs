//! The union core.

mod event;
pub use event::Happening;
