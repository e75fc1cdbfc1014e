//! What the `lxc-*` commands and a container's monitor say to each other, over the monitor's Unix socket.
//!
//! One [`Request`] and one [`Reply`] a connection, as frames of the world's wire. A connection that stays open after the reply
//! ends when the container does: to wait for the end is to read until there is nothing more.

use serde::{Deserialize, Serialize};

/// Asked of a monitor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// How are you?
    Status,
    /// Send pid 1 this signal.
    Signal(i32),
    /// End now: SIGKILL for pid 1, and so for everything in the container.
    Kill,
    /// Let every process stand still.
    Freeze,
    /// Let them go on.
    Unfreeze,
    /// A terminal: 0 is the console, `None` the first free one. Its file descriptor comes with the reply, and it is
    /// taken until the connection ends.
    Terminal(Option<usize>),
    /// Somebody attached; the monitor reports it. The connection's end without [`Request::Detached`] is the end of it.
    Attached {
        /// The process id in the world.
        pid: i32,
        /// The command.
        command: Vec<String>,
    },
    /// The attached command ended.
    Detached {
        /// Its process id.
        pid: i32,
        /// Its exit code.
        code: i32,
    },
}

/// A monitor's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Request::Status`].
    Status(Status),
    /// Done.
    Done,
    /// The terminal with this number.
    Terminal(usize),
    /// Not done: why.
    Refused(String),
}

/// How a container is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Status {
    /// Its state.
    pub state: State,
    /// Pid 1's process id in the world.
    pub pid: i32,
    /// The monitor's process id.
    pub monitor: i32,
    /// The signals that ask pid 1 to halt, to reboot and to end.
    pub signals: (i32, i32, i32),
    /// Directories of its control groups.
    pub cgroups: Vec<String>,
    /// Names of its network interfaces' outer ends.
    pub links: Vec<String>,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// Bounding set of capabilities, for those who attach.
    pub capabilities: u64,
    /// Its configured environment, for those who attach.
    pub environment: Vec<(String, String)>,
}

/// The states of a container, in LXC's words. Source: lxc(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum State {
    /// Nothing runs.
    #[default]
    Stopped,
    /// The room is being made.
    Starting,
    /// Pid 1 runs.
    Running,
    /// It was asked to end.
    Stopping,
    /// It could not be made.
    Aborting,
    /// Every process stands still.
    Frozen,
}

impl State {
    /// LXC's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stopped => "STOPPED",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Stopping => "STOPPING",
            Self::Aborting => "ABORTING",
            Self::Frozen => "FROZEN",
        }
    }

    /// The state with this word, in any case.
    pub fn named(word: &str) -> Option<Self> {
        let all = [Self::Stopped, Self::Starting, Self::Running, Self::Stopping, Self::Aborting, Self::Frozen];
        all.into_iter().find(|s| s.word().eq_ignore_ascii_case(word))
    }
}
