//! The container core.

mod event;
pub use event::Happening;
