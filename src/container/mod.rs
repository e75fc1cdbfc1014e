//! # Containers: a room of one's own, made of namespaces
//!
//! A container is an ordinary process that was given its own view of the machine before its program began: its own
//! process numbers, host name, network, and a root directory that is somebody else's folder. Nothing is simulated;
//! the kernel does all of it, and this module only says in which order to ask.
//!
//! The reading order is the order of a container's life:
//!
//! * [`image`]: what lies in a small root filesystem, as a list of files to make ([`elf`] finds the libraries a program
//!   needs, [`oci`] reads images that others made).
//! * [`config`]: LXC's `config` file, line by line; [`spec`]: the same, understood.
//! * [`plan`]: what to mount where, in which order: a value, made without touching anything ([`mount_entry`] reads the
//!   fstab lines of `lxc.mount.entry`, [`capability`] knows what is taken away).
//! * [`protocol`]: what the `lxc-*` commands and a container's monitor say to each other; [`table`]: how `lxc-ls` and
//!   `lxc-info` show it.
//! * [`runtime`]: carries all of this out.
//!
//! The behaviour follows the manual pages of LXC 5. Left out: AppArmor, SELinux and seccomp profiles, checkpointing, some hooks,
//! and storage backends other than directories and overlays. A key of the configuration that is left out is named when the container starts.

pub mod capability;
pub mod config;
pub mod elf;
mod event;
pub mod image;
pub mod mount_entry;
pub mod oci;
pub mod plan;
pub mod protocol;
pub mod runtime;
pub mod spec;
pub mod table;

pub use event::{Happening, Mounted, Room};
