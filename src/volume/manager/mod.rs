//! manager
pub mod info;
pub mod op;
pub mod peer;
pub mod state;
pub mod task;
pub mod wire;
