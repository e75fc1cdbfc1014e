//! The volume core.

pub mod definition;
mod event;
pub mod handshake;
pub mod hosts;
pub mod manager;
pub mod options;

pub use event::Happening;
