//! The plan of a container's room: what is made and mounted, in which order. A value; nothing is touched here.
//!
//! The runtime carries it out in three movements. First, what comes from the world (bound folders, `/proc`, `/sys`,
//! device nodes) is picked up as *detached* mounts. Then the root is changed, and the world is out of sight. Then every
//! step is done inside the new root, where no path, however it is spelled or linked, can lead outside any more.
//!
//! Afterwards the container steps into its own user namespace and takes a copy of the mounts with it: the kernel locks
//! them, so that root in the container cannot lift a mask or make a read-only root writable, and cannot mount a `/proc` that has
//! no masks.
//!
//! Source: lxc.container.conf(5), mount_namespaces(7), pivot_root(2).

use super::mount_entry;
use super::spec::{Rootfs, Spec};

/// What is to be done inside the new root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A directory, if it is not there.
    Dir(String),
    /// A symbolic link: (where, to what).
    Link(String, String),
    /// A mount.
    Mount(Mount),
    /// The console and the numbered terminals: `/dev/console`, `/dev/tty1`…
    Terminals(usize),
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub source: Source,
    /// Where, from the container's root, beginning with `/`.
    pub target: String,
    /// The kernel's flags.
    pub flags: Flags,
    /// The filesystem's own options.
    pub data: String,
    /// What is made at the target if nothing is there.
    pub create: Option<Create>,
    /// Whether the container starts without it.
    pub optional: bool,
}

impl Mount {
    /// A mount without flags or options that must succeed and finds its place made.
    pub fn new(source: Source, target: &str) -> Self {
        let (flags, data) = (Flags::default(), String::new());
        Self { source, target: target.into(), flags, data, create: None, optional: false }
    }

    fn fs(fstype: &str, target: &str, flags: Flags, data: &str) -> Self {
        let source = Source::Fs { fstype: fstype.into(), name: fstype.into() };
        Self { flags, data: data.into(), ..Self::new(source, target) }
    }

    fn create(self, what: Create) -> Self {
        Self { create: Some(what), ..self }
    }

    fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// Whether it must be picked up before the root is changed.
    pub fn from_outside(&self) -> bool {
        match &self.source {
            Source::Outside { .. } => true,
            Source::Inside(_) => false,
            Source::Fs { fstype, .. } => !["tmpfs", "devpts", "mqueue"].contains(&fstype.as_str()),
        }
    }
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path of the world, bound.
    Outside {
        /// The path.
        path: String,
        /// With what is mounted below it.
        recursive: bool,
    },
    /// A path of the container, bound.
    Inside(String),
    /// A filesystem of the kernel.
    Fs {
        /// Its type.
        fstype: String,
        /// What stands in the first column of `/proc/mounts`.
        name: String,
    },
}

/// What is made where a mount goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// A directory.
    Dir,
    /// An empty file.
    File,
}

/// Mount flags, with the kernel's numbers (`include/uapi/linux/mount.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u64);

impl Flags {
    /// Read-only.
    pub const RDONLY: Self = Self(1);
    /// Set-user-id programs get no powers.
    pub const NOSUID: Self = Self(2);
    /// Device nodes do not work.
    pub const NODEV: Self = Self(4);
    /// Programs cannot be run.
    pub const NOEXEC: Self = Self(8);

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These less those.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The flag with a name of mount(8), and whether the name sets it (`noexec`) or clears it (`exec`).
    pub fn named(name: &str) -> Option<(Self, bool)> {
        Some(match name {
            "ro" => (Self::RDONLY, true),
            "rw" => (Self::RDONLY, false),
            "nosuid" => (Self::NOSUID, true),
            "suid" => (Self::NOSUID, false),
            "nodev" => (Self::NODEV, true),
            "dev" => (Self::NODEV, false),
            "noexec" => (Self::NOEXEC, true),
            "exec" => (Self::NOEXEC, false),
            "sync" => (Self(16), true),
            "async" => (Self(16), false),
            "noatime" => (Self(1024), true),
            "nodiratime" => (Self(2048), true),
            "relatime" => (Self(1 << 21), true),
            "strictatime" => (Self(1 << 24), true),
            "defaults" | "atime" | "auto" | "noauto" | "nofail" | "user" | "nouser" | "_netdev" => (Self(0), true),
            "private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared" => (Self(0), true),
            _ => return None,
        })
    }
}

/// What the machine offers, found out by the runtime before a plan is made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Nodes of the world's `/dev` that exist.
    pub devices: Vec<String>,
    /// Whether group 5 (`tty`) exists in this user namespace.
    pub tty_group: bool,
    /// Text of the files of `lxc.mount.fstab`.
    pub fstabs: Vec<String>,
    /// Whether the container has its own network (then `/sys` can be its own).
    pub own_network: bool,
    /// Path of our own program, for the mount helpers of an image that has a place for it.
    pub own_program: Option<String>,
}

