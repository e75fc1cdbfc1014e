//! Freezing: every process of a container stands still, by its control group where it has one, else by SIGSTOP.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cgroup::Cgroups;
use super::{Doing, Error};

/// How often we look for processes that were born while we stopped their parents.
const ROUNDS: usize = 20;

/// Stops or continues everything in the container whose pid 1 is `pid`.
///
/// # Errors
/// When the control group refuses.
pub fn set(cgroups: &Cgroups, pid: i32, frozen: bool) -> Result<(), Error> {
    if let Some(file) = cgroups.file("cgroup.freeze") {
        return fs::write(file, if frozen { "1" } else { "0" }).doing(|| "set cgroup.freeze");
    }
    if let Some(file) = cgroups.file("freezer.state") {
        return fs::write(file, if frozen { "FROZEN" } else { "THAWED" }).doing(|| "set freezer.state");
    }
    let signal = if frozen { Signal::SIGSTOP } else { Signal::SIGCONT };
    let mut before: Vec<i32> = Vec::new();
    for _ in 0..ROUNDS {
        let now = members(pid);
        if now == before {
            break;
        }
        for new in now.iter().filter(|p| !before.contains(p)) {
            let _ = kill(Pid::from_raw(*new), signal); // one that has just ended needs nothing
        }
        before = now;
    }
    Ok(())
}

/// Process ids (ours) of everything in the pid namespace of `pid`, sorted.
pub fn members(pid: i32) -> Vec<i32> {
    let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let Some(own) = namespace(pid) else { return Vec::new() };
    everybody().into_iter().filter(|p| namespace(*p).as_ref() == Some(&own)).collect()
}

/// Process ids of everything that we see, sorted.
pub fn everybody() -> Vec<i32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<i32> = all.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}
