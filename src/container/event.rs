//! What the container core reports: the payload of a world event.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Something that happened to a container. Its name is in the event's `who`: `container:NAME`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// `lxc-create` made it.
    Created {
        /// The template: `debian`, `busybox`, `oci`, …
        template: String,
        /// Its root filesystem's path.
        rootfs: String,
        /// How many bytes the root filesystem takes.
        bytes: u64,
    },
    /// It is in this state now: LXC's words `STARTING`, `RUNNING`, `FROZEN`, `STOPPING`, `STOPPED`, `ABORTING`.
    State {
        /// The state.
        state: String,
        /// Pid 1's process id in the world; 0 when there is none.
        pid: i32,
    },
    /// Its room was made: what it is made of.
    Room(Room),
    /// Somebody came in with `lxc-attach`.
    Attached {
        /// The process id in the world.
        pid: i32,
        /// The command.
        command: Vec<String>,
    },
    /// And left.
    Detached {
        /// The process id.
        pid: i32,
        /// The command's exit code.
        code: i32,
    },
    /// What runs in it (reported when it changes): process id in the container and command line, pid 1 first.
    Processes {
        /// The processes, the first few.
        list: Vec<(i32, String)>,
        /// How many there are.
        count: usize,
    },
    /// How much lies in its own writable branch (reported when it changes, while somebody watches).
    Wrote {
        /// The branch's path.
        branch: String,
        /// Bytes of the files there.
        bytes: u64,
        /// How many names are there, whiteouts and the union's own among them.
        names: u64,
    },
    /// `lxc-destroy` removed it.
    Destroyed,
}

/// What a container's room is made of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Room {
    /// The path of the root filesystem.
    pub rootfs: String,
    /// The filesystem type there: `ext4`, `fuse.aufs`, `overlay`, …
    pub fstype: String,
    /// What the root is made of, topmost first: `PATH=rw`, `PATH=ro`; empty for a plain directory.
    #[serde(default)]
    pub layers: Vec<String>,
    /// The host name.
    pub hostname: String,
    /// Namespace → its identity: `pid` → `pid:[4026532201]`; those alone that are its own.
    pub namespaces: BTreeMap<String, String>,
    /// What is mounted in it besides its furniture: by the configuration (`lxc.mount.entry`) and by itself.
    pub mounts: Vec<Mounted>,
    /// Its addresses.
    pub addresses: Vec<String>,
}

/// A mount, as the container sees it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Mounted {
    /// Where, in the container.
    pub target: String,
    /// What it was bound from; the filesystem's name if it is no bind.
    pub source: String,
    /// The filesystem type that is really there: a replicated volume is `fuse.glusterfs`, a brick is not.
    pub fstype: String,
}
