//! # The replicated volume: GlusterFS's behaviour, small and real
//!
//! A **volume** makes one file system of directories on several servers, the **bricks**. There is no server of names and no
//! table of places: the hash of a name says which bricks it is on ([`hash`], [`layout`]); each file lies on those bricks as a plain
//! file, with everything else that the volume must know in its extended attributes ([`xattr`]). A client talks to all copies itself;
//! it writes to each and lets those that got a write remember who did not ([`replicate`]); a healer later copies what was
//! missed ([`heal`]).
//!
//! Pure parts: [`gfid`], [`hash`], [`layout`], [`xattr`], [`replicate`], [`heal`], [`scrub`], [`ranges`], [`definition`],
//! [`options`], [`volfile`]. The roles around them:
//! [`brick`] (serves one directory), [`client`] (FUSE mount, self-heal daemon, migration), [`manager`] (owns the definitions, starts the others). [`rpc`] is what clients and bricks say to
//! each other, [`handshake`] what everybody says to a manager.
//!
//! Left out: dispersed volumes, shards, quota, snapshots, geo-replication.

mod acl;
pub mod brick;
pub mod client;
pub mod definition;
pub mod dump;
mod event;
pub mod gfid;
pub mod handshake;
pub mod hash;
pub mod heal;
pub mod layout;
pub mod manager;
pub mod options;
pub mod ranges;
pub mod replicate;
pub mod rpc;
pub mod scrub;
pub mod volfile;
pub mod wire;
pub mod xattr;

pub use event::{Copy, CopyState, Happening};
pub use manager::hosts;
