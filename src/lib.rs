//! # Terrarium: a distributed system under glass
//!
//! One binary, many roles. `main` looks at its own name and first argument and becomes the screen, a Raft
//! node, a mount daemon, a brick, a manager, a container's init or a command-line tool; so `ps` shows the
//! truth, and every part can be run, killed and read alone.
//!
//! Read the rooms in this order:
//!
//! * [`raft`], [`union`], [`volume`], [`container`]: the four things that the program exists to show. Each core
//!   is pure: a value goes in, values come out. The folder inside each (`server`, `mount`, `brick`, `manager`,
//!   `client`, `runtime`) is the role around it: sockets, disk, clock.
//! * [`world`]: one picture of everything ([`world::World`]), what changes it ([`world::Event`]), and what a
//!   person may ask for ([`world::Command`]).
//! * [`sandbox`]: the namespaces in which all of it lives, so that the host stays untouched.
//! * [`keeper`]: pid 1's child; owns the world's processes, links and journal, and carries out commands.
//! * [`lab`]: the course is data: YAML in, steps, checks and marks out.
//! * [`tui`]: the screen, a function of the world.
//! * [`cli`]: one file a verb.
//!
//! `tests/layers.rs` holds who may import whom.

pub mod cli;
pub mod container;
pub mod keeper;
pub mod lab;
pub mod raft;
pub mod sandbox;
pub mod tui;
pub mod union;
pub mod volume;
pub mod world;
