//! A container's network.

use super::super::spec::Spec;
use super::{Doing, Error, sys};

/// Makes the outer part, before pid 1 begins: for each `veth` a pair of interfaces, one end in the container. Gives the
/// names of the outer ends.
///
/// # Errors
/// When the world's network does not allow it.
pub fn outside(spec: &Spec, _holder: i32) -> Result<Vec<String>, Error> {
    match spec.net.iter().find(|(_, n)| n.kind == "veth") {
        Some((number, _)) => {
            Err(Error::said(format!("lxc.net.{number}.type = veth: not there yet; use empty or none")))
        }
        None => Ok(Vec::new()),
    }
}

/// Makes the inner part, as pid 1: loopback is up.
///
/// # Errors
/// When the kernel refuses.
pub fn inside(spec: &Spec) -> Result<(), Error> {
    if spec.shares_network() { Ok(()) } else { sys::interface_up("lo").doing(|| "bring lo up") }
}
