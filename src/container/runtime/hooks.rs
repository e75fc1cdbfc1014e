//! Hooks: command lines of the configuration (`lxc.hook.…`) that run at turns of a container's life.
//! Source: lxc.container.conf(5) "CONTAINER HOOKS".
//!
//! | hook | when, and where |
//! |---|---|
//! | `pre-start` | before anything is mounted; in the world |
//! | `start-host` | when the room is made and pid 1 waits to begin; in the world |
//! | `start` | just before pid 1 becomes its program; in the container |
//! | `post-stop` | when the container has ended; in the world |
//!
//! A hook that fails stops the start. Those for moments that our start does not have (`pre-mount`, `mount`, `autodev`, …) are named
//! as left out.

use std::path::Path;
use std::process::{Command, Stdio};

use super::super::spec::Spec;
use super::{Doing, Error};

/// Runs the hooks of a kind, one after another, with the name, `lxc` and the kind as arguments, and the variables that LXC sets.
///
/// # Errors
/// The first that does not end with 0.
pub fn run(kind: &str, spec: &Spec, config: &Path, pid: Option<i32>) -> Result<(), Error> {
    for (_, line) in spec.hooks.iter().filter(|(own, _)| own == kind) {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("exec {line} \"$@\"")).args(["sh", &spec.name, "lxc", kind]);
        command.env("LXC_NAME", &spec.name).env("LXC_HOOK_TYPE", kind).env("LXC_HOOK_SECTION", "lxc");
        command.env("LXC_CONFIG_FILE", config).env("LXC_ROOTFS_PATH", spec.rootfs.path()).env("LXC_HOOK_VERSION", "0");
        command.envs(pid.map(|pid| ("LXC_PID", pid.to_string()))).stdin(Stdio::null());
        let status = command.status().doing(|| format!("run lxc.hook.{kind} = {line}"))?;
        if !status.success() {
            return Err(Error::said(format!("lxc.hook.{kind} = {line}: it ended with {status}")));
        }
    }
    Ok(())
}