/// The room, ready to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What the root is made of.
    pub rootfs: Rootfs,
    /// Flags of the root.
    pub rootfs_flags: Flags,
    /// What is done inside it, in order.
    pub steps: Vec<Step>,
    /// What the plan leaves out, in words.
    pub notes: Vec<String>,
}

/// Nodes that a container's `/dev` has, where the world has them. There are no others, and none can be made.
pub const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty", "fuse"];

/// What of `/proc` and `/sys` is hidden: files behind `/dev/null`, directories behind an empty one.
const MASKED_FILES: &[&str] =
    &["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/latency_stats", "/proc/sched_debug"];
const MASKED_DIRS: &[&str] = &["/proc/acpi", "/proc/scsi", "/sys/firmware"];
const READ_ONLY: &[&str] = &["/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/mtrr"];

impl Plan {
    /// Makes the plan.
    ///
    /// # Errors
    /// In words, with the key and value: a mount entry that cannot be understood; no root filesystem.
    pub fn make(spec: &Spec, facts: &Facts) -> Result<Self, String> {
        if spec.rootfs == Rootfs::None {
            return Err("the configuration has no lxc.rootfs.path".into());
        }
        let mut plan = Self {
            rootfs: spec.rootfs.clone(),
            rootfs_flags: root_flags(&spec.rootfs_options)?,
            steps: Vec::new(),
            notes: Vec::new(),
        };
        let auto = |what: &str| spec.auto.iter().rev().find(|w| w.split(':').next() == Some(what)).map(String::as_str);
        plan.proc(auto("proc"));
        plan.sys(auto("sys"), facts);
        if spec.autodev {
            plan.dev(facts);
        }
        plan.terminals(spec, facts);
        plan.entries(spec, facts)?;
        plan.helpers(facts);
        plan.masks();
        Ok(plan)
    }

    fn mount(&mut self, mount: Mount) {
        self.steps.push(Step::Mount(mount));
    }

    fn proc(&mut self, how: Option<&str>) {
        if how == Some("proc:rw") {
            self.notes.push("lxc.mount.auto: proc:rw is taken as proc:mixed".into());
        }
        let quiet = Flags::NOSUID.with(Flags::NODEV).with(Flags::NOEXEC);
        self.mount(Mount::fs("proc", "/proc", quiet, "").create(Create::Dir));
        self.remount_read_only("/proc/sys");
        self.mount(Mount::new(Source::Inside("/proc/sys/net".into()), "/proc/sys/net").optional());
    }

    /// Binds a path over itself, read-only.
    fn remount_read_only(&mut self, path: &str) {
        let over = Mount::new(Source::Inside(path.into()), path).optional();
        self.mount(Mount { flags: Flags::RDONLY, ..over });
    }

    fn sys(&mut self, how: Option<&str>, facts: &Facts) {
        if matches!(how, Some("sys:rw")) {
            self.notes.push("lxc.mount.auto: sys:rw is taken as sys:ro".into());
        }
        let quiet = Flags::NOSUID.with(Flags::NODEV).with(Flags::NOEXEC).with(Flags::RDONLY);
        let fresh = Mount::fs("sysfs", "/sys", quiet, "").create(Create::Dir).optional();
        let bound = Mount::new(Source::Outside { path: "/sys".into(), recursive: false }, "/sys");
        let bound = Mount { flags: quiet, ..bound }.create(Create::Dir).optional();
        self.mount(if facts.own_network { fresh } else { bound });
    }

    fn dev(&mut self, facts: &Facts) {
        let dev = Mount::fs("tmpfs", "/dev", Flags::NOSUID, "size=500k,mode=755").create(Create::Dir);
        self.mount(dev);
        for name in DEVICES.iter().filter(|n| facts.devices.iter().any(|d| d == *n)) {
            let source = Source::Outside { path: format!("/dev/{name}"), recursive: false };
            self.mount(Mount::new(source, &format!("/dev/{name}")).create(Create::File));
        }
        for (name, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
            self.steps.push(Step::Link(format!("/dev/{name}"), target.into()));
        }
        let quiet = Flags::NOSUID.with(Flags::NODEV);
        self.mount(Mount::fs("tmpfs", "/dev/shm", quiet, "mode=1777").create(Create::Dir));
        self.mount(Mount::fs("mqueue", "/dev/mqueue", quiet.with(Flags::NOEXEC), "").create(Create::Dir).optional());
    }

    fn terminals(&mut self, spec: &Spec, facts: &Facts) {
        let most = spec.ptys + spec.ttys + 1;
        let gid = if facts.tty_group { "gid=5,mode=620," } else { "mode=600," };
        let data = format!("newinstance,{gid}ptmxmode=666,max={most}");
        self.mount(Mount::fs("devpts", "/dev/pts", Flags::NOSUID.with(Flags::NOEXEC), &data).create(Create::Dir));
        let ptmx = Mount::new(Source::Inside("/dev/pts/ptmx".into()), "/dev/ptmx").create(Create::File);
        self.mount(ptmx);
        self.steps.push(Step::Terminals(spec.ttys));
    }

