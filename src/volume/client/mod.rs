//! c
pub mod connection;
pub mod files;
pub mod heal;
pub mod net;
pub mod set;
pub mod wire;
