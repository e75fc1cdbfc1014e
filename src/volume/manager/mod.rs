//! manager
pub mod info;
pub mod peer;
pub mod wire;
