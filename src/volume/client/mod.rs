//! # The client: where a volume is put together
//!
//! All of GlusterFS's cleverness is on the client's side: it knows the volume, hashes names, writes to every copy, chooses the
//! one to read. Layer by layer, from the kernel down: [`mount`] (FUSE, write-behind), [`files`] (which set has a name), [`set`] (one
//! replica set: transactions, leases, reads), [`wire`] and its TCP form [`net`] and [`connection`]. [`session`] holds them together;
//! [`manager`] is where volumes come from.
//!
//! What a request does on its way is told by [`tale`]. The same client heals ([`heal`], [`shd`]), answers `heal info` ([`info`]) and moves files ([`migrate`]); [`role`] makes processes of it.

pub mod connection;
mod copies;
pub mod dump;
pub mod files;
pub mod heal;
pub mod info;
pub mod manager;
mod meta;
pub mod migrate;
pub mod mount;
pub mod net;
mod opens;
pub mod role;
mod scrub;
mod scrubber;
pub mod session;
pub mod set;
pub mod shd;
#[cfg(test)]
mod sim;
pub mod tale;
pub mod wire;
