//! The tools that the one binary stands in for, inside the world: where their names are put.

/// The folder that comes first on PATH inside.
pub const BIN: &str = "/run/terrarium/bin";

/// Names in [`BIN`]: commands.
pub const COMMANDS: &[&str] = &[
    "terrarium",
    "lab",
    "sudo",
    "su",
    "apt",
    "apt-get",
    "systemctl",
    "service",
    "getfattr",
    "setfattr",
    "gluster",
    "glusterd",
    "glusterfs",
    "glusterfsd",
    "add-apt-repository",
    "lsmod",
    "modprobe",
    "nano",
    "vi",
    "vim",
    "lxc-attach",
    "lxc-autostart",
    "lxc-cgroup",
    "lxc-checkconfig",
    "lxc-checkpoint",
    "lxc-clone",
    "lxc-config",
    "lxc-console",
    "lxc-copy",
    "lxc-create",
    "lxc-destroy",
    "lxc-device",
    "lxc-execute",
    "lxc-freeze",
    "lxc-info",
    "lxc-ls",
    "lxc-monitor",
    "lxc-snapshot",
    "lxc-start",
    "lxc-start-ephemeral",
    "lxc-stop",
    "lxc-top",
    "lxc-unfreeze",
    "lxc-unshare",
    "lxc-update-config",
    "lxc-usernsexec",
    "lxc-wait",
];

/// Names in /sbin: helpers that mount(8) and umount(8) look for. `mount -t aufs` calls `mount.aufs`; a mount of ours shows
/// as `fuse.aufs`, so a remount calls `mount.fuse.aufs`.
pub const MOUNT_HELPERS: &[&str] = &[
    "mount.aufs",
    "umount.aufs",
    "mount.fuse.aufs",
    "umount.fuse.aufs",
    "mount.glusterfs",
    "umount.glusterfs",
    "mount.fuse.glusterfs",
    "umount.fuse.glusterfs",
];
