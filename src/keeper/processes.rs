//! The processes that the keeper starts (Raft nodes, servers' holders): start, stop, watch over, and keep what they
//! write to standard error. Processes that others started (bricks, mounts, containers) are known by their connection.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;

use super::{Keeper, Refusal};
use crate::world::event::Process;
use crate::world::{Name, What};

/// How long a process may take to say hello, and to end after a SIGKILL.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the keeper starts, and what of it runs.
#[derive(Default)]
pub struct Processes {
    recipes: BTreeMap<Name, Recipe>,
    running: HashMap<Name, i32>,
}

/// How a process is started.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What it is: `node`, `server`.
    pub role: String,
    /// The machine that it runs on.
    pub machine: Name,
    /// This program's arguments.
    pub args: Vec<String>,
}

impl Processes {
    /// Whether the keeper starts this process itself.
    pub fn is_ours(&self, name: &str) -> bool {
        self.recipes.contains_key(name)
    }

    /// Teaches how a process is started.
    pub fn learn(&mut self, name: &str, recipe: Recipe) {
        self.recipes.insert(name.into(), recipe);
    }

    /// The names of the processes of one role, in order.
    pub fn of_role(&self, role: &str) -> Vec<Name> {
        self.recipes.iter().filter(|(_, recipe)| recipe.role == role).map(|(name, _)| name.clone()).collect()
    }

    /// Whether it runs.
    pub fn runs(&self, name: &str) -> bool {
        self.running.contains_key(name)
    }

    /// The process id of a process of ours that runs.
    pub fn pid(&self, name: &str) -> Option<i32> {
        self.running.get(name).copied()
    }
}

impl Keeper {
    /// Starts a process whose recipe is known, and returns once it runs. Nothing happens if it runs already.
    pub(super) fn start(self: &Rc<Self>, name: &str) -> Result<(), Refusal> {
        let recipe = self.processes.borrow().recipes.get(name).cloned();
        let recipe = recipe.ok_or_else(|| self.not_ours(name))?;
        if self.processes.borrow().runs(name) {
            return Ok(());
        }
        let exe = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut command = Command::new(exe);
        command.arg0("terrarium").args(&recipe.args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).env("TERRARIUM_KEEPER", self.dir.join("keeper.sock"));
        // SAFETY: one system call between fork and exec. In a sandbox pid 1 sees to it; on a host this does.
        unsafe { command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?)) };
        let mut child = command.spawn().map_err(|e| format!("starting {name}: {e}"))?;
        let pid = child.id().map_or(0, u32::cast_signed);
        self.processes.borrow_mut().running.insert(name.into(), pid);
        let Recipe { role, machine, .. } = recipe;
        self.report_of(name, None, What::Process(Process::Started { role, machine, pid }));
        let outputs = [
            child.stdout.take().map(|out| tokio::task::spawn_local(Rc::clone(self).read_output(name.into(), out))),
            child.stderr.take().map(|out| tokio::task::spawn_local(Rc::clone(self).read_output(name.into(), out))),
        ];
        let (keeper, name) = (Rc::clone(self), Name::from(name));
        tokio::task::spawn_local(async move {
            let status = child.wait().await;
            for output in outputs.into_iter().flatten() {
                let _ = tokio::time::timeout(Duration::from_millis(100), output).await;
            }
            keeper.ended(&name, status);
        });
        Ok(())
    }

    fn ended(self: &Rc<Self>, name: &str, status: std::io::Result<ExitStatus>) {
        self.processes.borrow_mut().running.remove(name);
        let how = status.map_or_else(|e| e.to_string(), in_words);
        self.report_of(name, None, What::Process(Process::Ended { how }));
    }

    async fn read_output(self: Rc<Self>, name: Name, out: impl AsyncRead + Unpin) {
        let mut lines = BufReader::new(out).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_string();
            self.report_of(&name, None, What::Output { line });
        }
    }

    /// Waits until the role called `name` has introduced itself.
    pub(super) async fn connected(&self, name: &str) -> Result<(), Refusal> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.role_pid(name).is_err() {
            let alive = !self.processes.borrow().is_ours(name) || self.processes.borrow().runs(name);
            if !alive || tokio::time::Instant::now() > deadline {
                return Err(self.last_words(name));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    fn last_words(&self, name: &str) -> Refusal {
        let last = self.see(|world| world.output.get(name).and_then(|lines| lines.back().cloned()));
        format!("{name} did not come up: {}", last.unwrap_or_else(|| "it said nothing".into()))
    }

    /// Kills a process with SIGKILL and returns once it is gone.
    pub(super) async fn kill(self: &Rc<Self>, name: &str) -> Result<(), Refusal> {
        self.signal(name, Signal::SIGKILL)?;
        let gone = self.until(PATIENCE, |world| world.processes.get(name).is_none_or(|p| !p.is_alive())).await;
        if gone { Ok(()) } else { Err(format!("{name} is still there {} s after SIGKILL", PATIENCE.as_secs())) }
    }

    /// SIGSTOP.
    pub(super) fn pause(self: &Rc<Self>, name: &str) -> Result<(), Refusal> {
        self.signal(name, Signal::SIGSTOP)?;
        self.report_of(name, None, What::Process(Process::Paused));
        Ok(())
    }

    /// SIGCONT.
    pub(super) fn resume(self: &Rc<Self>, name: &str) -> Result<(), Refusal> {
        self.signal(name, Signal::SIGCONT)?;
        self.report_of(name, None, What::Process(Process::Resumed));
        Ok(())
    }

    fn signal(&self, name: &str, signal: Signal) -> Result<(), Refusal> {
        let ours = self.processes.borrow().pid(name);
        let pid = ours.map_or_else(|| self.role_pid(name), Ok).map_err(|_| self.no_such(name))?;
        kill(Pid::from_raw(pid), signal).map_err(|e| format!("{signal} to {name} (pid {pid}): {e}"))
    }

    fn no_such(&self, name: &str) -> Refusal {
        self.see(|world| match world.processes.get(name) {
            Some(_) => format!("{name} does not run; `lab start {name}` starts it"),
            None => {
                let names: Vec<&str> = world.processes.keys().map(String::as_str).collect();
                let there = if names.is_empty() { "none".into() } else { names.join(" ") };
                format!("there is no process {name}; there are: {there}")
            }
        })
    }

    fn not_ours(&self, name: &str) -> Refusal {
        let role = self.see(|world| world.processes.get(name).map(|process| process.role.clone()));
        match role.as_deref() {
            Some("brick") => format!("{name} is started by its manager: `gluster volume start VOLUME force`"),
            Some("mount" | "client") => format!("{name} is started by mount(8): mount it again"),
            Some("container") => format!("{name} is started by `lxc-start`"),
            _ => self.no_such(name),
        }
    }
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal().and_then(|number| Signal::try_from(number).ok())) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("killed by {signal}"),
        (None, None) => "ended".into(),
    }
}
