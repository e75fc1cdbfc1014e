//! Changing a live union: the options of `mount -o remount,…`, strictly from left to right.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::attach::open_branch;
use super::kernel::{Kernel, expire_all};
use super::real::RealBranch;
use super::session;
use super::shared::{RealUnion, Shared};
use crate::union::branch::{Errno, Kind};
use crate::union::node::Member;
use crate::union::options::{self, Opt};
use crate::union::reshape::{Opener, Refused};

/// Applies an option list from left to right; gives the warnings. What was applied before an error stays. Paths in it are
/// absolute or relative to `cwd`.
///
/// # Errors
/// What is wrong with an option; `EBUSY` for a branch that is in use.
pub fn remount(
    list: &str,
    cwd: &Path,
    shared: &Shared,
    kernel: &Kernel,
    target: &Path,
) -> Result<Vec<String>, Refused> {
    let options = options::parse(list, false).map_err(|e| Refused::new(Errno::EINVAL, e.to_string()))?;
    let union = &shared.union;
    if options.has(session::PASSTHROUGH) && shared.passthrough.is_none() {
        let why = "passthrough must be there when the union is mounted: unmount, and mount with it";
        return Err(Refused::new(Errno::EINVAL, why));
    }
    if options.has(session::NO_POLL) && shared.awake.is_on() {
        return Err(Refused::new(
            Errno::EINVAL,
            "nopoll must be there when the union is mounted: unmount, and mount with it",
        ));
    }
    let open = |path: &str| open_branch(&cwd.join(path).to_string_lossy(), Some(target));
    let mut outcome = Ok(options.warnings);
    for opt in &options.own {
        if let Err(refused) = check_live(opt, shared)
            .and_then(|()| check_passed(opt, shared, &open))
            .and_then(|()| release(opt, union, kernel, &open))
        {
            outcome = Err(refused);
            break;
        }
        if let Err(refused) = union.apply(opt, &open, false) {
            outcome = Err(refused);
            break;
        }
    }
    if let Some(watcher) = &shared.watcher {
        watcher.watch_all(union);
    }
    shared.set_ttl();
    expire_all(shared, kernel);
    union.tell_branches(&format!("remount {list}"));
    outcome
}

/// Refuses what a mount that answers opens in the kernel cannot begin to do.
fn check_live(opt: &Opt, shared: &Shared) -> Result<(), Refused> {
    let wants_open = |p: &Option<options::Permission>| p.is_some_and(|p| p.coo.is_some());
    let asks = match opt {
        Opt::Branches(list) => list.iter().any(|b| wants_open(&b.permission)),
        Opt::Add(_, b) | Opt::Append(b) | Opt::Prepend(b) => wants_open(&b.permission),
        Opt::Mod(_, p) => p.coo.is_some(),
        _ => false,
    };
    if asks && shared.no_open.load(Relaxed) {
        let why = "coo_reg, coo_all and moo must be there when the union is mounted: unmount, and mount with them";
        return Err(Refused::new(Errno::EINVAL, why));
    }
    Ok(())
}

/// Refuses what would take a file to another branch that is open past us (see [`super::passthrough`]).
fn check_passed(opt: &Opt, shared: &Shared, open: &Opener<'_, RealBranch>) -> Result<(), Refused> {
    let Some(passthrough) = &shared.passthrough else { return Ok(()) };
    let union = &shared.union;
    let busy = match opt {
        Opt::Mod(_, permission) if permission.access == options::Access::Rw => passthrough.keeps_busy(union, None),
        Opt::Mod(path, _) => union.member_at(path, open).is_ok_and(|m| passthrough.keeps_busy(union, Some(&m))),
        Opt::Branches(_) | Opt::Add(..) | Opt::Append(_) | Opt::Prepend(_) => passthrough.keeps_busy(union, None),
        _ => false,
    };
    match busy {
        true => Err(Refused::new(Errno::EBUSY, "a file of the union is open past it (passthrough): close it first")),
        false => Ok(()),
    }
}

/// How long the kernel is given to forget what only hangs in its caches.
const PATIENCE: Duration = Duration::from_millis(500);

/// Before a branch is removed: everything of it that nobody uses is thrown out of the kernel's caches, so that what stays
/// is in use.
fn release(opt: &Opt, union: &RealUnion, kernel: &Kernel, open: &Opener<'_, RealBranch>) -> Result<(), Refused> {
    let Opt::Del(path) = opt else { return Ok(()) };
    let Ok(member) = union.member_at(path, open) else { return Ok(()) };
    let deadline = Instant::now() + PATIENCE;
    throw_out(union, &member, kernel);
    while !union.users(&member).is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn throw_out(union: &RealUnion, member: &Member<RealBranch>, kernel: &Kernel) {
    let (dirs, files): (Vec<_>, Vec<_>) = union.users(member).into_iter().partition(|n| n.kind == Kind::Dir);
    for node in files.iter().chain(&dirs) {
        let names = node.state.read().unwrap().names.clone();
        names.iter().for_each(|(parent, name)| kernel.throw_out(parent.ino, name));
    }
}
