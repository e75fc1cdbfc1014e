//! c
pub mod connection;
pub mod files;
pub mod heal;
pub mod manager;
pub mod mount;
pub mod net;
pub mod role;
pub mod session;
pub mod set;
pub mod wire;
