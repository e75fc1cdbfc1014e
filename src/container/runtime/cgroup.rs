//! Control groups: limits, counting, freezing, where the world may make groups of its own.
//!
//! Both kinds are known: the one hierarchy of version 2 and the many of version 1. A group is called `lxc.payload.NAME`, as
//! LXC's are. Where nothing may be made (an ordinary user without delegation) a container runs all the same, without
//! limits; if its configuration asks for some, [`Cgroups::make`] says in an error line what was not done.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::spec::Spec;
use super::{Doing, Error};

/// Controllers of version 1 that a container is put under.
const CONTROLLERS: &[&str] = &["memory", "pids", "freezer", "cpuacct", "cpu", "blkio", "cpuset"];
/// So many processes may be in a container that says nothing of it, so that a fork bomb stays in its box.
const MOST_PROCESSES: &str = "1024";

/// A hierarchy of the machine: its controllers (none: version 2) and our own group's directory in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    controllers: Vec<String>,
    base: PathBuf,
}

/// The groups of one container.
#[derive(Debug, Default)]
pub struct Cgroups {
    /// The directories.
    pub dirs: Vec<PathBuf>,
}

/// Takes the kernel's lock on who is in which group once, by entering the group where we are already. Taking it waits some
/// milliseconds for a grace period of RCU (`percpu_down_write` in kernel/cgroup/cgroup.c), but not again soon after: what waits
/// anyway calls this, and whoever joins a group meanwhile or a moment later does so at once.
pub fn warm_up() {
    if let Some(hierarchy) = machines().first() {
        let _ = fs::write(hierarchy.base.join("cgroup.procs"), "0");
    }
}

/// The hierarchies of this machine that containers are put under.
fn machines() -> Vec<Hierarchy> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut all = hierarchies(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
    all.retain(Hierarchy::is_wanted);
    all
}

impl Cgroups {
    /// Makes the groups, sets the limits, and puts the process in.
    ///
    /// # Errors
    /// A limit that the kernel does not take.
    pub fn make(spec: &Spec, pid: i32) -> Result<Self, Error> {
        let mut groups = Self::default();
        for hierarchy in machines() {
            groups.dirs.extend(hierarchy.group(&spec.name, pid));
        }
        let done = groups.limit(spec);
        if done.is_err() {
            groups.remove();
        }
        done.map(|()| groups)
    }

    fn limit(&self, spec: &Spec) -> Result<(), Error> {
        for (file, value) in spec.cgroup.iter().chain(&spec.cgroup2) {
            if file.starts_with("devices.") {
                continue; // a container has no device nodes beyond the list, and can make none
            }
            let Some(path) = self.file(file) else { continue };
            fs::write(&path, value).doing(|| format!("set lxc.cgroup.{file} = {value}"))?;
        }
        let says = |file: &str| spec.cgroup.iter().chain(&spec.cgroup2).any(|(f, _)| f == file);
        if let Some(path) = self.file("pids.max").filter(|_| !says("pids.max")) {
            let _ = fs::write(path, MOST_PROCESSES);
        }
        Ok(())
    }

    /// What of the configured limits cannot be set on this machine, in words.
    pub fn missing(&self, spec: &Spec) -> Vec<String> {
        let limits = spec.cgroup.iter().chain(&spec.cgroup2).filter(|(f, _)| !f.starts_with("devices."));
        let missing = limits.filter(|(file, _)| self.file(file).is_none());
        missing.map(|(f, v)| format!("no control group for {f} = {v} on this machine, no limit set")).collect()
    }

    /// The path of a control file, if one of the groups has it.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        self.dirs.iter().map(|d| d.join(name)).find(|p| p.exists())
    }

    /// Removes the groups; they must be empty.
    pub fn remove(&self) {
        self.dirs.iter().for_each(|d| drop(fs::remove_dir(d)));
    }
}

impl Hierarchy {
    fn is_wanted(&self) -> bool {
        self.controllers.is_empty() || self.controllers.iter().any(|c| CONTROLLERS.contains(&c.as_str()))
    }

    /// Makes the container's directory and puts the process in; `None` where that is not allowed.
    fn group(&self, name: &str, pid: i32) -> Option<PathBuf> {
        let dir = self.base.join(format!("lxc.payload.{name}"));
        if self.controllers.is_empty() {
            for controller in ["+pids", "+memory", "+cpu", "+io"] {
                let _ = fs::write(self.base.join("cgroup.subtree_control"), controller);
            }
        }
        if fs::create_dir(&dir).is_err() && !dir.is_dir() {
            return None;
        }
        if self.controllers.iter().any(|c| c == "cpuset") {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let parents = fs::read(self.base.join(file)).unwrap_or_default();
                let _ = fs::write(dir.join(file), parents);
            }
        }
        if fs::write(dir.join("cgroup.procs"), pid.to_string()).is_err() {
            let _ = fs::remove_dir(&dir);
            return None;
        }
        Some(dir)
    }
}

/// The hierarchies that are mounted and writable, with our own group in each.
fn hierarchies(mountinfo: &str, own: &str) -> Vec<Hierarchy> {
    mountinfo.lines().filter_map(|line| hierarchy(line, own)).collect()
}

fn hierarchy(mount: &str, own: &str) -> Option<Hierarchy> {
    let (left, right) = mount.split_once(" - ")?;
    let (left, right): (Vec<_>, Vec<_>) = (left.split(' ').collect(), right.split(' ').collect());
    let (root, point) = (*left.get(3)?, *left.get(4)?);
    if left.get(5)?.split(',').any(|option| option == "ro") {
        return None; // nothing can be made there
    }
    let known = |c: &&str| CONTROLLERS.contains(c);
    let controllers: Vec<String> = match *right.first()? {
        "cgroup2" => Vec::new(),
        "cgroup" => right.get(2)?.split(',').filter(known).map(String::from).collect(),
        _ => return None,
    };
    if controllers.is_empty() && right.first() == Some(&"cgroup") {
        return None;
    }
    let ours = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, names, path) = (fields.next()?, fields.next()?, fields.next()?);
        let same = if controllers.is_empty() {
            names.is_empty()
        } else {
            names.split(',').any(|n| controllers.iter().any(|c| c == n))
        };
        same.then_some(path)
    })?;
    let below = Path::new(ours).strip_prefix(root).unwrap_or(Path::new(""));
    Some(Hierarchy { controllers, base: Path::new(point).join(below) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 1 and 2 side by side, our own group below the mount's root; what is read-only is nothing for us.
    #[test]
    fn hierarchies_are_found() {
        let mounts = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                      41 31 0:38 /user /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                      42 31 0:39 / /sys/fs/cgroup/pids ro,relatime - cgroup cgroup rw,pids\n\
                      27 1 254:0 / / rw - ext4 /dev/vda rw\n";
        let own = "4:memory:/me\n5:pids:/me\n9:name=systemd:/\n0::/user/me\n";
        let found = hierarchies(mounts, own);
        assert_eq!(
            found.iter().map(|h| h.base.to_str().unwrap()).collect::<Vec<_>>(),
            ["/sys/fs/cgroup/memory/me", "/sys/fs/cgroup/unified/me"]
        );
        assert_eq!((found[0].controllers.as_slice(), found[1].controllers.len()), (&["memory".to_string()][..], 0));
    }
}
