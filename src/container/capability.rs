//! Capabilities: root's powers, by name and number.
//!
//! What a container's processes may at most have is its *bounding set*: everything that the kernel knows, less
//! `lxc.cap.drop`; or, with `lxc.cap.keep`, that list alone. A container here always lives in a user namespace of its own, so a
//! capability that is left reaches no further than the container's own namespaces.
//!
//! Source: capabilities(7), `include/uapi/linux/capability.h`, lxc.container.conf(5).

/// Names in the order of their numbers, without `CAP_`.
pub const NAMES: &[&str] = &[
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// What is taken from every container, whatever its configuration says: what touches the machine beneath it.
pub const ALWAYS_DROPPED: &[&str] = &["mac_admin", "mac_override", "sys_module", "sys_rawio", "sys_time"];

/// A set of capabilities, one bit for each number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set(pub u64);

impl Set {
    /// Every capability with a name.
    pub fn all() -> Self {
        Self((1 << NAMES.len()) - 1)
    }

    /// Whether the capability with this number is in the set.
    pub fn has(self, number: usize) -> bool {
        self.0 & (1 << number) != 0
    }
}

/// A capability's number by its name, with or without `cap_`, in any case; or by the number itself.
pub fn number(name: &str) -> Option<usize> {
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix("cap_").unwrap_or(&name);
    NAMES.iter().position(|n| *n == name).or_else(|| name.parse().ok().filter(|n| *n < NAMES.len()))
}

/// The bounding set: all less `drop`, or `keep` alone when it names any; always less [`ALWAYS_DROPPED`].
pub fn bounding(drop: &[usize], keep: Option<&[usize]>) -> Set {
    let bits = |numbers: &[usize]| numbers.iter().fold(0, |bits, n| bits | 1 << n);
    let always: Vec<usize> = ALWAYS_DROPPED.iter().filter_map(|n| number(n)).collect();
    let left = keep.map_or_else(|| Set::all().0, bits);
    Set(left & !bits(drop) & !bits(&always))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and numbers are the kernel's, and dropping means dropping.
    #[test]
    fn a_dropped_capability_is_gone() {
        assert_eq!((number("sys_admin"), number("CAP_BPF"), number("40")), (Some(21), Some(39), Some(40)));
        assert_eq!((number("all"), number("41")), (None, None));
        let set = bounding(&[27], None);
        assert!(!set.has(27) && set.has(21) && !set.has(16));
        assert_eq!(bounding(&[], Some(&[0, 25])), Set(1), "kept alone, and the machine's clock never");
    }
}
