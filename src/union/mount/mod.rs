//! The role `mount`.

pub mod copy;
pub mod fs;
pub mod io;
pub mod real;