    fn entries(&mut self, spec: &Spec, facts: &Facts) -> Result<(), String> {
        let lines = facts.fstabs.iter().flat_map(|text| text.lines());
        let lines = lines.map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
        for line in lines.chain(spec.mounts.iter().map(String::as_str)) {
            let mount = mount_entry::parse(line, spec.rootfs.path()).map_err(|e| format!("lxc.mount.entry: {e}"))?;
            if ["/proc", "/sys", "/dev", "/dev/shm", "/dev/mqueue", "/dev/pts"].contains(&&*mount.target) {
                continue; // made above, and at least as well
            }
            self.mount(mount);
        }
        Ok(())
    }

    fn helpers(&mut self, facts: &Facts) {
        let Some(path) = &facts.own_program else { return };
        let source = Source::Outside { path: path.clone(), recursive: false };
        self.mount(Mount { flags: Flags::RDONLY, ..Mount::new(source, super::image::OWN_PATH).optional() });
    }

    fn masks(&mut self) {
        for path in MASKED_FILES {
            self.mount(Mount::new(Source::Inside("/dev/null".into()), path).optional());
        }
        for path in MASKED_DIRS {
            self.mount(Mount::fs("tmpfs", path, Flags::RDONLY, "size=0").optional());
        }
        for path in READ_ONLY {
            self.remount_read_only(path);
        }
    }
}

fn root_flags(options: &str) -> Result<Flags, String> {
    let mut flags = Flags::default();
    for option in options.split(',').map(str::trim).filter(|o| !o.is_empty()) {
        match Flags::named(option) {
            Some((set, true)) => flags = flags.with(set),
            Some((clear, false)) => flags = flags.without(clear),
            None if option == "bind" || option == "rbind" => {}
            None => return Err(format!("lxc.rootfs.options: no option `{option}`")),
        }
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(mounts: &[&str]) -> Plan {
        let spec = Spec {
            rootfs: Rootfs::Dir("/r".into()),
            autodev: true,
            ptys: 10,
            mounts: mounts.iter().map(|m| (*m).to_string()).collect(),
            ..Spec::default()
        };
        let devices = ["null", "zero", "sda"].map(String::from).to_vec();
        Plan::make(&spec, &Facts { devices, own_network: true, ..Facts::default() }).unwrap()
    }

    fn targets(plan: &Plan) -> Vec<&str> {
        plan.steps.iter().filter_map(|s| if let Step::Mount(m) = s { Some(&*m.target) } else { None }).collect()
    }

    /// A container gets the devices of the list that the world has, and no disk.
    #[test]
    fn no_device_beyond_the_list() {
        let plan = plan(&[]);
        let devices: Vec<_> = targets(&plan).into_iter().filter(|t| t.starts_with("/dev/")).collect();
        assert_eq!(devices, ["/dev/null", "/dev/zero", "/dev/shm", "/dev/mqueue", "/dev/pts", "/dev/ptmx"]);
    }

    /// A person's mounts come after the room is furnished and before the masks, so that nothing lifts a mask.
    #[test]
    fn masks_come_last() {
        let plan = plan(&["/evil proc/kcore none bind 0 0", "/mnt/gv0 srv none bind,create=dir 0 0"]);
        let at = |t: &str| targets(&plan).iter().rposition(|x| *x == t).unwrap();
        assert!(at("/dev/pts") < at("/srv") && at("/srv") < at("/proc/kcore"));
        assert!(at("/proc/kcore") > targets(&plan).iter().position(|x| *x == "/proc/kcore").unwrap());
    }

    /// `/proc/sys` is read-only but for the network's part, which belongs to the container.
    #[test]
    fn kernel_settings_are_read_only() {
        let plan = plan(&[]);
        let sys = plan.steps.iter().filter_map(|s| if let Step::Mount(m) = s { Some(m) } else { None });
        let sys: Vec<_> = sys.filter(|m| m.target.starts_with("/proc/sys")).map(|m| (&*m.target, m.flags.0)).collect();
        assert!(sys.contains(&("/proc/sysrq-trigger", 1)));
        assert!(sys.contains(&("/proc/sys", 1)) && sys.contains(&("/proc/sys/net", 0)));
    }

    /// Without a root there is no plan, and a bad entry is named.
    #[test]
    fn errors_say_what_is_missing() {
        assert!(Plan::make(&Spec::default(), &Facts::default()).unwrap_err().contains("lxc.rootfs.path"));
        let spec = Spec { rootfs: Rootfs::Dir("/r".into()), mounts: vec!["/x".into()], ..Spec::default() };
        assert!(Plan::make(&spec, &Facts::default()).unwrap_err().contains("lxc.mount.entry"));
    }
}
