//! The volume core.

mod event;
pub use event::Happening;
