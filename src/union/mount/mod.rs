//! # The role `mount`: a union of real directories, served to the kernel by FUSE
//!
//! [`session`] mounts and serves ([`attach`]: the branches' directories and the mount table); [`fs`] turns the kernel's requests into operations of the core (`contents` reads and
//! writes, `listing` reads directories, `attributes` has the kernel's forms; [`shared`] is what all threads share); [`real`] is a directory as a
//! branch ([`held`] are its directories, [`copy`] and [`io`] its larger system calls); [`rest`] closes files that are not written any more;
//! [`passthrough`] hands files over to the kernel where that was asked for;
//! [`watch`] notices what is changed in the branches directly;
//! [`kernel`] is told what to forget; [`control`] is the socket through which a live union is remounted ([`remount`]); [`answer`] is what it says of itself, [`check`] what it
//! says of a branch.
//!
//! Permissions are checked by the kernel (`default_permissions`) against the attributes that we give, so of a merged directory
//! the top copy alone is asked: what AUFS calls `dirperm1`.

pub mod answer;
pub mod attach;
mod attributes;
pub mod cached;
pub mod check;
mod contents;
pub mod control;
pub mod copy;
pub mod fs;
pub mod held;
pub mod io;
pub mod kernel;
mod listing;
pub mod passthrough;
pub mod real;
pub mod remount;
pub mod rest;
pub mod session;
pub mod shared;
pub mod watch;
